// Latents of several layers, whose golden values were computed by the official RAEv2 code.
#include <gtest/gtest.h>

#include <memory>

#include "rae/autograd/gradcheck.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/models/rae.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

TEST(MultilayerLatent, EncodesAndDecodesTheGoldenPictures) {
  const std::string folder = test::data_path("golden/v2_multilayer_latent");
  PretrainedEncoder pretrained = open_encoder_folder(folder + "/encoder");
  pretrained.config.latent_layers = {1, 2, 3};
  pretrained.config.add_last_mean = true;
  Encoder<Tensor<float>> encoder(pretrained.config);
  fill_weights(encoder, pretrained.file);
  const ConfigNode d = ConfigNode::load(folder + "/decoder/config.json");
  const auto decoder = std::make_shared<Decoder<Tensor<float>>>(
      DecoderConfig{.grid_h = 4,
                    .grid_w = 4,
                    .in_dim = pretrained.config.hidden_size,
                    .hidden_size = d.get<index_t>("decoder_hidden_size"),
                    .num_layers = d.get<index_t>("decoder_num_hidden_layers"),
                    .num_heads = d.get<index_t>("decoder_num_attention_heads"),
                    .intermediate_size = d.get<index_t>("decoder_intermediate_size")});
  fill_weights(*decoder, {TensorSource::open(folder + "/decoder/decoder.pt"), decoder_names()});
  RaeSettings<float> settings{64, 64, pretrained.pixels, {}, PixelRange::unit};
  const TensorSource stats = TensorSource::open(folder + "/stats.pt");
  settings.latent_norm.mean = stats.read<float>("mean");
  settings.latent_norm.var = stats.read<float>("var");
  const std::vector<Tensor<float>> layers = [&] {
    const Golden io("v2_multilayer_latent/io.safetensors");
    return encoder.hidden_states(
        encoder_input(io("64x64.image"), 64, pretrained.pixels));  // (B, N, D) each
  }();
  const Rae<float> rae(encoder_network(std::move(encoder)), decoder, settings);
  const Golden io("v2_multilayer_latent/io.safetensors");
  for (const std::size_t i : {1u, 2u, 3u})
    EXPECT_TRUE(close(layers[i], io(concat("64x64.ln_layer", i)), 5e-5)) << i;
  for (const std::string size : {"64x64", "80x72"}) {
    EXPECT_TRUE(close(rae.encode_tokens(io(size + ".image")), io(size + ".tokens"), 5e-5));
    EXPECT_TRUE(close(rae.encode(io(size + ".image")), io(size + ".latent"), 5e-5));
    EXPECT_TRUE(close(rae.decode(io(size + ".latent")), io(size + ".reconstruction"), 2e-5));
  }
}

TEST(MultilayerLatent, AveragesAndAddsTheMeanOfTheLastLayer) {
  const Tensor<double> a(Shape{1, 2, 2}, {1, 2, 3, 4}), b(Shape{1, 2, 2}, {5, 7, 9, 11});
  using Layers = std::vector<Tensor<double>>;
  EXPECT_TRUE(close(layer_mean(Layers{a, b}, false),
                    Tensor<double>(Shape{1, 2, 2}, {3, 4.5, 6, 7.5}), 1e-15));
  // The mean token of b is (7, 9).
  EXPECT_TRUE(close(layer_mean(Layers{a, b}, true),
                    Tensor<double>(Shape{1, 2, 2}, {10, 13.5, 13, 16.5}), 1e-15));
  EXPECT_THROW((void)layer_mean(Layers{}, false), ArgumentError);
  EXPECT_THROW((void)layer_mean(Layers{a, Tensor<double>(Shape{1, 1, 2}, 0.0)}, false), ShapeError);
}

}  // namespace
}  // namespace rae
