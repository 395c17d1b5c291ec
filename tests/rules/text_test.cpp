// Rules on the text of the sources: length, unfinished marks, names that promise too much.
#include <gtest/gtest.h>

#include <regex>

#include "rules/source_files.hpp"

namespace rae::test {
namespace {

constexpr std::size_t kMostLines = 600;

TEST(SourceText, FilesAreShort) {
  for (const auto& file : source_files({"include", "src", "tests", "examples"}))
    EXPECT_LE(file.lines.size(), kMostLines) << file.path << " should be split";
}

TEST(SourceText, NothingIsMarkedUnfinished) {
  const std::regex marks("\\b(TODO|FIXME|XXX|HACK)\\b");
  for (const auto& file : source_files({"include", "src"}))
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      EXPECT_FALSE(std::regex_search(file.lines[i], marks)) << file.path << ":" << i + 1;
}

TEST(SourceText, HeadersOpenNoNamespace) {
  const std::regex opened("^\\s*using\\s+namespace\\b");
  for (const auto& file : source_files({"include"}))
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      EXPECT_FALSE(std::regex_search(file.lines[i], opened)) << file.path << ":" << i + 1;
}

TEST(SourceText, PublicHeadersBeginWithWhatTheyAre) {
  for (const auto& file : source_files({"include"})) {
    ASSERT_FALSE(file.lines.empty()) << file.path;
    EXPECT_EQ(file.lines.front().rfind("// ", 0), 0u) << file.path;
  }
}

TEST(SourceText, FileNamesPromiseNothing) {
  const std::regex names("(fast|optimi[sz]ed|utils?|helpers?|misc)", std::regex::icase);
  for (const auto& file : source_files({"include", "src"}))
    EXPECT_FALSE(std::regex_search(file.path, names)) << file.path;
}

}  // namespace
}  // namespace rae::test
