// The tiny DiT^DH of the golden cases sample_ode and sample_sde as the files of a model that has
// neither encoder nor decoder.
#pragma once

#include "rae/formats/model_files.hpp"
#include "support/golden_model.hpp"

namespace rae::test {

/// The model with its guide, and the sampling defaults of the golden data: 8 grid points.
inline ModelFiles sampler_model() {
  const ConfigNode golden = golden_config("sample_ode");
  ModelConfig c;
  c.name = "sampler";
  const DitDhConfig dit = dit_dh_config(golden.at("model"));
  c.dit = dit;
  c.guide = dit_dh_config(golden.at("guide_model"));
  c.encoder = EncoderConfig{.family = EncoderFamily::mae,
                            .patch_size = 4,
                            .hidden_size = dit.in_channels,
                            .num_layers = 1,
                            .num_heads = 1,
                            .intermediate_size = 8,
                            .registers = 0,
                            .table_h = 4,
                            .table_w = 4};
  c.image_size = 4 * dit.grid_h;
  c.time_shift = golden.get<double>("time_dist_shift");
  c.sampling.steps = 8;
  c.sampling.grid = TimeGridKind::official;
  const auto group = [](const char* name) {
    return TensorGroup{TensorSource::open(data_path(std::string("golden/sample_ode/") + name)), {}};
  };
  return {.config = c,
          .encoder = {},
          .decoder = {},
          .dit = group("weights.safetensors"),
          .guide = group("guide_weights.safetensors"),
          .latent_norm = {},
          .origin = "sample_ode"};
}

}  // namespace rae::test
