// The values that RAEv2 adds to the axes of a model's configuration: written, read, and refused
// where they do not fit.
#include <gtest/gtest.h>

#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/spec/model_config.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;

TokenDitDhConfig tiny_token_dit() {
  TokenDitDhConfig c;
  c.input_h = c.input_w = 2;
  c.in_channels = 16;
  c.hidden_size = c.head_hidden_size = 8;
  c.num_heads = c.head_num_heads = 2;
  c.depth = 2;
  c.head_depth = 1;
  c.num_classes = 3;
  c.base_depth = 1;
  return c;
}

/// The tiny model with a network of RAEv2.
ModelConfig tiny_model() {
  ModelConfig c = test::tiny_config();
  c.guide.reset();
  c.sampling.autoguidance.reset();
  c.dit = tiny_token_dit();
  c.prediction = Prediction::data;
  c.prediction_floor = 0.1;
  c.decoder_output = PixelRange::unit;
  c.sampling.internal_guidance = InternalGuidance{1.78f, 0.1f, 1.0f, 1.3f};
  return c;
}

TEST(Raev2Config, ModelsAreWrittenAndRead) {
  const ModelConfig c = tiny_model(), again = parse_model_config(to_config(c));
  EXPECT_EQ(*again.dit, *c.dit);
  EXPECT_EQ(again.prediction_floor, 0.1);
  EXPECT_EQ(again.decoder_output, PixelRange::unit);
  EXPECT_EQ(again.sampling.internal_guidance->scale, 1.78f);
  EXPECT_EQ(again.sampling.internal_guidance->t_min, 0.1f);
  EXPECT_EQ(again.sampling.internal_guidance->unconditional_scale, 1.3f);
  EXPECT_TRUE(again.has_null_class());
  // Models without these values are stored as before.
  const ConfigNode plain = to_config(test::tiny_config());
  for (const char* key : {"decoder_output", "prediction_floor"})
    EXPECT_FALSE(plain.contains(key)) << key;
  EXPECT_FALSE(plain.at("sampling").contains("internal_guidance"));
  for (const char* key : {"latent_layers", "gated_mlp", "rope_theta", "final_affine", "final_eps"})
    EXPECT_FALSE(plain.at("encoder").contains(key)) << key;
}

TEST(Raev2Config, NetworksDescribeThemselves) {
  const Backbone dit = tiny_token_dit();
  EXPECT_EQ(dit.name(), "token_dit_dh");
  EXPECT_TRUE(dit.has_head());
  EXPECT_TRUE(dit.has_base_head());
  EXPECT_EQ(dit.latent_shape(), (Shape{16, 2, 2}));
  TokenDitConfig plain;
  static_cast<TokenBackboneConfig&>(plain) = tiny_token_dit();
  plain.base_depth = 0;
  plain.align_depth = 1;
  plain.align_width = 12;
  const Backbone lightning = plain;
  EXPECT_EQ(lightning.name(), "token_dit");
  EXPECT_FALSE(lightning.has_head());
  EXPECT_FALSE(lightning.has_base_head());
  for (Backbone each : {dit, lightning}) {
    EXPECT_EQ(Backbone::parse(each.kind(), each.to_config()), each);
    const auto network = each.make<Tensor<float>>();
    network->initialize(1);
    const auto c = network->conditioning(Tensor<float>(Shape{1}, 0.5f),
                                         std::vector<std::int64_t>{each.num_classes()});
    EXPECT_EQ(network->conditioning_size(), c.time.extent(1) + c.tokens.extent(1));
  }
  // There is always a null class.
  TokenDitDhConfig without_dropout = tiny_token_dit();
  without_dropout.class_dropout_prob = 0;
  EXPECT_TRUE(Backbone(without_dropout).has_null_class());
}

TEST(Raev2Config, HeadsBeyondTheDepthAreRefused) {
  TokenDitDhConfig c = tiny_token_dit();
  c.base_depth = 3;
  EXPECT_NE(message_of<ConfigError>([&] {
              Backbone(c).validate(ConfigPlace("m"));
            }).find("base_depth: expected an integer from 0 to 2, got 3"),
            std::string::npos);
  c.base_depth = 0;
  ModelConfig model = tiny_model();
  model.dit = c;
  EXPECT_NE(message_of<ConfigError>([&] { validate(model); }).find("base_depth"),
            std::string::npos);
  c.patch_size = 3;
  EXPECT_THROW(Backbone(c).validate(ConfigPlace()), ConfigError);
}

TEST(Raev2Config, EncodersAreWrittenAndRead) {
  EncoderConfig c{.family = EncoderFamily::dinov3,
                  .patch_size = 16,
                  .hidden_size = 32,
                  .num_layers = 4,
                  .num_heads = 2,
                  .intermediate_size = 64,
                  .table_h = 14,
                  .table_w = 14,
                  .layer_norm_eps = 1e-5,
                  .gated_mlp = true,
                  .rope_theta = 50,
                  .latent_layers = {1, 3},
                  .add_last_mean = true,
                  .final_affine = true,
                  .final_eps = 1e-4};
  EXPECT_EQ(to_config(parse_encoder_config(to_config(c))), to_config(c));
  const auto message = [&] {
    return message_of<ConfigError>([&] { validate(c, ConfigPlace("encoder")); });
  };
  c.latent_layers = {1, 4};
  EXPECT_NE(message().find("latent_layers[1]: expected an integer from 0 to 3, got 4"),
            std::string::npos);
  c.latent_layers = {1, 1};
  EXPECT_NE(message().find("appears twice"), std::string::npos);
  c.latent_layers = {};
  EXPECT_NE(message().find("add_last_mean"), std::string::npos);
  c.add_last_mean = false;
  c.num_heads = 16;
  EXPECT_NE(message().find("multiple of 4"), std::string::npos);
  c.num_heads = 2;
  c.family = EncoderFamily::mae;
  EXPECT_NE(message().find("gated_mlp"), std::string::npos);
}

}  // namespace
}  // namespace rae
