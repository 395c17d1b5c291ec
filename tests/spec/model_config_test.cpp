#include "rae/spec/model_config.hpp"

#include <gtest/gtest.h>

#include "rae/nn/parameter.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;
using test::tiny_config;

ConfigNode tiny_node() {
  return ConfigNode::parse_json(to_config(tiny_config()).to_json(), "model");
}

TEST(ModelConfigTest, SurvivesItsText) {
  ModelConfig config = tiny_config();
  config.encoder.family = EncoderFamily::dinov2;
  config.encoder.registers = 3;
  config.encoder_size = 8;
  config.prediction = Prediction::data;
  config.sampling.solver = Solver::heun;
  config.dit->use_qknorm = true;
  config.dit->use_swiglu = false;
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(to_config(config).to_json()));
  EXPECT_EQ(to_config(again).to_json(), to_config(config).to_json());
  EXPECT_EQ(again.encoder.family, EncoderFamily::dinov2);
  EXPECT_EQ(again.encoder.registers, 3);
  EXPECT_EQ(again.encoder_size, 8);
  EXPECT_EQ(again.prediction, Prediction::data);
  EXPECT_EQ(again.sampling.solver, Solver::heun);
  EXPECT_EQ(again.sampling.guidance.scale, 1.5f);
  EXPECT_EQ(again.sampling.guidance.t_min, 0.25f);
  EXPECT_EQ(again.dit->hidden_size[1], 24);
  EXPECT_TRUE(again.dit->use_qknorm);
  EXPECT_FALSE(again.dit->use_swiglu);
  EXPECT_EQ(again.pixels.mean, config.pixels.mean);
  EXPECT_EQ(again.class_names, config.class_names);
  EXPECT_EQ(again.decoder->hidden_size, 24);
  EXPECT_EQ(again.latent_shape(), (Shape{16, 2, 2}));
}

TEST(ModelConfigTest, EverySamplingOptionSurvivesItsText) {
  ModelConfig config = tiny_config();
  config.path = PathKind::gvp;
  config.path_formulas = PathFormulas::official;
  config.prediction = Prediction::noise;
  config.guide = config.dit;
  config.guide->hidden_size[0] = 8;
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
  EXPECT_EQ(again.guide->hidden_size[0], 8);
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

TEST(ModelConfigTest, ReadsConfigurationsFromBeforeTheseOptions) {
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
  config.decoder->grid_h = config.dit->grid_h = 4;
  config.decoder->grid_w = config.dit->grid_w = 6;
  config.decoder->patch_size = 2;
  EXPECT_EQ(parse_model_config(to_config(config)).latent_shape(), (Shape{16, 4, 6}));
  config.image_width = 0;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
}

TEST(ModelConfigTest, ALightningDitTakesThePlaceOfTheDit) {
  ModelConfig config = tiny_config();
  EXPECT_TRUE(config.has_null_class());
  config.lightning_dit = test::tiny_lightning_dit();
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.dit.reset();
  config.lightning_dit->patch_size = 2;
  config.lightning_dit->learn_sigma = true;
  config.lightning_dit->use_qknorm = true;
  config.lightning_dit->use_swiglu = false;
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(to_config(config).to_json()));
  EXPECT_EQ(to_config(again).to_json(), to_config(config).to_json());
  EXPECT_EQ(again.num_classes(), 3);
  EXPECT_TRUE(again.lightning_dit->learn_sigma);
  EXPECT_EQ(again.lightning_dit->patch_size, 2);
  config.lightning_dit->class_dropout_prob = 0;
  EXPECT_THROW((void)parse_model_config(to_config(config)),
               ConfigError);  // guidance without the null class
  config.sampling.guidance = {};
  EXPECT_FALSE(parse_model_config(to_config(config)).has_null_class());
  config.lightning_dit->input_w = 4;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
}

