// Rules on the documentation and the examples: everything that they name exists, and examples are
// short enough to be read.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

#include "rules/source_files.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

/// Markdown files, relative to the repository.
std::vector<std::string> pages() {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(RAE_SOURCE_DIR) / "docs"))
    if (entry.path().extension() == ".md")
      out.push_back(fs::relative(entry.path(), RAE_SOURCE_DIR).generic_string());
  std::sort(out.begin(), out.end());
  return out;
}

/// A page without its blocks of code.
std::string text_of(const std::string& page) {
  std::ifstream in(fs::path(RAE_SOURCE_DIR) / page);
  std::string out;
  bool code = false;
  for (const auto& line : lines_of(in)) {
    if (line.rfind("```", 0) == 0)
      code = !code;
    else if (!code)
      out += line + "\n";
  }
  return out;
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> out;
  for (std::sregex_iterator i(text.begin(), text.end(), regex), end; i != end; ++i)
    out.insert((*i)[1].str());
  return out;
}

/// Repository paths in back quotes: `include/rae/rae.hpp`, and `rae/rae.hpp` for a public header.
/// NAME and X stand for any name.
std::set<std::string> paths_named_in(const std::string& text) {
  std::set<std::string> out = matches(text, "`((?:include|src|tests|examples|docs)/[\\w./-]*)`");
  for (const auto& header : matches(text, "`(rae/[\\w./-]+\\.hpp)`"))
    out.insert("include/" + header);
  std::erase_if(out, [](const std::string& path) {
    return path.find("NAME") != std::string::npos || path.find("/X/") != std::string::npos;
  });
  return out;
}

TEST(Documentation, NamesPathsThatExist) {
  std::size_t named = 0;
  for (const auto& page : pages())
    for (const auto& path : paths_named_in(text_of(page))) {
      ++named;
      EXPECT_TRUE(fs::exists(fs::path(RAE_SOURCE_DIR) / path)) << page << " names " << path;
    }
  EXPECT_GT(named, 50u);
}

TEST(Documentation, LinksToPagesThatExist) {
  std::size_t links = 0;
  for (const auto& page : pages())
    for (const auto& link : matches(text_of(page), "\\]\\(([^)#:]+)(?:#[^)]*)?\\)")) {
      ++links;
      EXPECT_TRUE(fs::exists(fs::path(RAE_SOURCE_DIR) / fs::path(page).parent_path() / link))
          << page << " links to " << link;
    }
  EXPECT_GT(links, 10u);
}

TEST(Documentation, MapsEveryRowOfThePaperToATest) {
  std::istringstream map(text_of("docs/paper_map.md"));
  std::size_t rows = 0;
  for (const auto& line : lines_of(map)) {
    if (line.rfind("| ", 0) != 0 || line.rfind("| What |", 0) == 0) continue;
    ++rows;
    EXPECT_TRUE(line.find("tests/") != std::string::npos ||
                line.find("(a choice") != std::string::npos)
        << line;
  }
  EXPECT_GT(rows, 25u);
}

TEST(DocumentationRules, FindPaths) {
  EXPECT_EQ(paths_named_in("see `include/rae/a.hpp`, `rae/b/c.hpp` and `src/kernels/`; not `rae "
                           "info x.png`, `src/X/NAME.cpp` or tests/x"),
            (std::set<std::string>{"include/rae/a.hpp", "include/rae/b/c.hpp", "src/kernels/"}));
}

TEST(Examples, AreShort) {
  std::size_t programs = 0;
  for (const auto& file : source_files({"examples"})) {
    ++programs;
    const bool experiment = file.path.rfind("examples/experiments/", 0) == 0;
    EXPECT_LT(file.lines.size(), experiment ? 250u : 80u) << file.path;
  }
  EXPECT_GT(programs, 6u);
}

}  // namespace
}  // namespace rae::test
