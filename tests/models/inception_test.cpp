#include "rae/models/inception.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "rae/core/parallel.hpp"
#include "support/procedural_weights.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

/// The network of the golden data, a sixteenth as wide as the published one.
Inception tiny(const test::ProceduralWeights& weights) {
  return Inception(
      [&](const std::string& name, const Shape& shape) { return weights(name, shape); },
      {.width_divisor = 16, .classes = 63});
}

// The golden numbers were computed in double by a PyTorch network, which was written from the
// description of the layers. In float, PyTorch's own error is 1.3e-6.
TEST(InceptionNetwork, MatchesPyTorch) {
  const test::Golden io("inception/io.safetensors");
  const test::ProceduralWeights weights(test::golden_config("inception"));
  const Inception network = tiny(weights);
  EXPECT_EQ(network.width(), 128);
  const Tensor<float> images = io("images");  // (2, 3, 37, 50)
  const Tensor<float> input = Inception::input(images),
                      every13 = io("resized_every13");  // (2, 3, 299, 299), (2, 3, 23, 23)
  ASSERT_EQ(input.shape(), (Shape{2, 3, 299, 299}));
  for (index_t i = 0; i < every13.numel(); ++i) {
    const index_t plane = i / (23 * 23), y = i / 23 % 23, x = i % 23;
    ASSERT_EQ(input[(plane * 299 + 13 * y) * 299 + 13 * x], every13[i]) << i;
  }
  const Tensor<float> features = network.features(images);  // (2, 128)
  test::expect_close(features, io("features"), 1e-5, "features");
  test::expect_close(network.logits(features), io("logits"), 1e-5, "logits");
}

TEST(InceptionNetwork, PicturesDependOnNeitherThreadsNorBatch) {
  const test::Golden io("inception/io.safetensors");
  const test::ProceduralWeights weights(test::golden_config("inception"));
  const Inception network = tiny(weights);
  const Tensor<float> images = io("images");  // (2, 3, 37, 50)
  set_num_threads(1);
  const Tensor<float> both = network.features(images);  // (2, 128)
  set_num_threads(3);
  const index_t one = images.numel() / 2;
  // (1, 3, 37, 50)
  const Tensor<float> second(Shape{1, 3, 37, 50},
                             images.span().subspan(static_cast<std::size_t>(one)));
  const Tensor<float> alone = network.features(second);  // (1, 128)
  set_num_threads(0);
  for (index_t i = 0; i < 128; ++i) ASSERT_EQ(alone[i], both[128 + i]);
}

TEST(InceptionNetwork, RefusesWrongWeightsAndPictures) {
  const test::ProceduralWeights weights(test::golden_config("inception"));
  const auto with = [&](const std::string& wrong, float value) {
    return [&weights, wrong, value](const std::string& name, const Shape& shape) {
      Tensor<float> out = weights(name, shape);  // of `shape`
      if (name == wrong) out[0] = value;
      return out;
    };
  };
  const InceptionConfig config{.width_divisor = 16, .classes = 63};
  EXPECT_NE(test::message_of<NumericError>([&] {
              Inception(with("Mixed_7c.branch1x1.bn.running_var", -1), config);
            }).find("negative"),
            std::string::npos);
  for (const char* name : {"Mixed_5b.branch1x1.conv.weight", "Conv2d_1a_3x3.bn.bias", "fc.weight"})
    EXPECT_THROW(Inception(with(name, std::numeric_limits<float>::quiet_NaN()), config),
                 NumericError)
        << name;
  EXPECT_THROW(Inception(with("", 0), {.width_divisor = 3}), ConfigError);
  const Inception network = tiny(weights);
  EXPECT_THROW((void)network.features(Tensor<float>(Shape{1, 1, 8, 8}, 0.0f)), ShapeError);
  EXPECT_THROW((void)network.features(Tensor<float>()), ShapeError);
  EXPECT_THROW((void)network.logits(Tensor<float>(Shape{1, 2048}, 0.0f)), ShapeError);
}

}  // namespace
}  // namespace rae
