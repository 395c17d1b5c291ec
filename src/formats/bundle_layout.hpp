// The layout of a bundle: keys of its metadata, names of its tensors, and the checks that all
// readers and writers share.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rae/spec/network_role.hpp"

namespace rae::detail {

inline constexpr std::string_view kConfigKey = "config";
/// The type of weights that matrices are packed for, or kMixed; absent when they are not packed.
inline constexpr std::string_view kPackedKey = "packed";
/// The value of kPackedKey when each matrix has a type of its own, which kLayerTypesKey names: a
/// map in JSON from the name of the matrix to its type.
inline constexpr std::string_view kMixed = "mixed", kLayerTypesKey = "layer_types";
inline constexpr std::string_view kLatentMean = "latent_norm.mean", kLatentVar = "latent_norm.var";

/// "encoder.", "decoder.", "dit." or "guide.": the prefix of a network's tensors.
[[nodiscard]] inline std::string prefix_of(NetworkRole role) {
  return std::string(name_of(role)) + '.';
}

/// The configuration in a file's metadata. Throws FormatError when there is none, ConfigError when
/// it is invalid.
[[nodiscard]] ModelConfig bundle_config(const std::string& origin,
                                        const std::map<std::string, std::string>& metadata);

/// Throws FormatError or ShapeError unless the tensors are exactly those of the configuration's
/// networks; the encoder may be absent. Only the number of elements of each network is compared, so
/// that a model takes no more memory than its file has; the shapes are compared when the network is
/// filled. `packed`: the type that matrices are packed for, if they are.
void require_tensors(const std::string& origin, const ModelConfig& config,
                     const std::map<std::string, Shape>& shapes,
                     std::optional<DType> packed = std::nullopt);

/// True for an encoder without parameters, of which a bundle has no tensors.
[[nodiscard]] bool needs_no_tensors(const ModelConfig& config, NetworkRole role);

/// The smallest number of elements of packed tensors with this number of weights. Packed tensors
/// may be padded, and two weights of 4 bits are one byte.
[[nodiscard]] constexpr index_t least_packed_elements(DType packed, index_t parameters) {
  return packed == DType::int4 ? parameters / 2 : parameters;
}

/// Throws ArgumentError, whose message begins with `where`, for a note whose key is reserved for
/// the metadata of bundles.
void require_free_notes(std::string_view where, const std::map<std::string, std::string>& notes);

/// Throws FormatError for NaN and infinity, and for a negative variance of the latents.
void require_values(const std::string& origin, const std::string& name,
                    const Tensor<float>& tensor);

}  // namespace rae::detail
