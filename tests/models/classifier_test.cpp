#include "rae/models/classifier.hpp"

#include <gtest/gtest.h>

#include <array>

#include "rae/autograd/gradcheck.hpp"
#include "rae/ops/loss.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

TEST(Classifier, ShapesFollowTheDataSet) {
  for (const ClassifierConfig& c :
       {ClassifierConfig{.first_channels = 2, .features = 5},
        ClassifierConfig{
            .channels = 3, .height = 33, .width = 50, .classes = 3, .first_channels = 2},
        ClassifierConfig{
            .channels = 1, .height = 4, .width = 5, .classes = 2, .first_channels = 1}}) {
    Classifier<Tensor<float>> model(c);
    initialize(model, 1);
    const Tensor<float> images =
        random_tensor<float>({2, c.channels, c.height, c.width}, 1);  // (B, C, H, W)
    const Tensor<float> features = model.features(images);            // (B, features)
    EXPECT_TRUE((features.shape() == Shape{2, c.features}));
    EXPECT_TRUE(test::close(model.classify(features), model(images), 0.0));
    EXPECT_TRUE((model(images).shape() == Shape{2, c.classes}));
  }
  EXPECT_EQ((ClassifierConfig{.height = 28, .width = 28}.stages()), 2);
  EXPECT_EQ((ClassifierConfig{.height = 64, .width = 80}.stages()), 3);
  EXPECT_EQ((ClassifierConfig{.height = 8, .width = 8}.stages()), 1);
}

TEST(Classifier, ResidualShapesFollowTheDataSet) {
  for (const auto& [side, stride, stages] : {std::array<index_t, 3>{32, 1, 3},
                                             {28, 1, 2},
                                             {64, 1, 4},
                                             {4, 1, 1},
                                             {95, 1, 4},
                                             {96, 2, 3},
                                             {256, 4, 4}}) {
    const ClassifierConfig c{.channels = 3,
                             .height = side,
                             .width = side + 1,
                             .classes = 3,
                             .first_channels = 2,
                             .network = ClassifierNetwork::residual};
    EXPECT_EQ(c.first_stride(), stride) << side;
    EXPECT_EQ(c.stages(), stages) << side;
    Classifier<Tensor<float>> model(c);
    initialize(model, 1);
    const index_t features = stages == 1 ? 4 : stages == 2 ? 8 : 16;
    EXPECT_EQ(model.config().features, features) << side;
    const Tensor<float> images = random_tensor<float>({2, 3, side, side + 1}, 1);  // (B, C, H, W)
    EXPECT_TRUE((model.features(images).shape() == Shape{2, features})) << side;
    EXPECT_TRUE((model(images).shape() == Shape{2, 3})) << side;
  }
}

TEST(Classifier, GradientsAgreeWithFiniteDifferences) {
  for (const ClassifierNetwork network : {ClassifierNetwork::plain, ClassifierNetwork::residual}) {
    const ClassifierConfig config{.channels = 2,
                                  .height = 6,
                                  .width = 4,
                                  .classes = 3,
                                  .first_channels = 2,
                                  .features = 4,
                                  .network = network};
    const std::vector<std::int64_t> labels = {2, 0};
    Classifier<Var<double>> start(config);
    initialize(start, 3);
    std::vector<Tensor<double>> inputs = {random_tensor<double>({2, 2, 6, 4}, 4)};
    start.parameters([&](const std::string&, auto& p) { inputs.push_back(p.tensor()); });
    const GradcheckResult result = gradcheck(
        [&](const std::vector<Var<double>>& in) {
          Classifier<Var<double>> model(config);
          std::size_t i = 1;
          model.parameters([&](const std::string&, auto& p) { p.value = in[i++]; });
          return cross_entropy_loss(model(in[0]), labels);
        },
        inputs);
    EXPECT_LT(result.worst, 1e-7) << result.where;
  }
}

TEST(Classifier, RefusesInvalidConfigurationsAndPictures) {
  EXPECT_THROW(Classifier<Tensor<float>>(ClassifierConfig{.height = 3}), ConfigError);
  EXPECT_THROW(Classifier<Tensor<float>>(ClassifierConfig{.classes = 0}), ConfigError);
  const Classifier<Tensor<float>> model(ClassifierConfig{.first_channels = 1});
  EXPECT_THROW((void)model(Tensor<float>(Shape{1, 3, 28, 28}, 0.0f)), ShapeError);
  EXPECT_THROW((void)model(Tensor<float>()), ShapeError);
}

}  // namespace
}  // namespace rae
