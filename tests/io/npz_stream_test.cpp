#include "rae/io/npz_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "io/zip.hpp"
#include "rae/io/file.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

constexpr index_t kCount = 11;
constexpr std::size_t kSize = 12;  // bytes of a record

NpzStreamPlan plan(const std::string& seed = "1") {
  Tensor<std::int64_t> labels(Shape{kCount});  // (N)
  for (index_t i = 0; i < kCount; ++i) labels[i] = i % 3;
  return {kCount, Shape{2, 2, 3}, {{"arr_1", labels}}, {{"seed", seed}, {"model", "tiny"}}};
}

std::vector<std::uint8_t> records(index_t first, index_t count) {
  std::vector<std::uint8_t> out;
  for (index_t i = first; i < first + count; ++i)
    for (std::size_t j = 0; j < kSize; ++j)
      out.push_back(static_cast<std::uint8_t>(17 * i + static_cast<index_t>(j)));
  return out;
}

/// The file that a run without interruption writes.
std::string uninterrupted() {
  const TempFolder folder;
  const auto path = folder / "a.npz";
  NpzStream stream(path, plan());
  stream.append(records(0, kCount));
  stream.finish();
  EXPECT_EQ(folder.entries().size(), 1u);
  return slurp(path);
}

TEST(NpzStream, WritesAnArchive) {
  const TempFolder folder;
  const auto path = folder.write("a.npz", uninterrupted());
  const auto file = NpzFile::open(path);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"arr_0", "arr_1"}));
  const auto pixels = file.read<std::uint8_t>("arr_0");
  ASSERT_EQ(pixels.shape(), (Shape{kCount, 2, 2, 3}));
  const auto expected = records(0, kCount);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), pixels.data()));
  EXPECT_EQ(file.read<std::int64_t>("arr_1")[4], 1);
  EXPECT_EQ(file.text("settings.json"), "{\n  \"model\": \"tiny\",\n  \"seed\": \"1\"\n}\n");
  EXPECT_EQ(file.text("other.json"), std::nullopt);

  // The same array, used in place in the file.
  const auto mapped = file.mapped("arr_0", true);
  ASSERT_TRUE(mapped.has_value());
  EXPECT_EQ(mapped->shape(), pixels.shape());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), mapped->data()));
  EXPECT_EQ(file.mapped("arr_1"), std::nullopt);  // only uint8 arrays are mapped
  EXPECT_EQ(file.mapped("none"), std::nullopt);
  auto damaged = slurp(path);
  damaged[200] ^= 1;  // in the data, after both headers of 39 and 128 bytes
  const auto other = NpzFile::open(folder.write("b.npz", damaged));
  EXPECT_TRUE(other.mapped("arr_0").has_value());
  EXPECT_THROW((void)other.mapped("arr_0", true), FormatError);
}

TEST(NpzStream, EqualsWriteNpzWithoutSettings) {
  const TempFolder folder;
  NpzStreamPlan bare = plan();
  bare.settings.clear();
  NpzStream stream(folder / "a.npz", bare);
  stream.append(records(0, kCount));
  stream.finish();
  // (N, 2, 2, 3)
  Tensor<std::uint8_t> pixels({kCount, 2, 2, 3}, std::span<const std::uint8_t>(records(0, kCount)));
  const NpzEntry entries[] = {{"arr_0", pixels}, bare.others[0]};
  write_npz(folder / "b.npz", entries);
  EXPECT_EQ(slurp(folder / "a.npz"), slurp(folder / "b.npz"));
}

TEST(NpzStream, ContinuesAfterAnyInterruption) {
  const auto expected = uninterrupted();
  for (const index_t kept : {index_t{0}, index_t{4}, kCount})
    for (const index_t lost : {index_t{0}, index_t{1}}) {
      const TempFolder folder;
      const auto path = folder / "a.npz";
      {
        NpzStream stream(path, plan());
        stream.append(records(0, kept));
        stream.checkpoint();
        if (kept + lost <= kCount)
          stream.append(records(90, lost));  // after the checkpoint, so these records are lost
      }
      EXPECT_FALSE(std::filesystem::exists(path));
      NpzStream stream(path, plan());
      EXPECT_EQ(stream.done(), kept);
      stream.append(records(kept, kCount - kept));
      stream.finish();
      EXPECT_EQ(slurp(path), expected) << kept;
      EXPECT_EQ(folder.entries().size(), 1u);
    }
}

TEST(NpzStream, ContinuesAfterAnIncompleteEnd) {
  const auto expected = uninterrupted();
  const TempFolder folder;
  const auto path = folder / "a.npz";
  {
    NpzStream stream(path, plan());
    stream.append(records(0, kCount));
    stream.checkpoint();
  }
  (void)folder.write("a.npz.partial", expected.substr(0, expected.size() - 30));
  NpzStream stream(path, plan());
  EXPECT_EQ(stream.done(), kCount);
  stream.finish();
  EXPECT_EQ(slurp(path), expected);
}

