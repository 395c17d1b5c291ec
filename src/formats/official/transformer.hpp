// The two diffusion networks of the official code, as its configurations and state dicts describe
// them. Source: DiTwDDTHead and LightningDiT of the official repository (bytetriper/RAE).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/official/values.hpp"
#include "rae/spec/backbone.hpp"

namespace rae::official {

/// The network of a class, "DiTwDDTHead" or "LightningDiT", with its `params`. Throws ConfigError.
[[nodiscard]] Backbone parse_transformer(std::string_view class_name, const ConfigNode& params,
                                         Notes& notes);

/// True when the official programs can guide a network of this kind.
[[nodiscard]] bool is_guided(const Backbone& backbone);

/// True when the official code has a class for this network.
[[nodiscard]] bool has_class(const Backbone& backbone);

/// The section that describes this network: `target`, `params` and `ckpt`. Needs `has_class`.
[[nodiscard]] ConfigNode transformer_section(const Backbone& backbone, const char* ckpt);

/// A table of rotary angles in an official state dict: NAME.freqs_cos and NAME.freqs_sin.
struct RotaryTable {
  std::string name;
  index_t grid_h, grid_w, head_dim;
};

/// The properties of an official state dict that do not follow from the parameters.
struct StateDictLayout {
  std::vector<RotaryTable> tables;  ///< after all parameters
  index_t channels = 0, patch = 0;  ///< of the embeddings, which are convolutions there
};

/// The layout of this network. Needs `has_class`.
[[nodiscard]] StateDictLayout state_dict_layout(const Backbone& backbone);

}  // namespace rae::official
