// Initial weights with the distributions of the official modules: PyTorch's defaults for linear
// layers, then the changes of each model.
//
// Diffusion Transformers with Representation Autoencoders, official code
// (DiTwDDTHead.initialize_weights, LightningDiT.initialize_weights, GeneralDecoder); MAE,
// section 3.
#pragma once

#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/nn/initialize.hpp"

namespace rae {

/// Initial weights of DiT^DH: PyTorch's defaults, except for Xavier for the token embeddings, a
/// sin-cos table, normal with deviation 0.02 for the embeddings of time and label (1 for the
/// frequencies), and zero for all modulations and the output.
template <Operand X>
void initialize(DitDh<X>& model, std::uint64_t seed) {
  constexpr std::uint64_t kOwn = 1u << 20;  // the first stream after those of init_default
  init_default(model, seed);
  if (!model.pos_embed.empty())
    init_sincos(model.pos_embed, model.config().grid_h, model.config().grid_w);
  init_xavier(model.x_embedder, seed, kOwn);
  init_xavier(model.s_embedder, seed, kOwn + 1);
  init_normal(model.t_embedder.frequencies, 1.0, seed, kOwn + 2);
  init_normal(model.t_embedder.in.weight, 0.02, seed, kOwn + 3);
  init_normal(model.t_embedder.out.weight, 0.02, seed, kOwn + 4);
  init_normal(model.y_embedder.table, 0.02, seed, kOwn + 5);
  for (DitBlock<X>& block : model.blocks) init_zero(block.adaln);
  init_zero(model.final_layer.adaln);
  init_zero(model.final_layer.linear_out);
}

/// Initial weights of LightningDiT: Xavier for the matrices and zero biases, a sin-cos table,
/// normal with deviation 0.02 for the embeddings of time and label (1 for the frequencies), and
/// zero for all modulations and the output. Official LightningDiT.initialize_weights.
template <Operand X>
void initialize(LightningDit<X>& model, std::uint64_t seed) {
  std::uint64_t stream = 1u << 20;  // the first after those of init_default
  init_default(model, seed);
  const index_t p = model.config().patch_size;
  init_sincos(model.pos_embed, model.config().input_h / p, model.config().input_w / p);
  init_xavier(model.x_embedder, seed, stream++);
  init_normal(model.t_embedder.frequencies, 1.0, seed, stream++);
  for (Linear<X>* linear : {&model.t_embedder.in, &model.t_embedder.out}) {
    init_normal(linear->weight, 0.02, seed, stream++);
    init_constant(linear->bias, 0.0);
  }
  init_normal(model.y_embedder.table, 0.02, seed, stream++);
  for (DitBlock<X>& block : model.blocks) {
    for (Linear<X>* linear : {&block.qkv, &block.proj, &block.mlp.in, &block.mlp.out})
      init_xavier(*linear, seed, stream++);
    init_zero(block.adaln);
  }
  init_zero(model.final_layer.adaln);
  init_zero(model.final_layer.linear_out);
}

namespace detail {
/// The distributions that both networks of RAEv2 share; uses the streams from `stream` on.
template <Operand X>
void initialize_tokens(TokenBackbone<X>& model, std::uint64_t seed, std::uint64_t stream) {
  init_xavier(model.embedder, seed, stream++);
  init_normal(model.t_embedder.frequencies, 1.0, seed, stream++);
  init_normal(model.t_embedder.in.weight, 0.02, seed, stream++);
  init_normal(model.t_embedder.out.weight, 0.02, seed, stream++);
  init_normal(model.y_embedder.table, 0.02, seed, stream++);
  const double deviation = 1 / math::sqrt(static_cast<double>(model.config().hidden_size));
  init_normal(model.time_tokens, deviation, seed, stream++);
  init_normal(model.class_tokens, deviation, seed, stream++);
}
}  // namespace detail

/// Initial weights of LightningDiT of RAEv2: PyTorch's defaults, except for Xavier for the token
/// embedding, normal with deviation 0.02 for the embeddings of time and label (1 for the
/// frequencies), normal with variance 1/h for the learned tokens, and zero for the outputs.
template <Operand X>
void initialize(TokenDit<X>& model, std::uint64_t seed) {
  init_default(model, seed);
  detail::initialize_tokens(model.backbone, seed, 1u << 20);
  init_zero(model.final_layer.linear_out);
  init_zero(model.base_final_layer.linear_out);
}

/// The same for DiT^DH of RAEv2, with zero for all modulations, too.
template <Operand X>
void initialize(TokenDitDh<X>& model, std::uint64_t seed) {
  constexpr std::uint64_t kOwn = 1u << 20;
  init_default(model, seed);
  init_xavier(model.x_embedder, seed, kOwn);
  detail::initialize_tokens(model.encoder, seed, kOwn + 1);
  for (DitBlock<X>& block : model.blocks) init_zero(block.adaln);
  for (DitFinalLayer<X>* layer : {&model.final_layer, &model.base_final_layer}) {
    init_zero(layer->adaln);
    init_zero(layer->linear_out);
  }
}

/// Initial weights of the ViT decoder: PyTorch's defaults, a sin-cos table, a class token of zeros.
template <Operand X>
void initialize(Decoder<X>& model, std::uint64_t seed) {
  init_default(model, seed);
  init_constant(model.cls_token, 0.0);
  init_sincos(model.pos_embed, model.config().grid_h, model.config().grid_w);
}

/// Initial weights of an encoder: Xavier for all matrices and zero biases, as in MAE, a sin-cos
/// table, and normal with deviation 0.02 for class and register tokens.
template <Operand X>
void initialize(Encoder<X>& model, std::uint64_t seed) {
  constexpr std::uint64_t kOwn = 1u << 20;
  init_default(model, seed);
  std::uint64_t stream = kOwn;
  auto init = [&](Linear<X>& linear) { init_xavier(linear, seed, stream++); };
  init(model.patch_embed);
  for (VitBlock<X>& layer : model.layers) {
    for (Linear<X>* linear : {&layer.qkv, &layer.proj, &layer.fc1, &layer.fc2}) init(*linear);
  }
  init_normal(model.cls_token, 0.02, seed, stream++);
  init_normal(model.register_tokens, 0.02, seed, stream++);
  if (!model.pos_embed.empty())
    init_sincos(model.pos_embed, model.config().table_h, model.config().table_w);
}

}  // namespace rae
