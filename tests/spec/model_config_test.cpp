#include "rae/spec/model_config.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/nn/parameter.hpp"
#include "rae/spec/network_role.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;
using test::tiny_config;

ConfigNode tiny_node() {
  return ConfigNode::parse_json(to_config(tiny_config()).to_json(), "model");
}

TEST(ModelConfigTest, RoundTrips) {
  ModelConfig config = tiny_config();
  test::vit_of(config).family = EncoderFamily::dinov2;
  test::vit_of(config).registers = 3;
  config.encoder_size = 8;
  config.prediction = Prediction::data;
  config.sampling.solver = Solver::heun;
  test::dit_of(config).use_qknorm = true;
  test::dit_of(config).use_swiglu = false;
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(to_config(config).to_json()));
  EXPECT_EQ(to_config(again).to_json(), to_config(config).to_json());
  EXPECT_EQ(test::vit_of(again).family, EncoderFamily::dinov2);
  EXPECT_EQ(test::vit_of(again).registers, 3);
  EXPECT_EQ(again.encoder_size, 8);
  EXPECT_EQ(again.prediction, Prediction::data);
  EXPECT_EQ(again.sampling.solver, Solver::heun);
  EXPECT_EQ(again.sampling.guidance.scale, 1.5f);
  EXPECT_EQ(again.sampling.guidance.t_min, 0.25f);
  EXPECT_EQ(test::dit_of(again).hidden_size[1], 24);
  EXPECT_TRUE(test::dit_of(again).use_qknorm);
  EXPECT_FALSE(test::dit_of(again).use_swiglu);
  EXPECT_EQ(again.pixels.mean, config.pixels.mean);
  EXPECT_EQ(again.class_names, config.class_names);
  EXPECT_EQ(again.decoder->hidden_size, 24);
  EXPECT_EQ(again.latent_shape(), (Shape{16, 2, 2}));
}

TEST(ModelConfigTest, EverySamplingOptionRoundTrips) {
  ModelConfig config = tiny_config();
  config.path = PathKind::gvp;
  config.path_formulas = PathFormulas::official;
  config.prediction = Prediction::noise;
  config.guide = config.dit;
  config.guide->get<DitDhConfig>().hidden_size[0] = 8;
  config.sampling = {.steps = 7,
                     .kind = SamplerKind::sde,
                     .grid = TimeGridKind::official,
                     .solver = AdaptiveSolver::bosh3,
                     .atol = 1e-4,
                     .rtol = 1e-2,
                     .sde = {.solver = SdeSolver::heun,
                             .form = DiffusionForm::increasing_decreasing,
                             .norm = 0.5,
                             .last_step = SdeLastStep::tweedie,
                             .last_step_size = 0.02},
                     .sample_eps = 0.01,
                     .autoguidance = AutoGuidance{.scale = 1.5f, .t_min = 0.25f, .t_max = 0.75f}};
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(to_config(config).to_json()));
  EXPECT_EQ(to_config(again).to_json(), to_config(config).to_json());
  EXPECT_EQ(again.path, PathKind::gvp);
  EXPECT_EQ(again.path_formulas, PathFormulas::official);
  EXPECT_EQ(again.prediction, Prediction::noise);
  EXPECT_EQ(again.guide->get<DitDhConfig>().hidden_size[0], 8);
  EXPECT_EQ(again.sampling.kind, SamplerKind::sde);
  EXPECT_EQ(again.sampling.grid, TimeGridKind::official);
  EXPECT_EQ(again.sampling.solver, AdaptiveSolver::bosh3);
  EXPECT_EQ(again.sampling.atol, 1e-4);
  EXPECT_EQ(again.sampling.rtol, 1e-2);
  EXPECT_EQ(again.sampling.sde.solver, SdeSolver::heun);
  EXPECT_EQ(again.sampling.sde.form, DiffusionForm::increasing_decreasing);
  EXPECT_EQ(again.sampling.sde.norm, 0.5);
  EXPECT_EQ(again.sampling.sde.last_step, SdeLastStep::tweedie);
  EXPECT_EQ(again.sampling.sde.last_step_size, 0.02);
  EXPECT_EQ(again.sampling.sample_eps, 0.01);
  EXPECT_EQ(again.sampling.autoguidance->scale, 1.5f);
  EXPECT_EQ(again.sampling.autoguidance->t_max, 0.75f);
}

