// The sizes that all diffusion transformers with patches of the latent have: LightningDiT and the
// networks of RAEv2.
#pragma once

#include "rae/io/config.hpp"
#include "rae/spec/limits.hpp"

namespace rae::detail {

/// Reads them into a configuration, whose defaults are those of absent keys.
template <class Config>
void parse_dit_sizes(const ConfigNode& node, Config& c) {
  c.input_h = node.get<index_t>("input_h");
  c.input_w = node.get<index_t>("input_w");
  c.patch_size = node.get_or("patch_size", c.patch_size);
  c.in_channels = node.get<index_t>("in_channels");
  c.hidden_size = node.get<index_t>("hidden_size");
  c.depth = node.get<index_t>("depth");
  c.num_heads = node.get<index_t>("num_heads");
  c.mlp_ratio = node.get_or("mlp_ratio", c.mlp_ratio);
  c.num_classes = node.get<index_t>("num_classes");
  c.class_dropout_prob = node.get_or("class_dropout_prob", c.class_dropout_prob);
}

/// The reverse.
template <class Config>
[[nodiscard]] ConfigNode dit_sizes_to_config(const Config& c) {
  return ConfigNode::map({{"input_h", c.input_h},
                          {"input_w", c.input_w},
                          {"patch_size", c.patch_size},
                          {"in_channels", c.in_channels},
                          {"hidden_size", c.hidden_size},
                          {"depth", c.depth},
                          {"num_heads", c.num_heads},
                          {"mlp_ratio", c.mlp_ratio},
                          {"num_classes", c.num_classes},
                          {"class_dropout_prob", c.class_dropout_prob}});
}

/// Throws ConfigError, naming the place below `place`, for a value out of range.
template <class Config>
void validate_dit_sizes(const Config& c, const ConfigPlace& place) {
  require_size(place / "input_h", c.input_h, 1, kMaxGrid);
  require_size(place / "input_w", c.input_w, 1, kMaxGrid);
  require_size(place / "patch_size", c.patch_size, 1, kMaxGrid);
  if (c.input_h % c.patch_size != 0 || c.input_w % c.patch_size != 0)
    raise<ConfigError>(place.to_string(), ": a latent of ", c.input_h, " x ", c.input_w,
                       " does not divide into patches of ", c.patch_size);
  require_size(place / "in_channels", c.in_channels, 1, kMaxWidth);
  require_size(place / "hidden_size", c.hidden_size, 1, kMaxWidth);
  require_size(place / "depth", c.depth, 1, kMaxLayers);
  require_size(place / "num_heads", c.num_heads, 1, kMaxWidth);
  require_number(place / "mlp_ratio", c.mlp_ratio, 0, kMaxMlpRatio);
  require_size(place / "num_classes", c.num_classes, 1, kMaxClasses);
  require_number(place / "class_dropout_prob", c.class_dropout_prob, 0, 1);
}

}  // namespace rae::detail
