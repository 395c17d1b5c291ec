#include "rae/generate/mixed_types.hpp"

#include <algorithm>
#include <cmath>

#include "rae/spec/weight_types.hpp"

namespace rae {
namespace {

using Notes = std::map<std::string, std::string>;

/// Each layer with the type of the fewest bytes, and the sum of these bytes.
TypeChoice smallest(const std::vector<PackableLayer>& layers) {
  TypeChoice out;
  for (const PackableLayer& layer : layers) {
    const auto least = std::min_element(layer.bytes.begin(), layer.bytes.end());
    out.types.emplace(layer.name, kWeightTypes[least - layer.bytes.begin()]);
    out.bytes += *least;
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
  const std::uint64_t least = smallest(packable_layers(files)).bytes;
  std::uint64_t of_layers = limit;
  while (true) {
    MixedTypes out = with_file_size(files, choose_types(layers, {.bytes = of_layers}), notes);
    if (out.bytes <= limit || of_layers == least) return out;
    of_layers = std::max(least, of_layers - std::min(of_layers, out.bytes - limit));
  }
}

}  // namespace

void require_reachable(const ModelFiles& files, const MixLimit& limit, const Notes& notes) {
  if (limit.bytes.has_value() == limit.error.has_value())
    raise<ArgumentError>("mix_types: expected a limit of either bytes or error");
  if (limit.error && (!(*limit.error > 0) || !std::isfinite(*limit.error)))
    raise<ArgumentError>("mix_types: expected a limit of error above 0, got ", *limit.error);
  if (!limit.bytes) return;
  const std::uint64_t least =
      packed_bundle_bytes(files, smallest(packable_layers(files)).types, notes);
  if (*limit.bytes < least)
    raise<ArgumentError>(files.origin, ": a packed bundle takes at least ", least,
                         " bytes, but at most ", *limit.bytes, " are allowed");
}

MixedTypes mix_types(const ModelFiles& files, const CalibrationData& data,
                     const std::vector<LayerSensitivity>& sensitivities, const MixLimit& limit,
                     const Notes& notes, const Function<bool(const MixedTypes&)>& accepts) {
  constexpr double kMargin = 0.95, kStricter = 0.5;
  constexpr int kTries = 12;
  require_reachable(files, limit, notes);
  const std::vector<LayerCosts> layers = costs_of(packable_layers(files), sensitivities);
  if (limit.bytes) {
    MixedTypes out = within_bytes(files, layers, *limit.bytes, notes);
    out.measured = measure_errors(files, out.types, data);
    return out;
  }
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