TEST(ModelConfigTest, ReadsOlderConfigurationsWithoutTheseOptions) {
  ConfigNode::Map old, sampling;
  const ConfigNode now = tiny_node();
  for (const auto& [key, value] : now.at("sampling").members())
    if (key == "steps" || key == "solver" || key == "guidance") sampling.emplace_back(key, value);
  for (const auto& [key, value] : now.members())
    if (key != "path") old.emplace_back(key, key == "sampling" ? ConfigNode::map(sampling) : value);
  const ModelConfig config = parse_model_config(ConfigNode::map(std::move(old)));
  EXPECT_EQ(to_config(config).to_json(), to_config(tiny_config()).to_json());
}

TEST(ModelConfigTest, PicturesNeedNotBeSquare) {
  ModelConfig config = test::wide_config();
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(to_config(config).to_json()));
  EXPECT_EQ(again.image_shape(), (Shape{1, 8, 12}));
  EXPECT_EQ(again.encoder_input_shape(), (Shape{1, 8, 12}));
  EXPECT_EQ(again.latent_shape(), (Shape{16, 2, 3}));
  config.encoder_size = 16;
  config.encoder_width = 24;
  config.decoder->grid_h = test::dit_of(config).grid_h = 4;
  config.decoder->grid_w = test::dit_of(config).grid_w = 6;
  config.decoder->patch_size = 2;
  EXPECT_EQ(parse_model_config(to_config(config)).latent_shape(), (Shape{16, 4, 6}));
  config.image_width = 0;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
}

TEST(ModelConfigTest, LightningDitMayReplaceDit) {
  ModelConfig config = tiny_config();
  EXPECT_TRUE(config.has_null_class());
  ConfigNode two = tiny_node();
  LightningDitConfig lightning = test::tiny_lightning_dit();
  two.set("lightning_dit", Backbone(lightning).to_config());
  const std::string message = message_of<ConfigError>([&] { (void)parse_model_config(two); });
  EXPECT_NE(message.find("has a dit and a lightning_dit"), std::string::npos) << message;
  lightning.patch_size = 2;
  lightning.learn_sigma = true;
  lightning.use_qknorm = true;
  lightning.use_swiglu = false;
  config.dit = lightning;
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(to_config(config).to_json()));
  EXPECT_EQ(to_config(again).to_json(), to_config(config).to_json());
  EXPECT_EQ(again.dit, config.dit);
  EXPECT_EQ(again.num_classes(), 3);
  EXPECT_TRUE(again.dit->get<LightningDitConfig>().learn_sigma);
  EXPECT_EQ(again.dit->get<LightningDitConfig>().patch_size, 2);
  lightning.class_dropout_prob = 0;
  config.dit = lightning;
  EXPECT_THROW(validate(config), ConfigError);  // guidance without the null class
  config.sampling.guidance = {};
  EXPECT_FALSE(parse_model_config(to_config(config)).has_null_class());
  lightning.input_w = 4;
  config.dit = lightning;
  EXPECT_THROW(validate(config), ConfigError);
}

TEST(ModelConfigTest, AGuideMustFitTheDit) {
  ModelConfig config = tiny_config();
  config.sampling.guidance = {};
  config.sampling.autoguidance = AutoGuidance{.scale = 1.5f};
  config.guide = config.dit;
  config.guide->get<DitDhConfig>().depth[0] = 2;
  EXPECT_NO_THROW((void)parse_model_config(to_config(config)));
  config.sampling.guidance.scale = 2;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);  // both kinds of guidance
  config.sampling.guidance.scale = 1;
  config.guide->get<DitDhConfig>().num_classes = 4;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.guide->get<DitDhConfig>().num_classes = 3;
  config.guide->get<DitDhConfig>().in_channels = 8;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  LightningDitConfig lightning = test::tiny_lightning_dit();
  config.guide->get<DitDhConfig>().in_channels = 16;
  ConfigNode two = to_config(config);
  two.set("lightning_guide", Backbone(lightning).to_config());
  EXPECT_THROW((void)parse_model_config(two), ConfigError);
  config.guide = lightning;
  EXPECT_EQ(parse_model_config(to_config(config)).guide->get<LightningDitConfig>().depth, 2);
  lightning.num_classes = 4;
  config.guide = lightning;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.guide.reset();
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
}

TEST(ModelConfigTest, AcceptsAModelWithoutLaterStages) {
  ModelConfig config = tiny_config();
  config.decoder.reset();
  config.dit.reset();
  const ModelConfig again = parse_model_config(to_config(config));
  EXPECT_FALSE(again.decoder.has_value());
  EXPECT_FALSE(again.dit.has_value());
}

