// Rules on the source files: their length, unfinished marks, and names that promise too much.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "rules/source_files.hpp"

namespace rae::test {
namespace {

constexpr std::size_t kMostLines = 600;

TEST(SourceText, FilesAreShort) {
  for (const auto& file : source_files({"include", "src", "tests", "examples"}))
    EXPECT_LE(file.lines.size(), kMostLines) << file.path << " should be split";
}

/// Lines of more than 100 characters, as "path:number". Raw strings may be longer, and so may lines
/// that cannot be broken: tables and addresses.
std::vector<std::string> long_lines(const std::vector<SourceFile>& files) {
  constexpr std::size_t kMostCharacters = 100;
  std::vector<std::string> out;
  for (const auto& file : files) {
    bool raw = false;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      const bool begins = line.find("R\"") != std::string::npos;
      const auto bytes_inside = std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0u) == 0x80u;  // continuation bytes of UTF-8
      });
      const std::size_t characters = line.size() - static_cast<std::size_t>(bytes_inside);
      if (characters > kMostCharacters && !raw && !begins && line.rfind("|", 0) != 0 &&
          line.find("://") == std::string::npos)
        out.push_back(file.path + ":" + std::to_string(i + 1));
      if (begins) raw = true;
      if (line.find(")\"") != std::string::npos) raw = false;
    }
  }
  return out;
}

TEST(SourceText, LinesAreShort) {
  const std::vector<std::string> kinds = {".hpp",   ".cpp", ".inl",  ".h",  ".c",
                                          ".cmake", ".sh",  ".yaml", ".txt"};
  std::vector<SourceFile> files = source_files({"include", "src", "tests", "examples"}, kinds);
  // Golden files contain configurations of other programs.
  const auto page = [](const SourceFile& file) {
    return file.path.find("/golden/") != std::string::npos ||
           file.path.find("/corpus/") != std::string::npos ||
           file.path.find("/data/") != std::string::npos;
  };
  std::erase_if(files, page);
  ASSERT_GT(files.size(), 100u);
  std::string found;
  for (const auto& line : long_lines(files)) found += line + "\n";
  EXPECT_EQ(found, "");
}

TEST(SourceTextRules, FindLongLines) {
  const std::string longer(101, 'x');
  EXPECT_EQ(long_lines({{"a.cpp", {longer, std::string(100, 'x'), "|" + longer}}}),
            (std::vector<std::string>{"a.cpp:1"}));
  EXPECT_TRUE(
      long_lines({{"a.cpp", {"f(R\"(", longer, ")\");", "// see https://" + longer}}}).empty());
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

TEST(SourceText, PublicHeadersBeginWithTheirSubject) {
  for (const auto& file : source_files({"include"})) {
    ASSERT_FALSE(file.lines.empty()) << file.path;
    EXPECT_EQ(file.lines.front().rfind("// ", 0), 0u) << file.path;
  }
}

/// Lines of a header for C that declare a function without a comment before it, or that include
/// anything but the two headers of C with its types.
std::vector<std::string> faults_of_c_header(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool function = lines[i].rfind("RAE_C_API ", 0) == 0;
    const bool described = i > 0 && lines[i - 1].size() >= 2 &&
                           lines[i - 1].compare(lines[i - 1].size() - 2, 2, "*/") == 0;
    const bool include = lines[i].rfind("#include", 0) == 0;
    const bool plain = lines[i] == "#include <stddef.h>" || lines[i] == "#include <stdint.h>";
    if ((function && !described) || (include && !plain)) out.push_back(lines[i]);
  }
  return out;
}

TEST(SourceText, TheHeaderForCIsDescribedAndNeedsOnlyC) {
  const auto headers = source_files({"include"}, {".h"});
  ASSERT_EQ(headers.size(), 1u);
  EXPECT_EQ(headers[0].path, "include/rae/rae.h");
  EXPECT_EQ(headers[0].lines.front().rfind("/* ", 0), 0u);
  EXPECT_LE(headers[0].lines.size(), kMostLines);
  EXPECT_EQ(faults_of_c_header(headers[0].lines), std::vector<std::string>{});
}

TEST(SourceTextRules, FindFaultsOfAHeaderForC) {
  EXPECT_EQ(faults_of_c_header({"#include <stdint.h>", "#include <stdio.h>", "/** A. */",
                                "RAE_C_API int a(void);", "RAE_C_API int b(void);"}),
            (std::vector<std::string>{"#include <stdio.h>", "RAE_C_API int b(void);"}));
}

/// Headers whose comment before `#pragma once` names no section, equation, year or official code.
std::vector<std::string> headers_without_source(const std::vector<SourceFile>& files) {
  const std::regex source("\\b(sections?|equations?|algorithms?|official|(19|20)[0-9]{2})\\b",
                          std::regex::icase);
  std::vector<std::string> out;
  for (const auto& file : files) {
    std::string head;
    for (const auto& line : file.lines) {
      if (line.rfind("//", 0) != 0) break;
      head += line + "\n";
    }
    if (!std::regex_search(head, source)) out.push_back(file.path);
  }
  return out;
}

TEST(SourceText, HeadersOfModelsCiteTheirSources) {
  const auto files =
      source_files({"include/rae/models", "include/rae/diffusion", "include/rae/train"});
  ASSERT_GT(files.size(), 40u);
  EXPECT_EQ(headers_without_source(files), std::vector<std::string>{});
}

TEST(SourceTextRules, FindHeadersWithoutSource) {
  const std::vector<std::string> cited = {"// Adam.", "//", "// Kingma and Ba 2015."};
  EXPECT_EQ(headers_without_source(
                {{"a.hpp", {"// Adam.", "#pragma once", "// section 2"}}, {"b.hpp", cited}}),
            (std::vector<std::string>{"a.hpp"}));
}

TEST(SourceText, FileNamesPromiseNothing) {
  const std::regex names("(fast|optimi[sz]ed|utils?|helpers?|misc)", std::regex::icase);
  for (const auto& file : source_files({"include", "src"}))
    EXPECT_FALSE(std::regex_search(file.path, names)) << file.path;
}

}  // namespace
}  // namespace rae::test
