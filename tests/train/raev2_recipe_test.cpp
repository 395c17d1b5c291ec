// Recipes of RAEv2 (arXiv 2605.18324): condition tokens, data prediction with a floor, a base head,
// REPA, GMuon, and decoders of pixels in [0, 1].
#include <gtest/gtest.h>

#include "rae/generate/generator.hpp"
#include "rae/io/file.hpp"
#include "rae/models/initialize.hpp"
#include "rae/ops/tokens.hpp"
#include "rae/train/recipe.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {
namespace {

using Words = std::vector<std::string>;

/// The tiny recipe with the network of RAEv2, which has both further heads.
ConfigNode recipe_of_version_2(const Words& changes = {}) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  ConfigNode model = ConfigNode::map();
  for (const auto& [key, value] : node.at("model").members())
    if (key != "dit") model.set(key, value);
  node.set("model", model);
  Words all{
      "model.token_dit_dh={input_h: 2, input_w: 2, in_channels: 8, hidden_size: 8, depth: 2, "
      "num_heads: 2, num_classes: 10, class_dropout_prob: 0.1, time_tokens: 2, class_tokens: 3, "
      "base_depth: 1, align_depth: 1, align_width: 8, head_hidden_size: 12, head_depth: 1, "
      "head_num_heads: 3}",
      "model.prediction=data", "model.decoder_output=unit", "dit.flow.floored_target=true",
      "dit.train.optimizer=gmuon"};
  all.insert(all.end(), changes.begin(), changes.end());
  for (const std::string& change : all) node.apply_override(change);
  return node;
}

class RaeV2Recipe : public testing::Test {
 protected:
  void SetUp() override {
    data_.write("train-images-idx3-ubyte", idx_images(10, 8, 8));
    data_.write("train-labels-idx1-ubyte", idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }

  [[nodiscard]] RecipeRun run_in(const TempFolder& out) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out.path();
    run.samples = 0;
    return run;
  }

  TempFolder data_;
};

TEST_F(RaeV2Recipe, ReadsEveryOption) {
  const Recipe plain = parse_recipe(recipe_of_version_2());
  EXPECT_TRUE(plain.flow.objective.floored_target);
  EXPECT_EQ(plain.flow.objective.prediction, Prediction::data);
  EXPECT_EQ(plain.flow.objective.floor, 0.05);
  EXPECT_EQ(plain.flow.further.base, 1.0);
  EXPECT_EQ(plain.flow.further.align, 0.5);
  EXPECT_EQ(plain.decoder_loss.output, PixelRange::unit);
  ASSERT_TRUE(plain.dit_training.muon);
  EXPECT_EQ(plain.dit_training.muon->momentum, 0.95);
  EXPECT_TRUE(plain.dit_training.muon->nesterov);
  EXPECT_EQ(plain.dit_training.muon->weight_decay, 0.0);
  EXPECT_FALSE(plain.decoder_training.muon);

  const Recipe other = parse_recipe(recipe_of_version_2(
      {"model.prediction_floor=0.1", "dit.flow.base_weight=0.25", "dit.flow.align_weight=2",
       "dit.train.momentum=0.9", "dit.train.nesterov=false", "dit.train.weight_decay=0.01",
       "decoder.train.optimizer=gmuon", "dit.flow.floored_target=false"}));
  EXPECT_FALSE(other.flow.objective.floored_target);
  EXPECT_EQ(other.flow.objective.floor, 0.1);
  EXPECT_EQ(other.flow.further.base, 0.25);
  EXPECT_EQ(other.flow.further.align, 2.0);
  EXPECT_EQ(other.dit_training.muon->momentum, 0.9);
  EXPECT_FALSE(other.dit_training.muon->nesterov);
  EXPECT_EQ(other.dit_training.muon->weight_decay, 0.01);
  EXPECT_TRUE(other.decoder_training.muon);
  // The data give the number of classes where the recipe does not.
  ConfigNode node = recipe_of_version_2();
  EXPECT_FALSE(needs_classes_of_data(node));
  ConfigNode network = ConfigNode::map();
  for (const auto& [key, value] : node.at("model").at("token_dit_dh").members())
    if (key != "num_classes") network.set(key, value);
  node.set_path("model.token_dit_dh", network);
  EXPECT_TRUE(needs_classes_of_data(node));
  EXPECT_EQ(parse_recipe(node, 7).model.dit->num_classes(), 7);
}

