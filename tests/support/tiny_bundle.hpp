// A bundle of tiny random models, for all tests that load a model.
#pragma once

#include "rae/formats/bundle.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/nn/initialize.hpp"

namespace rae::test {

/// The DiT^DH configuration of a model. Throws ConfigError if the model has another network.
inline DitDhConfig& dit_of(ModelConfig& c) { return c.dit->get<DitDhConfig>(); }
inline const DitDhConfig& dit_of(const ModelConfig& c) { return c.dit->get<DitDhConfig>(); }

/// 8 x 8 gray pictures, a 2 x 2 grid of 16-dimensional tokens, three classes.
inline ModelConfig tiny_config() {
  ModelConfig c;
  c.name = "tiny";
  c.encoder = EncoderConfig{.family = EncoderFamily::mae,
                            .patch_size = 4,
                            .channels = 1,
                            .hidden_size = 16,
                            .num_layers = 1,
                            .num_heads = 2,
                            .intermediate_size = 32,
                            .registers = 0,
                            .table_h = 2,
                            .table_w = 2,
                            .layer_norm_eps = 1e-12};
  c.pixels = {{0.25, 0.25, 0.25}, {0.5, 0.5, 0.5}};
  c.image_size = 8;
  c.decoder = DecoderConfig{.grid_h = 2,
                            .grid_w = 2,
                            .in_dim = 16,
                            .hidden_size = 24,
                            .num_layers = 1,
                            .num_heads = 2,
                            .intermediate_size = 32,
                            .patch_size = 4,
                            .channels = 1};
  c.dit = DitDhConfig{.grid_h = 2,
                      .grid_w = 2,
                      .in_channels = 16,
                      .hidden_size = {16, 24},
                      .depth = {1, 1},
                      .num_heads = {2, 2},
                      .mlp_ratio = 2.0,
                      .num_classes = 3};
  c.time_shift = 1.5;
  c.sampling = {.steps = 4,
                .solver = Solver::euler,
                .guidance = {.scale = 1.5f, .t_min = 0.25f, .t_max = 0.75f}};
  c.class_names = {"circle", "square", "star"};
  return c;
}

/// The same model for pictures of 8 x 12 on a grid of 2 x 3.
inline ModelConfig wide_config() {
  ModelConfig c = tiny_config();
  c.image_width = 12;
  c.decoder->grid_w = dit_of(c).grid_w = 3;
  return c;
}

/// A LightningDiT for the latents of `tiny_config`.
inline LightningDitConfig tiny_lightning_dit() {
  LightningDitConfig c;
  c.input_h = c.input_w = 2;
  c.in_channels = 16;
  c.hidden_size = 24;
  c.depth = 2;
  c.num_heads = 2;
  c.num_classes = 3;
  return c;
}

/// Normal weights, with mean 1 for the weights of norms; each parameter has its own stream.
template <class Model>
void fill_random(Model& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  model.parameters([&](const std::string& name, auto& p) {
    init_normal(p, 0.2, seed, ++stream);
    if (name.find("norm") == std::string::npos || p.shape().rank() != 1 ||
        name.find("weight") == std::string::npos)
      return;
    auto values = p.tensor();
    for (auto& value : values.span()) value += 1;
    p.set(values);
  });
}

/// The configuration of the built-in encoder of a model.
inline EncoderConfig& vit_of(ModelConfig& config) { return config.encoder.get<EncoderConfig>(); }
/// The same for a const model.
inline const EncoderConfig& vit_of(const ModelConfig& config) {
  return config.encoder.get<EncoderConfig>();
}

/// Random weights for all networks of a configuration.
inline Bundle random_bundle(ModelConfig config, std::uint64_t seed = 1) {
  Bundle bundle;
  bundle.config = std::move(config);
  const auto encoder = bundle.config.encoder.make();
  fill_random(*encoder, seed);
  bundle.store("encoder.", *encoder);
  if (bundle.config.decoder) {
    Decoder<Tensor<float>> decoder(*bundle.config.decoder);
    fill_random(decoder, seed + 1);
    bundle.store("decoder.", decoder);
  }
  if (bundle.config.dit) {
    const auto dit = bundle.config.dit->make<Tensor<float>>();
    fill_random(*dit, seed + 2);
    bundle.store("dit.", *dit);
  }
  if (bundle.config.guide) {
    const auto guide = bundle.config.guide->make<Tensor<float>>();
    fill_random(*guide, seed + 3);
    bundle.store("guide.", *guide);
  }
  LatentNorm<float> norm;
  norm.mean = Tensor<float>(bundle.config.latent_shape());
  norm.var = Tensor<float>(bundle.config.latent_shape());
  Philox(seed, 100).fill_normal(norm.mean.span());
  Philox(seed, 101).fill_uniform(norm.var.span());
  bundle.store_latent_norm(norm);
  bundle.notes["license"] = "MIT";
  return bundle;
}

/// The bundle that most tests use.
inline Bundle tiny_bundle(std::uint64_t seed = 1) { return random_bundle(tiny_config(), seed); }

}  // namespace rae::test