TEST(NpzStream, RefusesToContinueWithOtherSettings) {
  const TempFolder folder;
  const auto path = folder / "a.npz";
  {
    NpzStream stream(path, plan());
    stream.append(records(0, 3));
    stream.checkpoint();
  }
  const auto before = slurp(path + ".partial");
  const auto message = message_of<ConfigError>([&] { NpzStream(path, plan("2")); });
  EXPECT_NE(message.find("started with seed '1', now it is '2'"), std::string::npos) << message;
  EXPECT_NE(message.find("remove '"), std::string::npos) << message;
  NpzStreamPlan more = plan();
  more.settings["cfg"] = "2";
  EXPECT_NE(
      message_of<ConfigError>([&] { NpzStream(path, more); }).find("cfg nothing, now it is '2'"),
      std::string::npos);
  NpzStreamPlan longer = plan();
  longer.count = 12;
  EXPECT_THROW(NpzStream(path, longer), FormatError);
  NpzStreamPlan labels = plan();
  labels.others[0].tensor = Tensor<std::int64_t>(Shape{kCount}, 0);
  EXPECT_THROW(NpzStream(path, labels), FormatError);
  EXPECT_EQ(slurp(path + ".partial"), before);
}

TEST(NpzStream, RefusesDamage) {
  const TempFolder folder;
  const auto path = folder / "a.npz";
  {
    NpzStream stream(path, plan());
    stream.append(records(0, 5));
    stream.checkpoint();
    EXPECT_NE(message_of<FileError>([&] { NpzStream(path, plan()); }).find("another process"),
              std::string::npos);
  }
  const auto good = slurp(path + ".partial"), manifest = slurp(path + ".partial.json");
  auto bad = good;
  bad[bad.size() - 1] ^= 1;
  (void)folder.write("a.npz.partial", bad);
  EXPECT_NE(message_of<FormatError>([&] { NpzStream(path, plan()); }).find("wrong checksum"),
            std::string::npos);
  (void)folder.write("a.npz.partial", good.substr(0, good.size() - 1));
  EXPECT_THROW(NpzStream(path, plan()), FormatError);
  (void)folder.write("a.npz.partial", good);
  for (const std::string& wrong : {std::string("{}"), std::string("{\"format\": \"x\"}"),
                                   manifest.substr(0, manifest.size() / 2)}) {
    (void)folder.write("a.npz.partial.json", wrong);
    EXPECT_THROW(NpzStream(path, plan()), Error) << wrong;
  }
  // Without a manifest, no record counts as written.
  std::filesystem::remove(path + ".partial.json");
  EXPECT_EQ(NpzStream(path, plan()).done(), 0);
}

TEST(NpzStream, RefusesWrongUse) {
  const TempFolder folder;
  const auto path = folder / "a.npz";
  NpzStreamPlan none = plan(), twice = plan(), deep = plan();
  none.count = 0;
  twice.others[0].name = "arr_0";
  deep.record = Shape{1, 1, 1, 1, 1, 1};
  for (const auto& wrong : {none, twice, deep}) EXPECT_THROW(NpzStream(path, wrong), ArgumentError);
  EXPECT_THROW(NpzStream(folder / "no/a.npz", plan()), FileError);
  EXPECT_TRUE(folder.entries().empty());
  NpzStream stream(path, plan());
  EXPECT_THROW(stream.append(std::vector<std::uint8_t>(kSize + 1)), ArgumentError);
  EXPECT_THROW(stream.append(std::vector<std::uint8_t>(kSize * (kCount + 1))), ArgumentError);
  EXPECT_THROW(stream.finish(), ArgumentError);
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Above 4 GB, sizes are stored in fields of 64 bits. The headers are checked without writing the
// data.
TEST(Zip, HeadersOfHugeFiles) {
  const detail::ZipStored files[] = {{"arr_0.npy", 7, std::uint64_t{9} << 30, 0},
                                     {"b", 8, 3, (std::uint64_t{9} << 30) + 59}};
  const auto header = detail::zip_local_header(files[0]);
  EXPECT_EQ(header.size(), 30u + 9 + 20);
  EXPECT_EQ(header.substr(18, 8), std::string(8, '\xff'));
  EXPECT_EQ(detail::zip_local_header(files[1]).size(), 31u);
  const auto directory = detail::zip_directory(files, (std::uint64_t{9} << 30) + 100);
  EXPECT_NE(directory.find("PK\6\6"), std::string::npos);
  EXPECT_EQ(directory.find("PK\1\2"), 0u);
}

}  // namespace
}  // namespace rae::test
