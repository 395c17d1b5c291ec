// The diffusion networks of the official code, as its configurations and state dicts describe them.
// Source: DiTwDDTHead and LightningDiT of the official repositories (bytetriper/RAE,
// nanovisionx/RAEv2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/official/values.hpp"
#include "rae/io/tensor_source.hpp"
#include "rae/models/name_map.hpp"
#include "rae/spec/backbone.hpp"

namespace rae::official {

/// The network of a class, "DiTwDDTHead" or "LightningDiT", with its `params`. Throws ConfigError.
[[nodiscard]] Backbone parse_transformer(std::string_view class_name, const ConfigNode& params,
                                         Notes& notes);

/// True when the official programs can guide a network of this kind.
[[nodiscard]] bool is_guided(const Backbone& backbone);

/// True for a network of RAEv2.
[[nodiscard]] bool is_of_version_2(const Backbone& backbone);

/// True when the official code has a class for this network.
[[nodiscard]] bool has_class(const Backbone& backbone);

/// The section that describes this network: `target`, `params` and `ckpt`. Needs `has_class`.
[[nodiscard]] ConfigNode transformer_section(const Backbone& backbone, const char* ckpt);

/// The names of a network's parameters in an official state dict; empty when they are the same.
[[nodiscard]] NameMap parameter_names(const Backbone& backbone);

/// Takes the width of the features of REPA from the file's projection, since it follows from an
/// encoder that the configuration only names.
void take_alignment(const TensorSource& tensors, Backbone& backbone);

/// A table of rotary angles in an official state dict: NAME.freqs_cos and NAME.freqs_sin.
struct RotaryTable {
  std::string name;
  index_t grid_h, grid_w, head_dim;
  index_t unrotated = 0;  ///< tokens of angle 0 after the grid
};

/// The properties of an official state dict that do not follow from the parameters.
struct StateDictLayout {
  std::vector<RotaryTable> tables;  ///< after all parameters
  index_t channels = 0, patch = 0;  ///< of the embeddings, which are convolutions there
};

/// The layout of this network. Needs `has_class`.
[[nodiscard]] StateDictLayout state_dict_layout(const Backbone& backbone);

}  // namespace rae::official
