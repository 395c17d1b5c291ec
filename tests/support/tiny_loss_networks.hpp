// Random files of LPIPS and of a DINO backbone, as small as pictures of 16 x 16 allow.
#pragma once

#include <string>
#include <vector>

#include "rae/io/safetensors.hpp"
#include "rae/models/dino_disc.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/lpips.hpp"

namespace rae::test {

/// LPIPS of widths 2, 2, 3, 3, 4 under the names of torchvision.
inline void write_tiny_lpips(const std::string& path) {
  Lpips<Tensor<float>> model(LpipsConfig{.channels = {2, 2, 3, 3, 4}});
  std::uint64_t stream = 0;
  model.parameters([&](const std::string& name, Parameter<Tensor<float>>& p) {
    if (name.rfind("heads.", 0) == 0)
      init_constant(p, 0.5);  // distances must not be negative
    else
      init_uniform(p, 0.6, 7, ++stream);
  });
  std::vector<SafetensorsEntry> entries;
  model.parameters([&](const std::string& name, Parameter<Tensor<float>>& p) {
    entries.push_back({lpips_names()(name).front(), p.tensor()});
  });
  write_safetensors(path, entries);
}

/// The sizes of the tiny discriminator: two layers of width 8 with two heads, patches of 8 x 8.
inline DinoDiscConfig tiny_disc_config() {
  return {.image_size = 16,
          .patch_size = 8,
          .hidden_size = 8,
          .num_layers = 2,
          .num_heads = 2,
          .intermediate_size = 16,
          .key_layers = {0},
          .kernel_size = 3};
}

/// The backbone of `tiny_disc_config` under the names of DINO.
inline void write_tiny_dino(const std::string& path) {
  DinoDiscriminator<Tensor<float>> model(tiny_disc_config());
  init_default(model.backbone, 9);
  std::vector<SafetensorsEntry> entries;
  model.backbone.parameters([&](const std::string& name, Parameter<Tensor<float>>& p) {
    const bool patches = name == "patch_embed.proj.weight";  // in the file it is a convolution
    entries.push_back({name, patches ? p.tensor().reshaped({8, 3, 8, 8}) : p.tensor()});
  });
  write_safetensors(path, entries);
}

}  // namespace rae::test
