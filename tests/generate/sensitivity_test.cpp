#include "rae/generate/sensitivity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/spec/weight_types.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

std::size_t index_of(DType type) {
  return static_cast<std::size_t>(
      std::find(std::begin(kWeightTypes), std::end(kWeightTypes), type) - std::begin(kWeightTypes));
}

double relative_error(const Tensor<float>& got, const Tensor<float>& expected) {
  double sum = 0, square = 0;
  for (index_t i = 0; i < got.numel(); ++i) {
    sum += std::pow(static_cast<double>(got[i]) - static_cast<double>(expected[i]), 2);
    square += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(sum / square);
}

/// All matrices in f32 but one.
LayerTypes only(const ModelFiles& files, const std::string& name, DType type) {
  LayerTypes out;
  for (const PackableLayer& layer : packable_layers(files))
    out.emplace(layer.name, layer.name == name ? type : DType::f32);
  return out;
}

TEST(Sensitivity, OwnSamplesAreTheCalibration) {
  const ModelFiles files = tiny_bundle().files();
  const CalibrationData data = sampled_calibration(files, 5, 3);
  const Generator generator(files);
  EXPECT_EQ(data.labels, (std::vector<std::int64_t>{0, 1, 2, 0, 1}));
  const Tensor<float> z = generator.sample_latents({.labels = data.labels, .seed = 3});
  EXPECT_TRUE(std::ranges::equal(data.latents.span(), z.span()));
  EXPECT_EQ(data.images.shape(), (Shape{5, 1, 8, 8}));
  for (const float value : data.images.span()) EXPECT_TRUE(value >= 0 && value <= 1);
}

/// The sensitivity of one layer is the error of a model that is loaded with this type.
TEST(Sensitivity, IsTheErrorOfTheNetworkWithOneOtherLayer) {
  const ModelFiles files = tiny_bundle().files();
  const CalibrationData data = sampled_calibration(files, 40, 1);  // more than one batch
  const auto sensitivities = measure_sensitivities(files, data);
  const auto error_of = [&](const std::string& name, DType type) {
    for (const LayerSensitivity& each : sensitivities)
      if (each.name == name) return each.errors[index_of(type)];
    ADD_FAILURE() << name;
    return 0.0;
  };
  std::string name;
  for (const LayerSensitivity& each : sensitivities)
    if (each.name.starts_with("decoder.decoder_layers.")) name = each.name;
  const Generator exact(files);
  for (const DType type : {DType::bf16, DType::int8, DType::int8w, DType::int4}) {
    const Generator narrow(files, {.layer_types = only(files, name, type)});
    EXPECT_EQ(narrow.type_name(), "mixed");
    const double expected =
        relative_error(narrow.decode_pixels(data.latents), exact.decode_pixels(data.latents));
    EXPECT_GT(expected, 0);
    EXPECT_NEAR(error_of(name, type), expected, 1e-9) << name_of(type);
  }
}

TEST(Sensitivity, HasAllLayersAndTypesInOrder) {
  const ModelFiles files = tiny_bundle().files();
  const auto layers = packable_layers(files);
  std::vector<index_t> seen;
  const auto sensitivities =
      measure_sensitivities(files, sampled_calibration(files, 20, 1), [&](index_t done, index_t n) {
        EXPECT_EQ(n, static_cast<index_t>(layers.size()) * 4);
        seen.push_back(done);
        return true;
      });
  EXPECT_EQ(seen.size(), layers.size() * 4);
  ASSERT_EQ(sensitivities.size(), layers.size());
  double of_bf16 = 0, of_int8w = 0, of_int4 = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(sensitivities[i].name, layers[i].name);
    ASSERT_EQ(sensitivities[i].errors.size(), std::size(kWeightTypes));
    EXPECT_EQ(sensitivities[i].errors[index_of(DType::f32)], 0);
    of_bf16 += sensitivities[i].errors[index_of(DType::bf16)];
    of_int8w += sensitivities[i].errors[index_of(DType::int8w)];
    of_int4 += sensitivities[i].errors[index_of(DType::int4)];
  }
  EXPECT_LT(of_bf16, of_int8w);
  EXPECT_LT(of_int8w, of_int4);
  const auto costs = costs_of(layers, sensitivities);
  EXPECT_EQ(costs[0].types[0].bytes, layers[0].bytes[0]);
  EXPECT_EQ(costs[0].types[4].error, sensitivities[0].errors[4]);
  EXPECT_THROW((void)costs_of(layers, {}), ArgumentError);
}

TEST(Sensitivity, TheWholeModelIsMeasuredWithItsTypes) {
  const ModelFiles files = tiny_bundle().files();
  const CalibrationData data = sampled_calibration(files, 20, 1);
  LayerTypes types = only(files, "", DType::f32);
  for (const double error : measure_errors(files, types, data)) EXPECT_EQ(error, 0);
  for (auto& [name, type] : types)
    if (name.starts_with("dit.")) type = DType::int4;
  const std::vector<double> errors = measure_errors(files, types, data);
  EXPECT_GT(errors[static_cast<std::size_t>(NetworkRole::dit)], 0.01);
  EXPECT_EQ(errors[static_cast<std::size_t>(NetworkRole::decoder)], 0);
  EXPECT_EQ(errors[static_cast<std::size_t>(NetworkRole::guide)], 0);
}

TEST(Sensitivity, StopsAndRejectsDataThatDoNotFit) {
  const ModelFiles files = tiny_bundle().files();
  CalibrationData data = sampled_calibration(files, 4, 1);
  EXPECT_THROW(
      (void)measure_sensitivities(files, data, [](index_t done, index_t) { return done < 3; }),
      Cancelled);
  CalibrationData wrong = data;
  wrong.latents = Tensor<float>(Shape{4, 16, 2, 3}, 0.0f);
  EXPECT_THROW((void)measure_sensitivities(files, wrong), ShapeError);
  wrong = data;
  wrong.labels.pop_back();
  EXPECT_THROW((void)measure_sensitivities(files, wrong), ShapeError);
  wrong = data;
  wrong.images = {};
  EXPECT_THROW((void)measure_sensitivities(files, wrong), ShapeError);
}

}  // namespace
}  // namespace rae::test
