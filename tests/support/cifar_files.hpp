// Files of CIFAR-10 and CIFAR-100 made in memory, for tests without a data set.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "rae/io/cifar.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {

/// The samples of a picture: they count up from `first`, modulo 256.
inline std::string cifar_samples(int first) {
  std::string out;
  for (int i = 0; i < CifarRecords::kSamples; ++i) out += static_cast<char>((first + i) & 0xff);
  return out;
}

/// A file of CIFAR-10; the samples of picture i begin with i.
inline std::string cifar10_records(std::initializer_list<int> labels) {
  std::string out;
  int i = 0;
  for (const int label : labels) out += static_cast<char>(label) + cifar_samples(i++);
  return out;
}

/// A file of CIFAR-100, of pairs of a coarse and a fine label.
inline std::string cifar100_records(std::initializer_list<std::pair<int, int>> labels) {
  std::string out;
  int i = 0;
  for (const auto& [coarse, fine] : labels)
    out += std::string{static_cast<char>(coarse), static_cast<char>(fine)} + cifar_samples(i++);
  return out;
}

/// `count` names, one in each line.
inline std::string cifar_names(const std::string& prefix, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += prefix + std::to_string(i) + "\n";
  return out;
}

/// Ten training pictures, two in each file, and three test pictures. The list of names ends with an
/// empty line, as in the original.
inline void write_cifar10(const TempFolder& folder, const std::string& place = "") {
  for (int batch = 0; batch < 5; ++batch)
    (void)folder.write(place + "data_batch_" + std::to_string(batch + 1) + ".bin",
                       cifar10_records({batch, 9 - batch}));
  (void)folder.write(place + "test_batch.bin", cifar10_records({3, 1, 4}));
  (void)folder.write(place + "batches.meta.txt",
                     "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
}

}  // namespace rae::test
