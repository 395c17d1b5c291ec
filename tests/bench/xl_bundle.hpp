// A model of official size with random weights: DiT^DH-XL and the ViT-XL decoder in one file of 5
// GB.
#pragma once

#include <filesystem>
#include <string>

#include "rae/formats/bundle.hpp"
#include "rae/nn/outline.hpp"
#include "tool/bench_model.hpp"

namespace rae::bench {

template <template <class> class Model, class Config>
void add_random_weights(Bundle& bundle, const std::string& prefix, const Config& config) {
  for (const auto& p : parameter_shapes<Model>(config))
    bundle.tensors[prefix + p.name] = tool::random_weight(p.shape);
}

/// Writes the file if it does not exist.
inline void require_xl_bundle(const std::string& path) {
  if (std::filesystem::exists(path)) return;
  Bundle bundle;
  bundle.config.name = "xl";
  bundle.config.encoder_size = 224;
  bundle.config.image_size = 256;
  bundle.config.pixels = {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
  bundle.config.dit = DitDhConfig{};
  bundle.config.decoder = DecoderConfig{};
  bundle.config.time_shift = 6.93;
  add_random_weights<DitDh>(bundle, "dit.", DitDhConfig{});
  add_random_weights<Decoder>(bundle, "decoder.", *bundle.config.decoder);
  bundle.save(path);
}

}  // namespace rae::bench
