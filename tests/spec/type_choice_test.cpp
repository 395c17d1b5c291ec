#include "rae/spec/type_choice.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"

namespace rae {
namespace {

constexpr NetworkRole kDit = NetworkRole::dit, kDecoder = NetworkRole::decoder;

/// A layer that takes `bytes` in f32, with the errors of the other types.
LayerCosts layer(const std::string& name, std::uint64_t bytes, double bf16, double int8,
                 double int4, NetworkRole role = kDit) {
  return {name,
          role,
          {{DType::f32, bytes, 0},
           {DType::bf16, bytes / 2, bf16},
           {DType::int8, bytes / 4, int8},
           {DType::int4, bytes / 7, int4}}};
}

double error_of(const TypeChoice& choice, NetworkRole role) {
  return choice.errors[static_cast<std::size_t>(role)];
}

TEST(TypeChoice, NarrowsTheLayersThatCostTheLeastErrorPerByte) {
  const std::vector<LayerCosts> layers{layer("robust", 2800, 0.001, 0.002, 0.01),
                                       layer("sensitive", 2800, 0.001, 0.1, 0.5)};
  const TypeChoice half = choose_types(layers, {.bytes = 2700});
  EXPECT_EQ(half.types.at("robust"), DType::int8);
  EXPECT_EQ(half.types.at("sensitive"), DType::bf16);
  EXPECT_EQ(half.bytes, 2100u);
  EXPECT_DOUBLE_EQ(error_of(half, kDit), std::hypot(0.002, 0.001));
  const TypeChoice least = choose_types(layers, {.bytes = 800});
  EXPECT_EQ(least.types.at("sensitive"), DType::int4);
  EXPECT_EQ(least.bytes, 800u);
}

TEST(TypeChoice, EnoughBytesChangeNothing) {
  const std::vector<LayerCosts> layers{layer("a", 2800, 0.001, 0.002, 0.01)};
  const TypeChoice all = choose_types(layers, {.bytes = 2800});
  EXPECT_EQ(all.types.at("a"), DType::f32);
  EXPECT_EQ(error_of(all, kDit), 0);
}

TEST(TypeChoice, TheErrorOfEachNetworkStaysBelowTheLimit) {
  const std::vector<LayerCosts> layers{layer("dit.a", 2800, 0.001, 0.004, 0.03),
                                       layer("dit.b", 2800, 0.001, 0.009, 0.02),
                                       layer("decoder.a", 2800, 0.001, 0.02, 0.9, kDecoder)};
  const TypeChoice choice = choose_types(layers, {.error = 0.01});
  EXPECT_LE(error_of(choice, kDit), 0.01);
  EXPECT_LE(error_of(choice, kDecoder), 0.01);
  EXPECT_EQ(choice.types.at("dit.a"), DType::int8);
  EXPECT_EQ(choice.types.at("dit.b"), DType::int8);
  EXPECT_EQ(choice.types.at("decoder.a"), DType::bf16);
  EXPECT_EQ(choose_types(layers, {.error = 0}).types.at("dit.a"), DType::f32);
}

TEST(TypeChoice, ATypeAboveTheHullIsLeftOut) {
  // int8 is both larger and less exact than int4; bf16 costs more than a mix of its neighbours.
  const std::vector<LayerCosts> layers{layer("a", 2800, 0.008, 0.02, 0.01)};
  EXPECT_EQ(choose_types(layers, {.bytes = 2000}).types.at("a"), DType::int4);
  EXPECT_EQ(choose_types(layers, {.error = 0.009}).types.at("a"), DType::f32);
}

/// On the convex hull the greedy choice is the best one for its own number of bytes: no choice of
/// other types is as small and more exact. All choices of six layers are tried.
TEST(TypeChoice, NoOtherChoiceOfAsFewBytesIsMoreExact) {
  std::vector<LayerCosts> layers;
  std::uint64_t stream = 0;
  for (int i = 0; i < 6; ++i) {
    const Philox random(5, stream++);
    const double scale = std::exp(2 * static_cast<double>(random.uniform(0)));
    layers.push_back(layer(concat("layer", i),
                           1000 + static_cast<std::uint64_t>(random.uniform(1) * 5000.0f),
                           0.001 * scale, 0.004 * scale, 0.03 * scale));
  }
  for (const std::uint64_t budget : {5000u, 8000u, 12000u}) {
    const TypeChoice greedy = choose_types(layers, {.bytes = budget});
    EXPECT_LE(greedy.bytes, budget);
    const double square = std::pow(error_of(greedy, kDit), 2);
    for (int code = 0; code < 4096; ++code) {
      std::uint64_t bytes = 0;
      double sum = 0;
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const TypeCost& cost = layers[i].types[static_cast<std::size_t>(code >> 2 * i) % 4];
        bytes += cost.bytes;
        sum += cost.error * cost.error;
      }
      if (bytes > greedy.bytes) continue;
      EXPECT_GE(sum, square * (1 - 1e-12)) << code;
    }
  }
}

TEST(TypeChoice, RejectsImpossibleLimits) {
  const std::vector<LayerCosts> layers{layer("a", 2800, 0.001, 0.002, 0.01)};
  EXPECT_THROW((void)choose_types(layers, {}), ArgumentError);
  EXPECT_THROW((void)choose_types(layers, {.bytes = 1000, .error = 0.1}), ArgumentError);
  EXPECT_THROW((void)choose_types(layers, {.bytes = 399}), ArgumentError);
  EXPECT_THROW((void)choose_types({{"a", kDit, {}}}, {.error = 0.1}), ArgumentError);
}

}  // namespace
}  // namespace rae
