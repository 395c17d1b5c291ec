// Rules on the object files, read with nm: the library never prints, aborts or exits, and code for
// newer instruction sets is reached only by run-time dispatch.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <sstream>

#include "rules/source_files.hpp"

namespace rae::test {
namespace {

struct Symbol {
  char kind = 0;  // as nm prints it: U undefined, T code, W weak, lower case local
  std::string name;
};

std::vector<std::string> object_files() {
  std::ifstream in(RAE_OBJECT_LIST);
  return lines_of(in);
}

/// The lines of `nm -P`: "name kind value size".
std::vector<Symbol> symbols_of(const std::string& object) {
  const std::string command = std::string(RAE_NM) + " -P \"" + object + "\"";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  char buffer[4096];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get())) text += buffer;
  std::istringstream in(text);
  std::vector<Symbol> out;
  for (const auto& line : lines_of(in)) {
    std::istringstream words(line);
    Symbol symbol;
    if (words >> symbol.name >> symbol.kind) out.push_back(symbol);
  }
  return out;
}

TEST(Symbols, LibraryNeverPrintsAbortsOrExits) {
  const std::set<std::string> forbidden = {
      "abort",        "exit",      "_exit",         "quick_exit", "__assert_fail", "printf",
      "__printf_chk", "fprintf",   "__fprintf_chk", "vprintf",    "vfprintf",      "puts",
      "fputs",        "putchar",   "perror",        "stdout",     "stderr",        "system",
      "_ZSt4cout",    "_ZSt4cerr", "_ZSt4clog",
  };
  const auto objects = object_files();
  ASSERT_GT(objects.size(), 5u);
  std::size_t undefined = 0;
  for (const auto& object : objects)
    for (const auto& symbol : symbols_of(object)) {
      if (symbol.kind != 'U') continue;
      ++undefined;
      EXPECT_EQ(forbidden.count(symbol.name), 0u) << object << " uses " << symbol.name;
    }
  EXPECT_GT(undefined, 50u) << "nm printed nothing";
}

TEST(Symbols, InstructionSetFilesShareNoCode) {
  int checked = 0;
  for (const auto& object : object_files()) {
    const auto name = std::filesystem::path(object).filename().string();
    if (name.rfind("isa_", 0) != 0) continue;
    ++checked;
    int exported = 0;
    for (const auto& symbol : symbols_of(object)) {
      EXPECT_EQ(std::string("WwVvu").find(symbol.kind), std::string::npos)
          << name << " defines or shares " << symbol.name;
      if (symbol.kind == 'T') ++exported;
    }
    EXPECT_EQ(exported, 1) << name << " should export its table only";
  }
#if defined(__x86_64__)
  EXPECT_EQ(checked, 7);
#elif defined(__aarch64__)
  EXPECT_EQ(checked, 3);
#else
  EXPECT_EQ(checked, 1);
#endif
}

TEST(Symbols, LibraryStartsNoStreams) {
  for (const auto& object : object_files())
    for (const auto& symbol : symbols_of(object))
      EXPECT_NE(symbol.name, "_ZNSt8ios_base4InitC1Ev") << object << " includes <iostream>";
}

}  // namespace
}  // namespace rae::test
