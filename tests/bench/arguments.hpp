// The command line of kernel benchmarks: [ROUNDS] [FILTER] [--threads 1,2] [--json FILE].
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/kernels/isa.hpp"

namespace rae::bench {

struct Arguments {
  int rounds;
  std::string filter{}, json{};
  std::vector<int> threads = {1, 2};

  Arguments(int argc, char** argv, int default_rounds) : rounds(default_rounds) {
    for (int i = 1, plain = 0; i < argc; ++i) {
      const std::string word = argv[i];
      if (word == "--json" && i + 1 < argc)
        json = argv[++i];
      else if (word == "--threads" && i + 1 < argc)
        threads = numbers(argv[++i]);
      else if (plain++ == 0)
        rounds = std::max(1, std::atoi(word.c_str()));
      else
        filter = word;
    }
  }

  /// Whether the filter selects this line.
  [[nodiscard]] bool takes(const std::string& line) const {
    return line.find(filter) != std::string::npos;
  }

 private:
  static std::vector<int> numbers(const std::string& list) {
    std::vector<int> out;
    std::istringstream words(list);
    for (std::string word; std::getline(words, word, ',');)
      out.push_back(std::max(1, std::atoi(word.c_str())));
    return out;
  }
};

/// The measurements, one record for each line, from which the tables and the plot of
/// docs/performance.md are made.
class Records {
 public:
  void add(nlohmann::ordered_json record) { records_.push_back(std::move(record)); }

  /// Writes the records to the file of --json, if it was given. Returns false if that fails.
  [[nodiscard]] bool write(const Arguments& arguments) const {
    if (arguments.json.empty()) return true;
    std::ofstream out(arguments.json);
    out << nlohmann::ordered_json{{"kernels", name_of(active_isa())},
                                  {"rounds", arguments.rounds},
                                  {"lines", records_}}
               .dump(1)
        << "\n";
    if (out.flush()) return true;
    std::fprintf(stderr, "cannot write '%s'\n", arguments.json.c_str());
    return false;
  }

 private:
  nlohmann::ordered_json records_ = nlohmann::ordered_json::array();
};

}  // namespace rae::bench
