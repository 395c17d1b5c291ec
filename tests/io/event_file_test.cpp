#include "rae/io/event_file.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <optional>

#include "rae/error.hpp"
#include "rae/io/file.hpp"
#include "support/event_records.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

TEST(Crc32c, IsThatOfRfc3720) {
  EXPECT_EQ(crc32c(as_byte_span("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(as_byte_span(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(as_byte_span(std::string(32, '\xff'))), 0x62a8ab43u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(EventFile, HoldsNumbersAndPicturesByStep) {
  const TempFolder folder;
  const Image picture(3, 2, 1, 7);
  EventFile file(folder.path());
  file.scalar("loss", 300, 0.25);
  file.image("samples", std::int64_t{1} << 40, picture);
  const std::vector<EventRecord> events = read_event_file(file.path());  // while it is open
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[1].step, 300u);
  EXPECT_EQ(events[1].tag, "loss");
  EXPECT_EQ(events[1].value, 0.25f);
  EXPECT_GT(events[1].wall_time, 1.6e9);
  EXPECT_EQ(events[2].step, std::uint64_t{1} << 40);
  EXPECT_EQ(events[2].tag, "samples");
  EXPECT_EQ(events[2].width, 3u);
  EXPECT_EQ(events[2].height, 2u);
  EXPECT_EQ(events[2].colorspace, 1u);
  EXPECT_EQ(Image::decode(as_byte_span(events[2].png)), picture);
}

TEST(EventFile, AContinuedRunReplacesLaterSteps) {
  const TempFolder folder;
  const EventFile first(folder.path()), second(folder.path(), 120);
  EXPECT_NE(first.path(), second.path());
  const std::vector<EventRecord> events = read_event_file(second.path());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].step, 120u);
  EXPECT_TRUE(events[1].starts);
}

TEST(EventFile, NeedsAFolder) {
  const TempFolder folder;
  EXPECT_THROW(EventFile(folder / "none"), FileError);
}

}  // namespace
}  // namespace rae::test