TEST(ModelConfigTest, OutlinesHaveTheParametersOfTheNetworks) {
  ModelConfig config = tiny_config();
  config.guide = test::tiny_lightning_dit();
  config.sampling.guidance = {};
  const auto expect_equal = [&](NetworkRole role, auto& network) {
    const NetworkOutline outline = outline_of(config, role);
    std::size_t i = 0;
    network.parameters([&](const std::string& name, auto& p) {
      if (p.empty()) return;
      ASSERT_LT(i, outline.parameters.size());
      EXPECT_EQ(outline.parameters[i].name, name);
      EXPECT_EQ(outline.parameters[i].shape, p.shape()) << name;
      ++i;
    });
    EXPECT_EQ(i, outline.parameters.size());
    EXPECT_EQ(parameter_count(outline.parameters), count_parameters(network));
  };
  Encoder<Tensor<float>> encoder(test::vit_of(config));
  expect_equal(NetworkRole::encoder, encoder);
  Decoder<Tensor<float>> decoder(*config.decoder);
  expect_equal(NetworkRole::decoder, decoder);
  expect_equal(NetworkRole::dit, *config.dit->make<Tensor<float>>());
  expect_equal(NetworkRole::guide, *config.guide->make<Tensor<float>>());
  config.decoder.reset();
  EXPECT_FALSE(describes(config, NetworkRole::decoder));
  EXPECT_TRUE(outline_of(config, NetworkRole::decoder).parameters.empty());
}

struct BadValue {
  const char* path;
  const char* value;
  const char* message;  // a part of the error message
};

class ModelConfigRefuses : public testing::TestWithParam<BadValue> {};

TEST_P(ModelConfigRefuses, InvalidValuesWithTheirPath) {
  ConfigNode node = tiny_node();
  node.apply_override(std::string(GetParam().path) + "=" + GetParam().value);
  const std::string message = message_of<ConfigError>([&] { (void)parse_model_config(node); });
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_EQ(message.rfind("model", 0), 0u) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Values, ModelConfigRefuses,
    testing::Values(
        BadValue{"tme_shift", "2", "time_shift"}, BadValue{"time_shift", "0.5", "time_shift"},
        BadValue{"time_shift", ".nan", "time_shift"}, BadValue{"image_size", "0", "image_size"},
        BadValue{"image_size", "1000000", "image_size"},
        BadValue{"image_size", "9", "do not divide"},
        BadValue{"image_size", "16", "the encoder makes"},
        BadValue{"encoder_size", "-8", "encoder_size"},
        BadValue{"pixels.std", "[0]", "pixels.std[0]"},
        BadValue{"pixels.mean", "[0, 0, 0]", "1 channels"},
        BadValue{"prediction", "magic", "velocity, data"},
        BadValue{"path", "curved", "linear, gvp or vp"},
        BadValue{"encoder.family", "vit", "dinov2"},
        BadValue{"encoder.patch_size", "0", "encoder.patch_size"},
        BadValue{"encoder.hidden_size", "1e12", "hidden_size"},
        BadValue{"encoder.hidden_size", "17", "2 heads"},
        BadValue{"encoder.num_heads", "3", "3 heads"},
        BadValue{"encoder.num_layers", "1000000", "num_layers"},
        BadValue{"encoder.channels", "2", "gray"},
        BadValue{"encoder.layer_norm_eps", "-1", "layer_norm_eps"},
        BadValue{"encoder.hidden_size", "32", "decoder: takes 16"},
        BadValue{"decoder.grid_h", "3", "decoder: takes"},
        BadValue{"decoder.patch_size", "8", "image_size"},
        BadValue{"decoder.channels", "3", "channels"},
        BadValue{"decoder.num_heads", "0", "decoder.num_heads"},
        BadValue{"decoder.wide", "1", "wide"}, BadValue{"dit.hidden_size", "16", "a list of two"},
        BadValue{"dit.hidden_size", "[16, 25]", "the head's hidden_size"},
        BadValue{"dit.hidden_size", "[0, 24]", "dit.hidden_size[0]"},
        BadValue{"dit.num_heads", "[8, 2]", "multiple of 4"},
        BadValue{"dit.depth", "[1, 99999]", "dit.depth[1]"},
        BadValue{"dit.mlp_ratio", "0.01", "no hidden unit"},
        BadValue{"dit.mlp_ratio", "1e9", "mlp_ratio"},
        BadValue{"dit.in_channels", "8", "dit: takes 8"},
        BadValue{"dit.num_classes", "4", "3 class_names"},
        BadValue{"dit.num_classes", "1e15", "num_classes"},
        BadValue{"dit.class_dropout_prob", "2", "class_dropout_prob"},
        BadValue{"dit.class_dropout_prob", "0", "null class"},
        BadValue{"sampling.steps", "0", "sampling.steps"},
        BadValue{"sampling.solver", "magic", "euler"},
        BadValue{"sampling.guidance.scale", "-1", "scale"},
        BadValue{"sampling.guidance.t_min", "0.9", "t_min is above"},
        BadValue{"sampling.kind", "pde", "ode or sde"},
        BadValue{"sampling.grid", "finest", "full or official"},
        BadValue{"sampling.atol", "-1", "atol"},
        BadValue{"sampling.sample_eps", "0.5", "sample_eps"},
        BadValue{"sampling.sde.form", "wide", "increasing-decreasing"},
        BadValue{"sampling.sde.norm", "-1", "norm"},
        BadValue{"sampling.sde.last_step_size", "0", "needs a last_step_size"},
        BadValue{"sampling.autoguidance", "{scale: 2}", "needs a guide"},
        BadValue{"guide", "{grid_h: 2}", "'grid_w' is missing"},
        BadValue{"image_width", "12", "decoder"},
        BadValue{"encoder_width", "8", "needs an encoder_size"},
        BadValue{"class_names", "[a, a, b]", "appears twice"},
        BadValue{"class_names", "[a, '', b]", "class_names[1]"}, BadValue{"name", "[1]", "name"}));