TEST_F(RaeV2Recipe, RefusesWhatDoesNotFitWithTheReason) {
  const struct {
    Words changes;
    const char *place, *reason;
  } cases[] = {
      {{"model.token_dit_dh.base_depth=0", "dit.flow.base_weight=1"},
       "dit.flow.base_weight",
       "base head"},
      {{"model.token_dit_dh.align_depth=0", "model.token_dit_dh.align_width=0",
        "dit.flow.align_weight=1"},
       "dit.flow.align_weight",
       "projection for REPA"},
      {{"model.token_dit_dh.align_width=6"}, "dit.flow", "set align_width to 8"},
      {{"dit.flow.align_weight=-1"}, "dit.flow.align_weight", "between 0"},
      {{"dit.flow.loss_weight=velocity"}, "dit.flow", "no loss_weight beside floored_target"},
      {{"model.prediction=noise"}, "dit.flow", "a floored target needs"},
      {{"model.path=gvp"}, "dit.flow", "a floored target needs"},
      {{"dit.train.optimizer=muon"}, "dit.train.optimizer", "adamw or gmuon"},
      {{"dit.train.optimizer=adamw", "dit.train.momentum=0.9"},
       "dit.train.momentum",
       "is for optimizer: gmuon"},
      {{"dit.train.momentum=1"}, "dit.train", "momentum in [0, 1)"},
      {{"model.decoder_output=signed"}, "model.decoder_output", "normalized or unit"},
  };
  for (const auto& row : cases) {
    std::string message;
    try {
      (void)parse_recipe(recipe_of_version_2(row.changes));
      ADD_FAILURE() << row.changes.front() << ": accepted";
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_NE(message.find(row.place), std::string::npos) << message;
    EXPECT_NE(message.find(row.reason), std::string::npos) << message;
  }
  // With a weight of 0 the projection may have any width.
  EXPECT_NO_THROW((void)parse_recipe(
      recipe_of_version_2({"model.token_dit_dh.align_width=6", "dit.flow.align_weight=0"})));
}

// The loss of the first step is the sum of its terms for the initial weights, with the latents' own
// tokens as the features of REPA.
TEST_F(RaeV2Recipe, TheLossOfAStepHasAllTerms) {
  const Recipe recipe = parse_recipe(recipe_of_version_2(
      {"dit.flow.base_weight=0.5", "dit.flow.align_weight=3", "dit.train.steps=1"}));
  LatentBatch batch{Tensor<float>(Shape{6, 8, 2, 2}), {0, 1, 2, 3, 4, 5}, 0};  // (B, C, h, w)
  Philox(9, 1).fill_normal(batch.latents.span());
  double reported = 0;
  TrainingContext context;
  context.on_progress = [&](const TrainingProgress& p) {
    reported = p.loss;
    return true;
  };
  (void)train_flow([&](index_t) { return batch; }, *recipe.model.dit, recipe.flow,
                   recipe.dit_training, context);

  const auto network = recipe.model.dit->make<Var<float>>();
  network->initialize(recipe.dit_training.seed);
  const FlowDraws draws = draw_flow(batch.latents.shape(), batch.labels, *recipe.model.dit,
                                    recipe.flow, recipe.dit_training.seed, 0);
  const FlowTarget<float> goal =
      flow_target(recipe.flow.objective, batch.latents, draws.noise, draws.t);
  const NetworkOutputs<Var<float>> outputs = network->outputs(
      Var<float>(goal.x), network->conditioning(draws.t, draws.labels), {true, true});
  const auto value = [](const Var<float>& loss) { return static_cast<double>(loss.value()[0]); };
  const double flow = value(error_of(goal, outputs.full)),
               base = value(error_of(goal, outputs.base)),
               align = value(mse_loss(outputs.aligned, grid_to_tokens(batch.latents)));
  EXPECT_GT(flow, 0.1);
  EXPECT_GT(align, 0.1);
  EXPECT_NEAR(reported, flow + 0.5 * base + 3 * align, 1e-5 * reported);
}

TEST_F(RaeV2Recipe, TrainsAllStagesAndContinuesBitForBit) {
  const Recipe recipe = parse_recipe(
      recipe_of_version_2({"decoder.train.optimizer=gmuon", "decoder.train.checkpoint_every=2"}));
  const TempFolder whole, parts;
  run_recipe(recipe, run_in(whole));
  const Bundle bundle = Bundle::load(whole / "model.safetensors");
  EXPECT_EQ(bundle.config.decoder_output, PixelRange::unit);
  EXPECT_EQ(bundle.config.dit->name(), "token_dit_dh");
  EXPECT_TRUE(bundle.config.dit->has_base_head());
  EXPECT_EQ(Generator(bundle).sample({.labels = {3, 4}}).size(), 2u);

  // Stopped in both stages with GMuon, and continued.
  for (const char* stage : {"decoder", "dit"}) {
    RecipeRun stopped = run_in(parts);
    stopped.on_progress = [&](const TrainingProgress& p) {
      return p.stage != stage || p.step != 3;
    };
    EXPECT_THROW(run_recipe(recipe, stopped), Cancelled);
  }
  run_recipe(recipe, run_in(parts));
  EXPECT_EQ(read_file(parts / "model.safetensors"), read_file(whole / "model.safetensors"));

  // Another optimizer is another training.
  EXPECT_THROW(run_recipe(parse_recipe(recipe_of_version_2({"dit.train.optimizer=adamw",
                                                            "decoder.train.optimizer=gmuon",
                                                            "decoder.train.checkpoint_every=2"})),
                          run_in(parts)),
               ConfigError);
  // Another range of pixels is another decoder, but the same encoder.
  RecipeRun again = run_in(parts);
  std::string events;
  again.on_event = [&](const std::string& event) { events += event + "\n"; };
  EXPECT_THROW(run_recipe(parse_recipe(recipe_of_version_2({"decoder.train.optimizer=gmuon",
                                                            "decoder.train.checkpoint_every=2",
                                                            "model.decoder_output=normalized"})),
                          again),
               ConfigError);
}

// A decoder of pixels in [0, 1] is compared with pictures as it is, another one after its pixels
// are denormalised.
TEST(RaeV2Decoder, PixelsInTheRangeOfTheModel) {
  const Recipe recipe = parse_recipe(recipe_of_version_2());
  const auto encoder = recipe.model.encoder.make();
  Decoder<Var<float>> decoder(*recipe.model.decoder);
  initialize(decoder, 4);
  Tensor<float> tokens(Shape{2, 4, 8});  // (B, N, D)
  Philox(3, 1).fill_normal(tokens.span());
  const Tensor<float> image = decoder(Var<float>(tokens)).value();  // (B, C, H, W)
  for (const PixelRange range : {PixelRange::unit, PixelRange::normalized}) {
    DecoderLossOptions options{.perceptual_weight = 0};
    options.output = range;
    DecoderIteration iteration(decoder, *encoder, recipe.model.pixels, options, {}, 1);
    const Tensor<float> picture = iteration.reconstruct(tokens).value();  // (B, C, H, W)
    const Tensor<float> images(picture.shape(), 0.25f);                   // (B, C, H, W)
    double error = 0;
    for (index_t i = 0; i < image.numel(); ++i) {
      const float expected = range == PixelRange::unit ? image[i] : image[i] * 0.3f + 0.5f;
      EXPECT_NEAR(picture[i], expected, 1e-6) << i;
      error += std::abs(static_cast<double>(expected) - 0.25);
    }
    EXPECT_NEAR(iteration.loss(0, tokens, images, {}).value()[0],
                error / static_cast<double>(image.numel()), 1e-5);
  }
}

}  // namespace
}  // namespace rae::test