TEST(ModelConfigTest, AGuideMustFitTheDit) {
  ModelConfig config = tiny_config();
  config.sampling.guidance = {};
  config.sampling.autoguidance = AutoGuidance{.scale = 1.5f};
  config.guide = config.dit;
  config.guide->depth[0] = 2;
  EXPECT_NO_THROW((void)parse_model_config(to_config(config)));
  config.sampling.guidance.scale = 2;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);  // both
  config.sampling.guidance.scale = 1;
  config.guide->num_classes = 4;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.guide->num_classes = 3;
  config.guide->in_channels = 8;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.lightning_guide = test::tiny_lightning_dit();
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);  // two guides
  config.guide.reset();
  EXPECT_EQ(parse_model_config(to_config(config)).lightning_guide->depth, 2);
  config.lightning_guide->num_classes = 4;
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.lightning_guide.reset();
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

TEST(ModelConfigTest, CountsParametersAsTheModelsHaveThem) {
  ModelConfig config = tiny_config();
  for (const EncoderFamily family :
       {EncoderFamily::dinov2, EncoderFamily::siglip2, EncoderFamily::mae}) {
    config.encoder.family = family;
    config.encoder.registers = 2;
    config.encoder.num_layers = 3;
    Encoder<Tensor<float>> encoder(config.encoder);
    EXPECT_EQ(parameter_count(config.encoder), count_parameters(encoder)) << name_of(family);
  }
  Decoder<Tensor<float>> decoder(*config.decoder);
  EXPECT_EQ(parameter_count(*config.decoder), count_parameters(decoder));
  for (int flags = 0; flags < 64; ++flags) {
    DitDhConfig dit = *config.dit;
    dit.use_swiglu = flags & 1;
    dit.use_rmsnorm = flags & 2;
    dit.use_qknorm = flags & 4;
    dit.use_pos_embed = flags & 8;
    dit.class_dropout_prob = flags & 16 ? 0.1 : 0.0;
    dit.hidden_size[0] = flags & 32 ? 24 : 16;
    dit.mlp_ratio = 2.7;
    dit.depth[0] = 2;
    DitDh<Tensor<float>> model(dit);
    EXPECT_EQ(parameter_count(dit), count_parameters(model)) << flags;
  }
}

TEST(ModelConfigTest, CountsParametersOfALightningDit) {
  for (int flags = 0; flags < 64; ++flags) {
    LightningDitConfig c = test::tiny_lightning_dit();
    c.use_swiglu = flags & 1;
    c.use_rmsnorm = flags & 2;
    c.use_qknorm = flags & 4;
    c.learn_sigma = flags & 8;
    c.class_dropout_prob = flags & 16 ? 0.1 : 0.0;
    c.patch_size = flags & 32 ? 2 : 1;
    LightningDit<Tensor<float>> model(c);
    EXPECT_EQ(parameter_count(c), count_parameters(model)) << flags;
  }
}

struct BadValue {
  const char* path;
  const char* value;
  const char* message;  // part of what the error says
};

class ModelConfigRefuses : public testing::TestWithParam<BadValue> {};

TEST_P(ModelConfigRefuses, WithThePlace) {
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
        BadValue{"encoder_width", "8", "encoder_size beside it"},
        BadValue{"class_names", "[a, a, b]", "appears twice"},
        BadValue{"class_names", "[a, '', b]", "class_names[1]"}, BadValue{"name", "[1]", "name"}));

TEST(ModelConfigTest, RefusesMissingSizes) {
  for (const std::string key : {"patch_size", "hidden_size", "num_layers", "family", "table_h"}) {
    const ConfigNode whole = to_config(tiny_config().encoder);
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
  config.encoder.hidden_size = 2 * kMaxLatentSize / (kMaxLatentGrid * kMaxLatentGrid);
  EXPECT_THROW((void)parse_model_config(to_config(config)), ConfigError);
  config.encoder.patch_size = 0;
  EXPECT_THROW((void)config.latent_shape(), ConfigError);
}

}  // namespace
}  // namespace rae
