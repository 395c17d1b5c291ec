#include "rae/generate/label_sampling.hpp"

#include <limits>
#include <utility>

#include "rae/core/random.hpp"

namespace rae {
namespace {

/// Equally many labels of each class, in the order of the classes.
std::vector<std::int64_t> repeated(index_t count, std::span<const std::int64_t> classes) {
  const auto each = count / static_cast<index_t>(classes.size());
  std::vector<std::int64_t> out;
  out.reserve(static_cast<std::size_t>(count));
  for (const std::int64_t label : classes)
    out.insert(out.end(), static_cast<std::size_t>(each), label);
  return out;
}

void check(LabelSampling sampling, index_t count, std::span<const std::int64_t> classes) {
  if (count < 1 || classes.empty())
    raise<ArgumentError>("sample_labels: expected at least one picture and one class, got ", count,
                         " and ", classes.size());
  const auto number = static_cast<index_t>(classes.size());
  if (sampling != LabelSampling::equal || count % number == 0) return;
  const index_t below = count / number * number, above = below + number;
  raise<ArgumentError>("equal label sampling: ", count,
                       " pictures cannot be divided equally among ", number, " classes; use ",
                       below > 0 ? concat(below, " or ") : std::string(), above);
}

std::vector<std::int64_t> in_turn(index_t count, std::span<const std::int64_t> classes) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    out.push_back(classes[i % classes.size()]);
  return out;
}

}  // namespace

LabelSampling parse_label_sampling(std::string_view name) {
  for (const LabelSampling sampling :
       {LabelSampling::in_turn, LabelSampling::equal, LabelSampling::random})
    if (name == name_of(sampling)) return sampling;
  raise<ArgumentError>("unknown label sampling '", name, "': expected equal, random or in-turn");
}

std::string_view name_of(LabelSampling sampling) {
  switch (sampling) {
    case LabelSampling::in_turn: return "in-turn";
    case LabelSampling::equal: return "equal";
    case LabelSampling::random: return "random";
  }
  return "";
}

std::vector<std::int64_t> sample_labels(LabelSampling sampling, index_t count,
                                        std::span<const std::int64_t> classes, std::uint64_t seed) {
  check(sampling, count, classes);
  if (sampling == LabelSampling::in_turn) return in_turn(count, classes);
  const Philox random(seed, std::numeric_limits<std::uint64_t>::max());
  const auto n = static_cast<std::size_t>(count);
  if (sampling == LabelSampling::equal) {
    std::vector<std::int64_t> out = repeated(count, classes);
    for (std::size_t i = 0; i + 1 < n; ++i)
      std::swap(out[i], out[i + random.below(i, n - i)]);  // Fisher and Yates
    return out;
  }
  std::vector<std::int64_t> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = classes[random.below(i, classes.size())];
  return out;
}

std::vector<std::int64_t> sample_labels(LabelSampling sampling, index_t count,
                                        std::span<const std::int64_t> classes,
                                        TorchCpuGenerator& generator) {
  check(sampling, count, classes);
  if (sampling == LabelSampling::in_turn) return in_turn(count, classes);
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  if (sampling == LabelSampling::equal) {
    const std::vector<std::int64_t> pool = repeated(count, classes),
                                    order = generator.permutation(count);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = pool[static_cast<std::size_t>(order[i])];
    return out;
  }
  generator.fill_integers(out, 0, static_cast<std::int64_t>(classes.size()));
  for (std::int64_t& label : out) label = classes[static_cast<std::size_t>(label)];
  return out;
}

}  // namespace rae
