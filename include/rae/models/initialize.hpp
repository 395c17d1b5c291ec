// Initial weights, as the official modules draw them: PyTorch's default for linear layers, then
// what each model changes.
//
// Diffusion Transformers with Representation Autoencoders, official code
// (DiTwDDTHead.initialize_weights, LightningDiT.initialize_weights, GeneralDecoder); MAE,
// section 3.
#pragma once

#include "rae/kernels/rope.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"

namespace rae {

namespace detail {

/// The last part of a parameter's name.
inline std::string last_name(const std::string& name) { return name.substr(name.rfind('.') + 1); }

/// Sets every element.
template <Operand X>
void init_constant(Parameter<X>& p, double value) {
  using T = typename X::value_type;
  if (!p.empty()) p.set(Tensor<T>(p.shape(), static_cast<T>(value)));
}

/// PyTorch's defaults: matrices and their biases uniform within 1/sqrt(fan in), norms 1 and 0,
/// LayerScale 1. Every parameter has a stream of its own, by its place in the model's list.
template <class Model>
void init_default(Model& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  double bound = 0;  // of the layer whose bias comes next; 0 behind a norm
  model.parameters([&](const std::string& name, auto& p) {
    ++stream;
    if (p.empty()) return;
    if (p.shape().rank() == 2) {
      bound = 1.0 / std::sqrt(static_cast<double>(p.shape()[1]));
      init_uniform(p, bound, seed, stream);
    } else if (last_name(name) == "bias") {
      init_uniform(p, bound, seed, stream);
    } else if (p.shape().rank() == 1) {
      bound = 0;
      init_constant(p, 1.0);
    }
  });
}

/// The sin-cos table of a grid, behind `prefix` rows of zeros: (1, prefix + N, D).
template <Operand X>
void init_sincos(Parameter<X>& p, index_t grid_h, index_t grid_w) {
  using T = typename X::value_type;
  const Tensor<T> table = sincos_position_table<T>(grid_h, grid_w, p.shape()[2]);  // (N, D)
  Tensor<T> values = Tensor<T>::zeros(p.shape());  // (1, prefix + N, D)
  std::copy_n(table.data(), table.numel(), values.data() + values.numel() - table.numel());
  p.set(values);
}

/// Xavier-uniform weight, zero bias.
template <Operand X>
void init_xavier(Linear<X>& linear, std::uint64_t seed, std::uint64_t stream) {
  const Shape s = linear.weight.shape();
  init_uniform(linear.weight, std::sqrt(6.0 / static_cast<double>(s[0] + s[1])), seed, stream);
  init_constant(linear.bias, 0.0);
}

template <Operand X>
void init_zero(Linear<X>& linear) {
  init_constant(linear.weight, 0.0);
  init_constant(linear.bias, 0.0);
}

}  // namespace detail

/// DiT^DH as it starts its training: all modulations and the output are zero.
template <Operand X>
void initialize(DitDh<X>& model, std::uint64_t seed) {
  constexpr std::uint64_t kOwn = 1u << 20;  // streams behind those of init_default
  detail::init_default(model, seed);
  if (!model.pos_embed.empty())
    detail::init_sincos(model.pos_embed, model.config().grid_h, model.config().grid_w);
  detail::init_xavier(model.x_embedder, seed, kOwn);
  detail::init_xavier(model.s_embedder, seed, kOwn + 1);
  init_normal(model.t_embedder.frequencies, 1.0, seed, kOwn + 2);
  init_normal(model.t_embedder.in.weight, 0.02, seed, kOwn + 3);
  init_normal(model.t_embedder.out.weight, 0.02, seed, kOwn + 4);
  init_normal(model.y_embedder.table, 0.02, seed, kOwn + 5);
  for (DitBlock<X>& block : model.blocks) detail::init_zero(block.adaln);
  detail::init_zero(model.final_layer.adaln);
  detail::init_zero(model.final_layer.linear_out);
}

/// LightningDiT as it starts its training: Xavier for all matrices and zero biases, a sin-cos
/// table, and zero for all modulations and the output. Official LightningDiT.initialize_weights.
template <Operand X>
void initialize(LightningDit<X>& model, std::uint64_t seed) {
  std::uint64_t stream = 1u << 20;  // after those of init_default
  detail::init_default(model, seed);
  const index_t p = model.config().patch_size;
  detail::init_sincos(model.pos_embed, model.config().input_h / p, model.config().input_w / p);
  detail::init_xavier(model.x_embedder, seed, stream++);
  init_normal(model.t_embedder.frequencies, 1.0, seed, stream++);
  for (Linear<X>* linear : {&model.t_embedder.in, &model.t_embedder.out}) {
    init_normal(linear->weight, 0.02, seed, stream++);
    detail::init_constant(linear->bias, 0.0);
  }
  init_normal(model.y_embedder.table, 0.02, seed, stream++);
  for (DitBlock<X>& block : model.blocks) {
    for (Linear<X>* linear : {&block.qkv, &block.proj, &block.mlp.in, &block.mlp.out})
      detail::init_xavier(*linear, seed, stream++);
    detail::init_zero(block.adaln);
  }
  detail::init_zero(model.final_layer.adaln);
  detail::init_zero(model.final_layer.linear_out);
}

/// The ViT decoder: PyTorch's defaults, a sin-cos table, a class token of zeros.
template <Operand X>
void initialize(Decoder<X>& model, std::uint64_t seed) {
  detail::init_default(model, seed);
  detail::init_constant(model.cls_token, 0.0);
  detail::init_sincos(model.pos_embed, model.config().grid_h, model.config().grid_w);
}

/// An encoder to be pretrained: Xavier for all matrices and zero biases, as MAE does, and a sin-cos
/// table to start from.
template <Operand X>
void initialize(Encoder<X>& model, std::uint64_t seed) {
  constexpr std::uint64_t kOwn = 1u << 20;
  detail::init_default(model, seed);
  std::uint64_t stream = kOwn;
  auto init = [&](Linear<X>& linear) { detail::init_xavier(linear, seed, stream++); };
  init(model.patch_embed);
  for (VitBlock<X>& layer : model.layers) {
    for (Linear<X>* linear : {&layer.qkv, &layer.proj, &layer.fc1, &layer.fc2}) init(*linear);
  }
  init_normal(model.cls_token, 0.02, seed, stream++);
  init_normal(model.register_tokens, 0.02, seed, stream++);
  detail::init_sincos(model.pos_embed, model.config().table_h, model.config().table_w);
}

}  // namespace rae