// The same errors for a configuration that is built by a program instead of read from a file.
TEST(ModelConfigTest, ValidateNamesThePath) {
  const auto message = [](auto change) {
    ModelConfig config = tiny_config();
    change(config);
    return message_of<ConfigError>([&] { validate(config); });
  };
  EXPECT_NO_THROW(validate(tiny_config()));
  EXPECT_EQ(message([](ModelConfig& c) { test::dit_of(c).hidden_size[0] = 0; }),
            "dit.hidden_size[0]: expected an integer from 1 to 65536, got 0");
  EXPECT_EQ(message([](ModelConfig& c) { c.time_shift = std::nan(""); }),
            "time_shift: expected a number from 1 to 1000000, got nan");
  EXPECT_EQ(message([](ModelConfig& c) { c.decoder->num_layers = -1; }),
            "decoder.num_layers: expected an integer from 1 to 1024, got -1");
  EXPECT_EQ(message([](ModelConfig& c) { test::vit_of(c).layer_norm_eps = 2; }),
            "encoder.layer_norm_eps: expected a number from 0 to 1, got 2");
  EXPECT_EQ(message([](ModelConfig& c) { c.sampling.steps = 0; }),
            "sampling.steps: expected an integer from 1 to 100000, got 0");
  EXPECT_EQ(message([](ModelConfig& c) { c.pixels.std[0] = 0; }).substr(0, 14), "pixels.std[0]:");
  EXPECT_EQ(message([](ModelConfig& c) { c.class_names[1].clear(); }).substr(0, 15),
            "class_names[1]:");
  const std::string guide = message([](ModelConfig& c) {
    c.guide = c.dit;
    c.guide->get<DitDhConfig>().depth[1] = 5000;
  });
  EXPECT_EQ(guide, "guide.depth[1]: expected an integer from 1 to 1024, got 5000");
}

TEST(ModelConfigTest, NamesAnUnregisteredNetwork) {
  ConfigNode node = tiny_node();
  node.set("mamba", ConfigNode::map({{"width", 3}}));
  const std::string message = message_of<ConfigError>([&] { (void)parse_model_config(node); });
  EXPECT_NE(message.find("model: mamba: "), std::string::npos) << message;
  EXPECT_NE(message.find("'mamba'"), std::string::npos) << message;
  EXPECT_NE(message.find("dit, lightning_dit"), std::string::npos) << message;
}

TEST(ModelConfigTest, RefusesMissingSizes) {
  for (const std::string key : {"patch_size", "hidden_size", "num_layers", "family", "table_h"}) {
    const ConfigNode whole = tiny_config().encoder.to_config();
    ConfigNode::Map members;
    for (const auto& member : whole.members())
      if (member.first != key) members.push_back(member);
    const std::string message = message_of<ConfigError>(
        [&] { (void)parse_encoder_config(ConfigNode::map(std::move(members))); });
    EXPECT_NE(message.find(key), std::string::npos) << message;
  }
}

TEST(ModelConfigTest, RefusesLatentsBeyondTheLimits) {
  ModelConfig config = tiny_config();
  config.decoder.reset();
  config.dit.reset();
  config.class_names.clear();
  config.image_size = 4 * (kMaxLatentGrid + 1);
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.image_size = 4 * kMaxLatentGrid;
  EXPECT_EQ(parse_model_config(to_config(config)).latent_shape(),
            (Shape{16, kMaxLatentGrid, kMaxLatentGrid}));
  test::vit_of(config).hidden_size = 2 * kMaxLatentSize / (kMaxLatentGrid * kMaxLatentGrid);
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  test::vit_of(config).patch_size = 0;
  EXPECT_THROW((void)config.latent_shape(), ConfigError);
}

}  // namespace
}  // namespace rae
