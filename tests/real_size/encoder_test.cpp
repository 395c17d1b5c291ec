#include "rae/models/encoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numbers>

#include "support/procedural_weights.hpp"

namespace rae {
namespace {

// DINOv2-B with registers on 224 x 224 pixels, its 37 x 37 position table resized to 16 x 16.
// Tokens have a standard deviation of 1, so the tolerance is 1e-3.
TEST(RealSize, Dinov2BaseMatches) {
  const test::Golden io("real_dinov2_b/io.safetensors");
  const test::ProceduralWeights weights(test::golden_config("real_dinov2_b"));
  Encoder<Tensor<float>> encoder(EncoderConfig{});
  const NameMap names = encoder_names(EncoderFamily::dinov2, "encoder.");
  encoder.parameters([&](const std::string& name, Parameter<Tensor<float>>& p) {
    const std::vector<std::string> files = names(name);
    const auto parts = static_cast<index_t>(files.size());
    Tensor<float> joined(p.shape());  // p's shape
    float* target = joined.data();
    for (const std::string& file : files) {
      // flat, a part of p
      const Tensor<float> part = weights(file, Shape{p.shape().numel() / parts});
      target = std::copy_n(part.data(), part.numel(), target);
    }
    p.set(joined);
  });
  const Tensor<float> tokens =
      encoder(test::procedural({1, 3, 224, 224}, 9999, 2 * std::numbers::sqrt3));  // (1, 256, 768)
  const Tensor<float> expected = io("tokens_every4ch");                            // (1, 256, 192)
  ASSERT_EQ(tokens.shape(), (Shape{1, 256, 768}));
  Tensor<float> every4(expected.shape());  // (1, 256, 192)
  for (index_t i = 0; i < expected.numel(); ++i) every4[i] = tokens[4 * i];
  EXPECT_TRUE(test::close(every4, expected, 1e-3));
}

}  // namespace
}  // namespace rae
