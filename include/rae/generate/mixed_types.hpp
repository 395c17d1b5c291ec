// A type for each layer of a model, chosen by measured sensitivities, such that a limit of the file
// or of the error holds for the model as a whole.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rae/generate/sensitivity.hpp"

namespace rae {

/// The limit that a mix keeps. Exactly one is present.
struct MixLimit {
  std::optional<std::uint64_t> bytes{};  ///< of the file of the packed bundle
  std::optional<double> error{};         ///< relative error of the output of each network, above 0
};

/// A mix of types.
struct MixedTypes {
  LayerTypes types{};               ///< for `save_packed_bundle`
  std::uint64_t bytes = 0;          ///< of the file that this writes, with the given notes
  std::vector<double> estimated{};  ///< errors of the networks, in the order of kNetworkRoles, as
                                    ///< `choose_types` adds them up
  std::vector<double> measured{};   ///< the same, as `measure_errors` finds them
};

/// Throws ArgumentError for a limit that `mix_types` cannot keep, whatever the sensitivities are:
/// of error, unless it is finite and above 0, or of bytes, when the narrowest types need more,
/// naming their file size. Reads no weights. Throws as `packed_bundle_bytes`, too.
void require_reachable(const ModelFiles& files, const MixLimit& limit,
                       const std::map<std::string, std::string>& notes = {});

/// Chooses types by `choose_types` and measures the result. With a limit of error, the choice is
/// repeated with a smaller sum of errors while the measured error of a network exceeds the limit or
/// `accepts`, which may be empty, is false. Throws as `require_reachable`, `measure_errors` and
/// `packed_bundle_bytes`.
[[nodiscard]] MixedTypes mix_types(const ModelFiles& files, const CalibrationData& data,
                                   const std::vector<LayerSensitivity>& sensitivities,
                                   const MixLimit& limit,
                                   const std::map<std::string, std::string>& notes = {},
                                   const Function<bool(const MixedTypes&)>& accepts = {});

}  // namespace rae
