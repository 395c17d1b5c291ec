#include "rae/models/lpips.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "support/golden_model.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

/// The names in the golden network, where the layers of each slice are numbered from 0. Layer 0 of
/// slices 2 to 5 is the pooling layer.
std::vector<std::string> golden_names(const std::string& name) {
  if (name.rfind("heads.", 0) == 0) return lpips_names()(name);
  const int stage = name[7] - '0', layer = 2 * (name[9] - '0') + (stage > 0 ? 1 : 0);
  return {concat("net.slice", stage + 1, ".", layer, name.substr(10))};
}

/// The network of the golden data.
template <class X>
Lpips<X> golden_lpips() {
  Lpips<X> model(LpipsConfig{
      .channels = test::golden_config("lpips_narrow").get<std::vector<index_t>>("channels")});
  const Golden weights("lpips_narrow/weights.safetensors");
  fill_weights(model, {TensorSource(weights.file()), &golden_names});
  return model;
}

TEST(Lpips, EveryStageMatches) {
  const Golden io("lpips_narrow/io.safetensors");
  const auto model = golden_lpips<Tensor<float>>();
  const auto features = model.features(io("input"));
  ASSERT_EQ(features.size(), 5u);
  const char* const names[] = {"relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"};
  for (std::size_t s = 0; s < 5; ++s)
    EXPECT_TRUE(close(features[s], io(concat("feat.", names[s])), 1e-5)) << names[s];
}

TEST(Lpips, DistanceAndGradientMatch) {
  const Golden io("lpips_narrow/io.safetensors");
  const auto model = golden_lpips<Var<float>>();
  const Var<float> target(io("target"), true);  // (B, 3, H, W)
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> distance = model(Var<float>(io("input")), target);  // (B)
  EXPECT_TRUE(close(distance.value(), io("lpips_none").reshaped({2}), 1e-6));
  EXPECT_TRUE(test::near((distance.value()[0] + distance.value()[1]) / 2, io("lpips_mean"), 1e-6));
  tape.backward(distance, Tensor<float>(Shape{2}, 0.5f));
  const Tensor<float> expected = io("grad_target");  // (B, 3, H, W)
  double largest = 0;
  for (const float g : expected.span())
    largest = std::max(largest, std::abs(static_cast<double>(g)));
  EXPECT_TRUE(close(target.grad(), expected, 1e-4 * largest));
  for (const auto& head : model.heads) EXPECT_FALSE(head.value.requires_grad());
}

TEST(Lpips, IsZeroForEqualPicturesAndSymmetric) {
  const Golden io("lpips_narrow/io.safetensors");
  const auto model = golden_lpips<Tensor<float>>();
  const Tensor<float> same = model(io("input"), io("input")),
                      one = model(io("input"), io("target")),
                      other = model(io("target"), io("input"));  // (B)
  for (index_t i = 0; i < 2; ++i) {
    EXPECT_EQ(same[i], 0.f);
    EXPECT_EQ(one[i], other[i]);
  }
}

TEST(Lpips, NamesTheLayersOfVgg16LikeTorchvision) {
  const NameMap names = lpips_names();
  EXPECT_EQ(names("stages.0.1.weight"), std::vector<std::string>{"features.2.weight"});
  EXPECT_EQ(names("stages.2.0.bias"), std::vector<std::string>{"features.10.bias"});
  EXPECT_EQ(names("stages.4.2.weight"), std::vector<std::string>{"features.28.weight"});
  EXPECT_EQ(names("heads.3.weight"), std::vector<std::string>{"lin3.model.1.weight"});
}

TEST(Lpips, RejectsPicturesThatAreTooSmallOrNotOfThreeChannels) {
  const auto model = golden_lpips<Tensor<float>>();
  EXPECT_THROW(model.features(Tensor<float>(Shape{1, 3, 15, 16}, 0.f)), ShapeError);
  EXPECT_THROW(model.features(Tensor<float>(Shape{1, 1, 16, 16}, 0.f)), ShapeError);
  EXPECT_THROW(
      model(Tensor<float>(Shape{1, 3, 16, 16}, 0.f), Tensor<float>(Shape{1, 3, 16, 17}, 0.f)),
      ShapeError);
  EXPECT_EQ(model.features(Tensor<float>(Shape{1, 3, 17, 19}, 0.f)).back().shape(),
            (Shape{1, 12, 1, 1}));
  EXPECT_THROW(Lpips<Tensor<float>>(LpipsConfig{.channels = {4, 4}, .convolutions = {1}}),
               ConfigError);
  EXPECT_THROW(Lpips<Tensor<float>>(LpipsConfig{.channels = {4}, .convolutions = {0}}),
               ConfigError);
}

}  // namespace
}  // namespace rae
