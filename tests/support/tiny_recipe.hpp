// A recipe that trains within a second: gray pictures of 8 x 8 in ten classes.
#pragma once

namespace rae::test {

inline constexpr const char* kTinyRecipe = R"(
model:
  name: tiny
  image_size: 8
  pixels: {mean: [0.5], std: [0.3]}
  encoder: {family: siglip2, patch_size: 4, channels: 1, hidden_size: 8, num_layers: 1, num_heads: 2, intermediate_size: 16, table_h: 2, table_w: 2}
  decoder: {grid_h: 2, grid_w: 2, in_dim: 8, hidden_size: 8, num_layers: 1, num_heads: 2, intermediate_size: 16, patch_size: 4, channels: 1}
  dit: {grid_h: 2, grid_w: 2, in_channels: 8, hidden_size: [8, 12], depth: [1, 1], num_heads: [2, 3], num_classes: 10, class_dropout_prob: 0.1}
  time_shift: 2.0
  sampling: {steps: 4}
encoder:
  pretraining: {augmentation: {shift: 1, flip: true}}
  train: {steps: 4, batch_size: 6, log_every: 1, seed: 1}
decoder:
  loss: {noise_tau: 0.4, perceptual_weight: 0.2}
  train: {steps: 4, batch_size: 6, log_every: 1, seed: 2}
dit:
  flow: {time: logit-normal_0_1}
  train: {steps: 6, batch_size: 6, log_every: 1, seed: 3, checkpoint_every: 2}
notes: {licence: MIT}
)";

}  // namespace rae::test
