// rae_parity [FILE]: runs all test programs and writes a table in Markdown, to FILE or to standard
// output, of how closely every golden case agrees. A row is one quantity of a case, with the
// comparison that came nearest to its tolerance. The exit status is 0 if every case of tests/golden
// is compared and all comparisons hold.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Row {
  double largest = 0, rms = 0, tolerance = 0;
  bool holds = true;
  std::set<std::string> members;  // tensors that the row covers

  [[nodiscard]] double share() const { return largest == 0 ? 0 : largest / tolerance; }
};
using Case = std::map<std::string, Row>;

/// Adds a comparison to a row, which keeps the comparison nearest to its tolerance.
void add(Row& row, const Row& other) {
  const bool first = row.members.empty();
  if (first || other.share() > row.share() ||
      (other.share() == row.share() && other.tolerance < row.tolerance)) {
    row.largest = other.largest;
    row.rms = other.rms;
    row.tolerance = other.tolerance;
  }
  row.holds = row.holds && other.holds;
  row.members.insert(other.members.begin(), other.members.end());
}

/// Reads the records of the tests; slices of a tensor count as the whole tensor.
std::map<std::string, Case> read(const std::string& file) {
  std::map<std::string, Case> cases;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name, quantity, largest, rms, tolerance, holds;
    for (std::string* field : {&name, &quantity, &largest, &rms, &tolerance, &holds})
      std::getline(fields, *field, '\t');
    quantity = quantity.substr(0, quantity.find('['));
    add(cases[name][quantity], {std::strtod(largest.c_str(), nullptr),
                                std::strtod(rms.c_str(), nullptr),
                                std::strtod(tolerance.c_str(), nullptr),
                                holds == "yes",
                                {quantity}});
  }
  return cases;
}

/// The prefix under which a name is grouped: "grad.blocks.0.attn.qkv.weight" and all other
/// gradients belong to "grad.*".
std::string word_of(const std::string& name) {
  for (std::size_t begin = 0, end; (end = name.find('.', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string part = name.substr(begin, end - begin);
    for (const char* joined : {"grad", "after", "after1", "after3", "ema", "ema3", "u_after"})
      if (part == joined) return name.substr(0, end);
  }
  return name.substr(0, name.find('.'));
}

/// Groups quantities of a case that share a prefix, if there are many.
Case joined(const Case& quantities) {
  constexpr std::size_t kMany = 20;
  std::map<std::string, std::size_t> words;
  for (const auto& [name, row] : quantities) ++words[word_of(name)];
  Case out;
  for (const auto& [name, row] : quantities)
    add(out[words[word_of(name)] > kMany ? word_of(name) + ".*" : name], row);
  return out;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value == 0 ? "0" : "%.1e", value);
  return text;
}

std::string table(const std::map<std::string, Case>& cases) {
  std::ostringstream out;
  out << "# Agreement with the official code\n\n"
         "Written by `rae_parity docs/parity.md`, which runs the tests and records each "
         "comparison with a\n"
         "tensor of `tests/golden/`: numbers that the official code computed in float on "
         "a CPU. A row is one\n"
         "quantity of a case, with the comparison that came nearest to its tolerance: the "
         "largest difference\n"
         "(if the tolerance depends on the element, the difference of the element nearest "
         "to its tolerance),\n"
         "the root mean square of the tensor's differences, and the tolerance of the "
         "test. A row of several\n"
         "tensors says how many. The numbers are those of the machine that wrote the "
         "file; instruction sets\n"
         "differ in the last digits.\n\n"
         "| case | quantity | max abs | rms | tolerance | holds |\n|---|---|---|---|---|---|\n";
  for (const auto& [name, quantities] : cases)
    for (const auto& [quantity, row] : joined(quantities)) {
      out << "| " << name << " | `" << quantity << "`";
      if (row.members.size() > 1) out << " (" << row.members.size() << ")";
      out << " | " << number(row.largest) << " | " << number(row.rms) << " | "
          << number(row.tolerance) << " | " << (row.holds ? "yes" : "**no**") << " |\n";
    }
  return out.str();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string records = (std::filesystem::temp_directory_path() /
                               ("rae_parity_" + std::to_string(std::random_device()())))
                                  .string();
  setenv("RAE_PARITY", records.c_str(), 1);
  bool good = true;
  std::istringstream programs(RAE_PARITY_PROGRAMS);
  for (std::string program; std::getline(programs, program, '|');) {
    const std::string command = "'" + program + "' --gtest_brief=1 >&2";
    if (std::system(command.c_str()) == 0) continue;
    std::cerr << "rae_parity: " << program << " failed\n";
    good = false;
  }
  const std::map<std::string, Case> cases = read(records);
  std::filesystem::remove(records);
  for (const auto& entry : std::filesystem::directory_iterator(RAE_TEST_DATA_DIR "/golden")) {
    const std::string name = entry.path().filename().string();
    if (cases.contains(name)) continue;
    std::cerr << "rae_parity: no test compares anything with the case " << name << "\n";
    good = false;
  }
  for (const auto& [name, quantities] : cases)
    for (const auto& [quantity, row] : quantities) good = good && row.holds;
  if (argc > 1)
    std::ofstream(argv[1]) << table(cases);
  else
    std::cout << table(cases);
  return good ? 0 : 1;
}
