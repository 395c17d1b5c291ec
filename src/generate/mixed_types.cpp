#include "rae/generate/mixed_types.hpp"

#include <algorithm>
#include <cmath>

#include "rae/spec/weight_types.hpp"

namespace rae {
namespace {

using Notes = std::map<std::string, std::string>;

/// Each layer with the type of the fewest bytes, and the sum of these bytes.
TypeChoice smallest(const std::vector<LayerCosts>& layers) {
  TypeChoice out;
  for (const LayerCosts& layer : layers) {
    const TypeCost& least =
        *std::min_element(layer.types.begin(), layer.types.end(),
                          [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
    out.types.emplace(layer.name, least.type);
    out.bytes += least.bytes;
  }
  return out;
}

MixedTypes with_file_size(const ModelFiles& files, TypeChoice choice, const Notes& notes) {
  MixedTypes out;
  out.types = std::move(choice.types);
  out.estimated = std::move(choice.errors);
  out.bytes = packed_bundle_bytes(files, out.types, notes);
  return out;
}

/// The header of the file depends on the types, so that the bytes that are left for the layers
/// follow from a first choice.
MixedTypes within_bytes(const ModelFiles& files, const std::vector<LayerCosts>& layers,
                        std::uint64_t limit, const Notes& notes) {
  const TypeChoice least = smallest(layers);
  if (const std::uint64_t bytes = packed_bundle_bytes(files, least.types, notes); limit < bytes)
    raise<ArgumentError>(files.origin, ": a packed bundle takes at least ", bytes,
                         " bytes, but at most ", limit, " are allowed");
  std::uint64_t of_layers = limit;
  while (true) {
    MixedTypes out = with_file_size(files, choose_types(layers, {.bytes = of_layers}), notes);
    if (out.bytes <= limit || of_layers == least.bytes) return out;
    of_layers = std::max(least.bytes, of_layers - std::min(of_layers, out.bytes - limit));
  }
}

}  // namespace

MixedTypes mix_types(const ModelFiles& files, const CalibrationData& data,
                     const std::vector<LayerSensitivity>& sensitivities, const MixLimit& limit,
                     const Notes& notes, const Function<bool(const MixedTypes&)>& accepts) {
  constexpr double kMargin = 0.95, kStricter = 0.5;
  constexpr int kTries = 12;
  if (limit.bytes.has_value() == limit.error.has_value())
    raise<ArgumentError>("mix_types: expected a limit of either bytes or error");
  const std::vector<LayerCosts> layers = costs_of(packable_layers(files), sensitivities);
  if (limit.bytes) {
    MixedTypes out = within_bytes(files, layers, *limit.bytes, notes);
    out.measured = measure_errors(files, out.types, data);
    return out;
  }
  if (!(*limit.error > 0) || !std::isfinite(*limit.error))
    raise<ArgumentError>("mix_types: expected a limit of error above 0, got ", *limit.error);
  double target = *limit.error;
  for (int i = 0;; ++i) {
    if (i == kTries) target = 0;  // f32, but for types that change nothing
    MixedTypes out = with_file_size(files, choose_types(layers, {.error = target}), notes);
    out.measured = measure_errors(files, out.types, data);
    const double worst = *std::max_element(out.measured.begin(), out.measured.end());
    const bool fits = worst <= *limit.error;
    if (i == kTries || (fits && (!accepts || accepts(out)))) return out;
    target *= fits ? kStricter : kMargin * *limit.error / worst;
  }
}

}  // namespace rae
