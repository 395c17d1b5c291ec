#include "rae/models/inception.hpp"

#include <gtest/gtest.h>

#include "support/procedural_weights.hpp"

namespace rae {
namespace {

// The published widths, 24 million weights. Features have a standard deviation of 2.6, logits of 3;
// the golden numbers were computed by PyTorch in double.
TEST(RealSize, InceptionMatches) {
  const test::Golden io("real_inception/io.safetensors");
  const test::ProceduralWeights weights(test::golden_config("real_inception"));
  const Inception network(
      [&](const std::string& name, const Shape& shape) { return weights(name, shape); });
  const Tensor<float> features = network.features(io("images"));  // (B, 2048)
  test::expect_close(features, io("features"), 3e-5, "features");
  test::expect_close(network.logits(features), io("logits"), 3e-5, "logits");
}

}  // namespace
}  // namespace rae
