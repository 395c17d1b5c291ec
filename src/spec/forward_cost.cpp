#include "rae/spec/forward_cost.hpp"

#include <algorithm>
#include <cstdio>

#include "rae/nn/outline.hpp"

namespace rae {
namespace {

/// True for layers whose input depends only on time and class.
bool is_conditioning(const DitDhConfig& c, const std::string& name) {
  int block = 0;
  return name.starts_with("t_embedder.") ||
         (name.find("adaLN") != std::string::npos &&
          std::sscanf(name.c_str(), "blocks.%d.", &block) == 1 && block < c.depth[0]);
}
bool is_conditioning(const LightningDitConfig& /*c*/, const std::string& name) {
  return name.starts_with("t_embedder.") || name.find("adaLN") != std::string::npos;
}

/// Adds `blocks` attentions over `tokens` tokens of this width.
void add_attention(ForwardCost& cost, index_t tokens, index_t width, index_t blocks) {
  cost.attention += 2 * tokens * tokens * width * blocks;
}

/// Adds a matrix or windows `shape` that are applied at `rows` places.
void add_layer(ForwardCost& cost, index_t rows, const Shape& shape) {
  cost.layers += rows * shape.numel();
  cost.largest_output = std::max(cost.largest_output, rows * shape[0]);
}

/// Adds all matrices, each applied to rows(name) rows.
template <class Rows>
void add_matrices(ForwardCost& cost, const std::vector<ParameterShape>& parameters, Rows rows) {
  for (const ParameterShape& p : parameters)
    if (p.use != ParameterUse::elements) add_layer(cost, rows(p.name), p.shape);
}

template <template <class> class Model, class Config>
ForwardCost cost_of_diffusion(const Config& c, index_t tokens) {
  ForwardCost cost;
  for (const ParameterShape& p : parameter_shapes<Model>(c)) {
    if (p.use == ParameterUse::elements) continue;
    if (is_conditioning(c, p.name))
      cost.conditioning += p.shape.numel();
    else
      add_layer(cost, tokens, p.shape);
  }
  return cost;
}

/// The tokens of a backbone with condition tokens.
index_t all_tokens(const TokenBackboneConfig& c) {
  return c.rows() * c.columns() + c.time_tokens + c.class_tokens;
}

/// The layers of a network with condition tokens: blocks of the backbone see all tokens, all else
/// the patches.
template <template <class> class Model, class Config>
ForwardCost cost_of_token_network(const Config& c) {
  ForwardCost cost;
  for (const ParameterShape& p : parameter_shapes<Model>(c)) {
    if (p.use == ParameterUse::elements || p.name.starts_with("base_final_layer.") ||
        p.name.starts_with("repa_projector."))
      continue;
    int block = 0;
    const bool in_backbone =
        std::sscanf(p.name.c_str(), "blocks.%d.", &block) == 1 && block < c.depth;
    if (p.name.starts_with("t_embedder."))
      cost.conditioning += p.shape.numel();
    else
      add_layer(cost, in_backbone ? all_tokens(c) : c.rows() * c.columns(), p.shape);
  }
  return cost;
}

}  // namespace

ForwardCost forward_cost(const DitDhConfig& c) {
  const index_t tokens = c.grid_h * c.grid_w;
  ForwardCost cost = cost_of_diffusion<DitDh>(c, tokens);
  for (const int part : {0, 1}) add_attention(cost, tokens, c.hidden_size[part], c.depth[part]);
  return cost;
}

ForwardCost forward_cost(const LightningDitConfig& c) {
  const index_t tokens = (c.input_h / c.patch_size) * (c.input_w / c.patch_size);
  ForwardCost cost = cost_of_diffusion<LightningDit>(c, tokens);
  add_attention(cost, tokens, c.hidden_size, c.depth);
  return cost;
}

ForwardCost forward_cost(const TokenDitConfig& c) {
  ForwardCost cost = cost_of_token_network<TokenDit>(c);
  add_attention(cost, all_tokens(c), c.hidden_size, c.depth);
  return cost;
}

ForwardCost forward_cost(const TokenDitDhConfig& c) {
  ForwardCost cost = cost_of_token_network<TokenDitDh>(c);
  add_attention(cost, all_tokens(c), c.hidden_size, c.depth);
  add_attention(cost, c.rows() * c.columns(), c.head_hidden_size, c.head_depth);
  return cost;
}

ForwardCost forward_cost(const DecoderConfig& c) {
  const index_t patches = c.grid_h * c.grid_w;
  ForwardCost cost;
  add_matrices(cost, parameter_shapes<Decoder>(c), [=](const std::string& name) {
    return patches + (name.starts_with("decoder_embed.") ? 0 : 1);
  });
  add_attention(cost, patches + 1, c.hidden_size, c.num_layers);
  return cost;
}

ForwardCost forward_cost(const EncoderConfig& c, index_t height, index_t width) {
  const index_t patches = (height / c.patch_size) * (width / c.patch_size),
                tokens = patches + c.prefix_tokens();
  ForwardCost cost;
  add_matrices(cost, parameter_shapes<Encoder>(c), [=](const std::string& name) {
    return name.starts_with("patch_embed.") ? patches : tokens;
  });
  add_attention(cost, tokens, c.hidden_size, c.num_layers);
  return cost;
}

ForwardCost forward_cost(const ConvDecoderConfig& c, index_t h, index_t w) {
  index_t positions = h * w, width = c.block_channels.back();
  ForwardCost cost;
  const auto add_convolution = [&](index_t in, index_t out, index_t side) {
    add_layer(cost, positions, {out, in, side, side});
  };
  const auto add_block = [&](index_t in, index_t out) {
    add_convolution(in, out, 3);
    add_convolution(out, out, 3);
    if (in != out) add_convolution(in, out, 1);
  };
  add_convolution(c.latent_channels, c.latent_channels, 1);
  add_convolution(c.latent_channels, width, 3);
  add_block(width, width);
  add_layer(cost, positions, {3 * width, width});  // query, key, value
  add_attention(cost, positions, width, 1);
  add_layer(cost, positions, {width, width});
  add_block(width, width);
  for (std::size_t i = c.block_channels.size(); i-- > 0;) {
    for (index_t layer = 0; layer <= c.layers_per_block; ++layer) {
      add_block(width, c.block_channels[i]);
      width = c.block_channels[i];
    }
    if (i == 0) break;
    positions *= 4;
    add_convolution(width, width, 3);
  }
  add_convolution(width, c.channels, 3);
  return cost;
}

}  // namespace rae
