// The sizes of the networks of RAEv2 in a golden case, from its `params` and `cond_arch`.
#pragma once

#include <vector>

#include "rae/io/config.hpp"
#include "rae/models/token_dit_dh.hpp"

namespace rae::test {

/// The sizes that both networks share.
inline void read_token_dit_sizes(const ConfigNode& node, TokenBackboneConfig& c) {
  const ConfigNode &params = node.at("params"), &arch = node.at("cond_arch");
  c.input_h = c.input_w = params.get<index_t>("input_size");
  c.in_channels = params.get<index_t>("in_channels");
  c.mlp_ratio = params.get_or("mlp_ratio", c.mlp_ratio);
  c.num_classes = params.get<index_t>("num_classes");
  c.time_tokens = arch.get<index_t>("t");
  c.class_tokens = arch.get<index_t>("c");
  c.base_depth = params.get<index_t>("base_model_depth");
  if (params.get_or("enable_repa", false)) {
    c.align_depth = params.get<index_t>("repa_layer_depth");
    c.align_width = params.get<index_t>("z_dim");
  }
}

/// All sizes of the network with a head.
inline TokenDitDhConfig token_dit_dh_sizes(const ConfigNode& node) {
  TokenDitDhConfig c;
  read_token_dit_sizes(node, c);
  const ConfigNode& params = node.at("params");
  const auto pair = [&](const char* key) { return params.get<std::vector<index_t>>(key); };
  c.patch_size = pair("patch_size")[0];
  c.hidden_size = pair("hidden_size")[0];
  c.head_hidden_size = pair("hidden_size")[1];
  c.depth = pair("depth")[0];
  c.head_depth = pair("depth")[1];
  c.num_heads = pair("num_heads")[0];
  c.head_num_heads = pair("num_heads")[1];
  return c;
}

}  // namespace rae::test
