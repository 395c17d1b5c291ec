// The layout of a bundle: keys of its metadata, names of its tensors, and the checks that all
// who read or write one share.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rae/spec/network_role.hpp"

namespace rae::detail {

inline constexpr std::string_view kConfigKey = "config";
/// The type of weights that matrices are packed for; absent when they are not packed.
inline constexpr std::string_view kPackedKey = "packed";
inline constexpr std::string_view kLatentMean = "latent_norm.mean", kLatentVar = "latent_norm.var";

/// "encoder.", "decoder.", "dit." or "guide.": the beginning of the names of a network's tensors.
[[nodiscard]] inline std::string prefix_of(NetworkRole role) {
  return std::string(name_of(role)) + '.';
}

/// The configuration in a file's metadata. Throws FormatError when there is none, ConfigError.
[[nodiscard]] ModelConfig bundle_config(const std::string& origin,
                                        const std::map<std::string, std::string>& metadata);

/// The tensors must be those of the configuration's networks, no more and no less; the encoder may
/// be absent. Their exact shapes are compared when a network is filled; here it is enough that a
/// model of this configuration takes no more memory than the file has. `packed`: the type that
/// matrices are packed for, if they are. Throws FormatError, ShapeError.
void require_tensors(const std::string& origin, const ModelConfig& config,
                     const std::map<std::string, Shape>& shapes,
                     std::optional<DType> packed = std::nullopt);

/// True for an encoder that is a fixed function: a bundle has no tensors of it.
[[nodiscard]] bool needs_no_tensors(const ModelConfig& config, NetworkRole role);

/// The fewest elements that tensors packed for a type have for so many parameters: they are padded,
/// but two weights of 4 bits are one byte.
[[nodiscard]] constexpr index_t least_packed_elements(DType packed, index_t parameters) {
  return packed == DType::int4 ? parameters / 2 : parameters;
}

/// Throws ArgumentError, beginning with `where`, for a note whose key the metadata of a bundle need
/// themselves.
void require_free_notes(std::string_view where, const std::map<std::string, std::string>& notes);

/// Throws FormatError for values that no tensor of this name may have: NaN, infinity, a negative
/// variance.
void require_values(const std::string& origin, const std::string& name,
                    const Tensor<float>& tensor);

}  // namespace rae::detail
