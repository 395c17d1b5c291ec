#include "rae/formats/fill_weights.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "support/golden.hpp"

namespace rae {
namespace {

using test::message_of;

/// A linear layer whose weight is stored as three tensors in the file, and a bias.
template <Operand X>
struct Network {
  Parameter<X> weight{Shape{6, 4}, ParameterUse::products}, bias{Shape{6}};

  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    f("bias", bias);
  }
};

std::map<std::string, Tensor<float>> tensors() {
  std::map<std::string, Tensor<float>> out;
  std::uint64_t stream = 0;
  for (const char* name : {"q", "k", "v"}) {
    Tensor<float> piece(Shape{2, 4, 1, 1});  // (2, 4, 1, 1), the weight of a convolution
    Philox(1, stream++).fill_normal(piece.span());
    out.emplace(name, piece);
  }
  out.emplace("b", Tensor<float>(Shape{6}, 0.5f));
  return out;
}

TensorGroup group_of(const std::map<std::string, Tensor<float>>& all) {
  return {TensorSource(all, "file"), [](const std::string& name) {
            return name == "bias" ? std::vector<std::string>{"b"}
                                  : std::vector<std::string>{"q", "k", "v"};
          }};
}

template <class X>
class FillWeights : public testing::Test {};
using Operands = testing::Types<Tensor<float>, Var<float>, Tensor<double>>;
TYPED_TEST_SUITE(FillWeights, Operands);

TYPED_TEST(FillWeights, ConcatenatesPieces) {
  const auto all = tensors();
  Network<TypeParam> network;
  fill_weights(network, group_of(all));
  index_t at = 0;
  for (const char* name : {"q", "k", "v"})
    for (const float value : all.at(name).span())
      EXPECT_EQ(static_cast<float>(network.weight.tensor()[at++]), value);
  EXPECT_EQ(static_cast<float>(network.bias.tensor()[5]), 0.5f);
}

TYPED_TEST(FillWeights, ChecksEverythingBeforeSettingTheFirstParameter) {
  auto all = tensors();
  all.erase("b");
  Network<TypeParam> network;
  std::string message =
      message_of<FormatError>([&] { fill_weights(network, group_of(all), "decoder"); });
  EXPECT_NE(message.find("file: decoder: the tensor b is missing"), std::string::npos) << message;
  all = tensors();
  all.at("b") = Tensor<float>(Shape{5}, 0.0f);
  message = message_of<ShapeError>([&] { fill_weights(network, group_of(all)); });
  EXPECT_NE(message.find("file: tensor b: expected (6), got (5)"), std::string::npos) << message;
  all = tensors();
  all.at("k") = Tensor<float>(Shape{4, 2}, 0.0f);
  message = message_of<ShapeError>([&] { fill_weights(network, group_of(all)); });
  EXPECT_NE(message.find("tensor k: expected a part of (6, 4)"), std::string::npos) << message;
  EXPECT_EQ(static_cast<float>(network.weight.tensor()[0]), 0.0f);
}

TYPED_TEST(FillWeights, RefusesNumbersThatAreNotFinite) {
  auto all = tensors();
  all.at("v")[7] = std::numeric_limits<float>::infinity();
  Network<TypeParam> network;
  const std::string message =
      message_of<FormatError>([&] { fill_weights(network, group_of(all)); });
  EXPECT_NE(message.find("file: tensor v contains NaN or infinity"), std::string::npos) << message;
}

TEST(FillWeightsPacking, PacksMatricesOfProductsOnly) {
  const auto all = tensors();
  const WeightPacking packing{[](const std::string&) { return DType::bf16; }, false};
  Network<Tensor<float>> network;
  fill_weights(network, group_of(all), {}, &packing);
  EXPECT_EQ(network.weight.packed.stored(), DType::bf16);
  EXPECT_TRUE(network.bias.packed.empty());
  Network<Var<float>> training;  // networks for training ignore the packing
  fill_weights(training, group_of(all), {}, &packing);
  EXPECT_EQ(training.weight.tensor()[0], all.at("q")[0]);
}

}  // namespace
}  // namespace rae
