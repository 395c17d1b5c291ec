// Chooses the classes of a large set of samples, for evaluation.
//
// Source: the official sampling script: "equal" gives all classes equally many pictures in random
// order, "random" draws each class at random.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rae/core/shape.hpp"
#include "rae/core/torch_random.hpp"

namespace rae {

/// The order of the classes: all classes in turn, again and again; equally many pictures per class
/// in random order; or each class at random.
enum class LabelSampling { in_turn, equal, random };

/// Reads "in-turn", "equal" or "random". Throws ArgumentError.
[[nodiscard]] LabelSampling parse_label_sampling(std::string_view name);
/// The name that `parse_label_sampling` reads.
[[nodiscard]] std::string_view name_of(LabelSampling sampling);

/// A class for each of `count` pictures, out of `classes`. The random numbers are those of the
/// seed's last stream, which no picture's noise uses. Throws ArgumentError without pictures or
/// classes, and for `equal` when the count is not a multiple of the number of classes (as the
/// official script does).
[[nodiscard]] std::vector<std::int64_t> sample_labels(LabelSampling sampling, index_t count,
                                                      std::span<const std::int64_t> classes,
                                                      std::uint64_t seed);

/// The same with PyTorch's random numbers: `equal` permutes as the official script does with
/// `torch.Generator().manual_seed(seed)`, and `random` draws as `torch.randint`.
[[nodiscard]] std::vector<std::int64_t> sample_labels(LabelSampling sampling, index_t count,
                                                      std::span<const std::int64_t> classes,
                                                      TorchCpuGenerator& generator);

}  // namespace rae
