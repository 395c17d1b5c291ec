// The largest sizes that configurations may have, and checks of values against limits, so that
// absurd sizes are refused before memory is allocated for them.
#pragma once

#include <string_view>

#include "rae/core/shape.hpp"
#include "rae/io/config_place.hpp"

namespace rae {

/// Largest width of a network's tokens; hidden layers may have 16 times as much.
inline constexpr index_t kMaxWidth = index_t{1} << 16;
/// Largest number of layers of a network.
inline constexpr index_t kMaxLayers = 1024;
/// Largest number of classes.
inline constexpr index_t kMaxClasses = index_t{1} << 20;
/// Largest side of a table of position embeddings, of the grid of a single network, and of a patch.
inline constexpr index_t kMaxGrid = 1024;
/// Largest ratio of hidden width to width.
inline constexpr double kMaxMlpRatio = 64;
/// Largest number of elements of one latent, C * h * w.
inline constexpr index_t kMaxLatentSize = index_t{1} << 24;
/// Largest side of a latent's grid.
inline constexpr index_t kMaxLatentGrid = 128;
/// Largest side of the pictures of a model.
inline constexpr index_t kMaxModelImageSize = 4096;

/// Throws ConfigError, "PLACE: expected an integer from LOWEST to HIGHEST, got VALUE", for a value
/// outside these limits.
void require_size(const ConfigPlace& place, index_t value, index_t lowest, index_t highest);

/// The same for a number; NaN is always refused.
void require_number(const ConfigPlace& place, double value, double lowest, double highest);

/// Throws ConfigError, naming the place of a transformer's configuration, unless its width is a
/// multiple of its number of heads. `name` is that of the width, for example "hidden_size".
void require_heads(const ConfigPlace& place, std::string_view name, index_t width, index_t heads);

/// The same for a block of LightningDiT or DiT^DH: with rotary positions the width of a head must
/// be a multiple of 4, and the hidden layer of the MLP must have at least one unit.
void require_dit_width(const ConfigPlace& place, std::string_view name, index_t width,
                       index_t heads, bool rope, double mlp_ratio);

}  // namespace rae
