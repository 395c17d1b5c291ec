// Records comparisons with golden tensors for tests/parity/parity.cpp: if the environment variable
// RAE_PARITY names a file, every comparison appends a line to it.
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae::test {

/// The names of golden tensors, by the address of their elements.
class Parity {
 public:
  /// Remembers the name of a tensor and keeps its memory alive, if comparisons are recorded. Copies
  /// and reshaped copies share the memory, and so the name.
  template <Element T>
  static Tensor<T> remember(Tensor<T> tensor, const std::string& golden_case,
                            const std::string& name) {
    static std::vector<Tensor<T>> kept;
    if (file() == nullptr || tensor.empty()) return tensor;
    kept.push_back(tensor);
    sources()[std::as_const(tensor).data()] = {golden_case, name};
    return tensor;
  }

  /// Appends a line: case, quantity, largest difference, root mean square of the differences,
  /// tolerance of the largest, and whether all are within their tolerance. Does nothing for tensors
  /// that were not read from a golden file.
  static void record(const void* expected, double largest, double rms, double tolerance,
                     bool holds) {
    if (file() == nullptr) return;
    const auto source = sources().find(expected);
    if (source == sources().end()) return;
    std::ofstream out(file(), std::ios::app);
    out << source->second.golden_case << '\t' << source->second.name << '\t' << largest << '\t'
        << rms << '\t' << tolerance << '\t' << (holds ? "yes" : "no") << '\n';
  }

 private:
  struct Source {
    std::string golden_case, name;
  };

  static const char* file() {
    static const char* const name = std::getenv("RAE_PARITY");
    return name;
  }

  static std::map<const void*, Source>& sources() {
    static std::map<const void*, Source> all;
    return all;
  }
};

}  // namespace rae::test
