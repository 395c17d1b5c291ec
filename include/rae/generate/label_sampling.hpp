// Classes of the pictures of a large set of samples, for evaluation.
//
// Source: the official sampling script: "equal" gives every class as many pictures and permutes
// them, "random" draws each class by chance.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rae/core/shape.hpp"
#include "rae/core/torch_random.hpp"

namespace rae {

/// How classes are dealt out: one after the other and again, equally many in random order, or each
/// by chance.
enum class LabelSampling { in_turn, equal, random };

/// "in-turn", "equal" or "random". Throws ArgumentError.
[[nodiscard]] LabelSampling parse_label_sampling(std::string_view name);
/// The name that `parse_label_sampling` reads.
[[nodiscard]] std::string_view name_of(LabelSampling sampling);

/// A class for each of `count` pictures, taken from `classes`. The random numbers are those of the
/// seed's last stream, which no picture's noise uses. Throws ArgumentError without pictures or
/// classes, and for equal numbers of classes that do not divide the count (the official script
/// refuses that, too).
[[nodiscard]] std::vector<std::int64_t> sample_labels(LabelSampling sampling, index_t count,
                                                      std::span<const std::int64_t> classes,
                                                      std::uint64_t seed);

/// The same with PyTorch's random numbers: equal numbers as the official script permutes them with
/// `torch.Generator().manual_seed(seed)`, and random ones as by `torch.randint`.
[[nodiscard]] std::vector<std::int64_t> sample_labels(LabelSampling sampling, index_t count,
                                                      std::span<const std::int64_t> classes,
                                                      TorchCpuGenerator& generator);

}  // namespace rae
