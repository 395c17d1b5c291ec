// The configuration of a diffusion network as one value: copies, comparison, typed access, and the
// registry of kinds.
#include "rae/spec/backbone.hpp"

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/third_backbone.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;

TEST(BackboneTest, IsAValue) {
  const Backbone dit = *test::tiny_config().dit;
  Backbone copy = dit;
  EXPECT_EQ(copy, dit);
  copy.get<DitDhConfig>().depth[0] = 3;
  EXPECT_FALSE(copy == dit);
  EXPECT_EQ(dit.get<DitDhConfig>().depth[0], 1);
  EXPECT_FALSE(Backbone(test::tiny_lightning_dit()) == dit);
  EXPECT_EQ(dit.get_if<LightningDitConfig>(), nullptr);
  EXPECT_THROW((void)dit.get<LightningDitConfig>(), ConfigError);
}

TEST(BackboneTest, DescribesEveryKind) {
  const Backbone dit = *test::tiny_config().dit, lightning = test::tiny_lightning_dit();
  EXPECT_EQ(dit.name(), "dit");
  EXPECT_EQ(dit.guide_name(), "guide");
  EXPECT_EQ(dit.title(), "DiT^DH");
  EXPECT_TRUE(dit.has_head());
  EXPECT_EQ(dit.width(), 24);
  EXPECT_EQ(lightning.name(), "lightning_dit");
  EXPECT_EQ(lightning.guide_name(), "lightning_guide");
  EXPECT_EQ(lightning.title(), "LightningDiT");
  EXPECT_FALSE(lightning.has_head());
  for (const Backbone& each : {dit, lightning}) {
    EXPECT_EQ(each.latent_shape(), (Shape{16, 2, 2}));
    EXPECT_EQ(each.num_classes(), 3);
    EXPECT_TRUE(each.has_null_class());
    EXPECT_EQ(Backbone::parse(each.kind(), each.to_config()), each);
  }
}

TEST(BackboneTest, MakesTheSameNetworkAsTheModel) {
  const Backbone config = *test::tiny_config().dit;
  const auto network = config.make<Tensor<float>>();
  test::fill_random(*network, 3);
  DitDh<Tensor<float>> model(config.get<DitDhConfig>());
  test::fill_random(model, 3);
  Tensor<float> x(Shape{2, 16, 2, 2});  // (B, C, h, w)
  Philox(5).fill_normal(x.span());
  const Tensor<float> t(Shape{2}, 0.5f);  // (B)
  const std::vector<std::int64_t> labels{2, 0};
  test::expect_close((*network)(x, t, labels), model(x, t, labels), 0.0);
  const Tensor<float> tokens = grid_to_tokens(x);  // (B, N, C)
  const Conditioning<Tensor<float>> c = network->conditioning(t, labels);
  test::expect_close(network->velocity(tokens, network->backbone(tokens, c), c), (*network)(x, c),
                     0.0);
  index_t row = c.time.extent(1);
  for (const Tensor<float>& each : c.modulation) row += each.extent(1);
  EXPECT_EQ(network->conditioning_size(), row);
  const auto lightning = Backbone(test::tiny_lightning_dit()).make<Tensor<float>>();
  EXPECT_THROW((void)lightning->backbone(tokens, c), ArgumentError);
}

TEST(BackboneTest, MakesTrainableNetworks) {
  const Backbone config = *test::tiny_config().dit;
  const auto network = config.make<Var<float>>(), again = config.make<Var<float>>();
  network->initialize(4);
  again->initialize(4);
  std::vector<Tensor<float>> first;
  network->parameters(
      [&](const std::string&, Parameter<Var<float>>& p) { first.push_back(p.tensor()); });
  std::size_t i = 0;
  again->parameters([&](const std::string& name, Parameter<Var<float>>& p) {
    test::expect_close(p.tensor(), first[i++], 0.0, name);
  });
  EXPECT_EQ(i, config.parameter_shapes().size());
}

TEST(BackboneTest, ParameterShapesOfAbsurdSizesTakeNoMemory) {
  const Backbone absurd = DitDhConfig{.grid_h = kMaxGrid,
                                      .grid_w = kMaxGrid,
                                      .in_channels = kMaxWidth,
                                      .hidden_size = {kMaxWidth, kMaxWidth},
                                      .depth = {kMaxLayers, kMaxLayers},
                                      .num_heads = {1, 1},
                                      .num_classes = kMaxClasses};
  absurd.validate(ConfigPlace());
  EXPECT_GT(parameter_count(absurd.parameter_shapes()), index_t{1} << 40);
}

struct NamedLikeAKey : test::TokenMlpKind {
  struct Config : test::TokenMlpConfig {};
  static constexpr std::string_view name = "sampling";
};
struct NamedLikeAGuide : test::TokenMlpKind {
  struct Config : test::TokenMlpConfig {};
  static constexpr std::string_view name = "lightning_guide";
};
struct BadlyNamed : test::TokenMlpKind {
  struct Config : test::TokenMlpConfig {};
  static constexpr std::string_view name = "Token MLP";
};
struct SameConfig : test::TokenMlpKind {
  static constexpr std::string_view name = "other_mlp";
};

TEST(BackboneTest, KindsAreRegisteredOnceUnderUnusedNames) {
  EXPECT_TRUE(register_backbone<test::TokenMlpKind>());
  const std::size_t count = backbone_kinds().size();
  EXPECT_TRUE(register_backbone<test::TokenMlpKind>());
  EXPECT_EQ(backbone_kinds().size(), count);
  ASSERT_NE(find_backbone("token_mlp"), nullptr);
  EXPECT_EQ(find_backbone("token_mlp_guide"), find_backbone("token_mlp"));
  EXPECT_EQ(find_backbone("token"), nullptr);
  EXPECT_EQ(backbone_kinds()[0]->name(), "dit");
  EXPECT_EQ(backbone_kinds()[1]->name(), "lightning_dit");
  EXPECT_THROW((void)register_backbone<NamedLikeAKey>(), ArgumentError);
  EXPECT_THROW((void)register_backbone<NamedLikeAGuide>(), ArgumentError);
  EXPECT_THROW((void)register_backbone<BadlyNamed>(), ArgumentError);
  EXPECT_THROW((void)register_backbone<SameConfig>(), ArgumentError);
  EXPECT_THROW((void)Backbone(NamedLikeAKey::Config{}), ConfigError);
}

}  // namespace
}  // namespace rae
