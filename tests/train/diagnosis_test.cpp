// Diagnosis of an encoder: measures by layer against direct computations, and the advice.
#include "rae/train/diagnosis.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/core/random.hpp"
#include "rae/io/dataset.hpp"
#include "rae/metrics/anisotropy.hpp"
#include "rae/metrics/token_spectrum.hpp"
#include "rae/models/initialize.hpp"

namespace rae::test {
namespace {

EncoderConfig sizes() {
  return {.family = EncoderFamily::siglip2,
          .patch_size = 4,
          .channels = 1,
          .hidden_size = 12,
          .num_layers = 3,
          .num_heads = 2,
          .intermediate_size = 16,
          .table_h = 2,
          .table_w = 2};
}

Encoder<Tensor<float>> random_encoder() {
  Encoder<Tensor<float>> encoder(sizes());
  initialize(encoder, 5);
  return encoder;
}

/// Pictures of 8 x 8: the brightness of the left half is the class, with a little noise. Or
/// `blind`: the label has nothing to do with the picture.
class Halves final : public ImageDataset {
 public:
  Halves(index_t count, std::uint64_t seed, index_t classes, bool blind = false)
      : count_(count), seed_(seed), blind_(blind) {
    for (index_t c = 0; c < classes; ++c) names_.push_back(std::to_string(c));
  }
  index_t size() const override { return count_; }
  int channels() const override { return 1; }
  index_t height() const override { return 8; }
  index_t width() const override { return 8; }
  const std::vector<std::string>& class_names() const override { return names_; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t) const override {
    const auto bright = static_cast<float>(i % static_cast<index_t>(names_.size()));
    Philox(seed_, static_cast<std::uint64_t>(i)).fill_uniform(out);
    for (std::size_t p = 0; p < out.size(); ++p)
      out[p] = 0.2f * out[p] + (p % 8 < 4 ? 0.3f * bright : 0.4f);
  }
  index_t load_label(index_t i) const override {
    return (blind_ ? i / 2 : i) % static_cast<index_t>(names_.size());
  }

 private:
  index_t count_;
  std::uint64_t seed_;
  bool blind_;
  std::vector<std::string> names_;
};

TEST(Diagnosis, MeasuresAreThoseOfTheTokens) {
  const Encoder<Tensor<float>> encoder = random_encoder();
  const PixelNorm pixels{{0.4, 0, 0}, {0.3, 1, 1}};
  const Halves train(40, 1, 2), test(30, 2, 2);
  const Diagnosis d = diagnose(*encoder_network(Encoder<Tensor<float>>(encoder)), pixels, train,
                               &test, {.batch = 7});
  EXPECT_EQ(d.latent, (Shape{12, 2, 2}));
  EXPECT_EQ(d.classes, 2);
  EXPECT_EQ(d.train_pictures, 40);
  EXPECT_EQ(d.test_pictures, 30);
  ASSERT_EQ(d.layers.size(), 3u);
  ASSERT_EQ(d.means.size(), 3u);  // of the last one, two, and of all three
  EXPECT_EQ(d.means[1].first, 2);
  EXPECT_EQ(d.means[2].first, 1);
  for (const LayerMeasures& m : d.means) EXPECT_EQ(m.last, 3);

  // All tokens are kept, in the order of the pictures.
  Tensor<float> images(Shape{40, 1, 8, 8});  // (B, C, H, W)
  for (index_t i = 0; i < 40; ++i)
    train.image(i, images.span().subspan(static_cast<std::size_t>(64 * i), 64));
  const auto states = encoder.hidden_states(normalize_pixels(images, pixels));  // (B, N, D) each
  for (std::size_t l = 0; l < 3; ++l) {
    const View<const float> tokens{states[l].data(), Shape{160, 12}};
    EXPECT_NEAR(d.layers[l].effective_rank, effective_rank(tokens), 1e-3) << l;
    EXPECT_NEAR(d.layers[l].anisotropy, anisotropy(tokens), 1e-5) << l;
    double variance = 0;
    for (const double value : token_spectrum(tokens)) variance += value / 12;
    EXPECT_NEAR(d.layers[l].deviation, std::sqrt(variance), 1e-5) << l;
    // Halves of different brightness are classes that any layer tells apart.
    EXPECT_GT(*d.layers[l].knn, 0.95) << l;
    EXPECT_GT(*d.layers[l].linear, 0.95) << l;
  }
  Tensor<float> mean(states[0].shape());  // (B, N, D)
  for (index_t i = 0; i < mean.numel(); ++i) mean[i] = (states[1][i] + states[2][i]) / 2;
  EXPECT_NEAR(d.means[1].effective_rank,
              effective_rank(View<const float>{mean.data(), Shape{160, 12}}), 1e-3);
  // Elements of variance 1: the spectrum adds up to the width.
  double sum = 0;
  for (const double value : d.spectrum) sum += value;
  EXPECT_NEAR(sum, 12, 1e-3);
}

TEST(Diagnosis, ClassesThatTokensDoNotShowAreGuessed) {
  const Halves train(200, 1, 2, true), test(200, 2, 2, true);
  const Diagnosis d = diagnose(*encoder_network(random_encoder()), {}, train, &test);
  EXPECT_NEAR(*d.layers.back().knn, 0.5, 0.15);
  // No mean of layers is clearly better, so none is recommended.
  for (const Advice& a : advice_for(d))
    if (a.key == "model.encoder.latent_layers") {
      EXPECT_EQ(a.value, "(the last layer)");
    }
}

TEST(Diagnosis, WorksWithoutClassesOrATestPart) {
  const Halves one(20, 1, 1), two(20, 1, 2);
  const auto encoder = encoder_network(random_encoder());
  for (const Diagnosis& d :
       {diagnose(*encoder, {}, one, &one), diagnose(*encoder, {}, two, nullptr)}) {
    EXPECT_EQ(d.classes, 0);
    EXPECT_FALSE(d.layers.front().knn);
    EXPECT_GT(d.layers.front().effective_rank, 1);
    EXPECT_EQ(advice_for(d).size(), 3u);
  }
}

TEST(Diagnosis, AdviceFollowsFromTheMeasures) {
  Diagnosis d{.latent = {768, 16, 16}, .classes = 10};
  d.test_pictures = 1000;
  LayerMeasures m{.first = 12, .last = 12, .effective_rank = 600, .anisotropy = 0.1};
  m.deviation = 0.5;
  m.knn = 0.6;
  d.layers = {m};
  d.means = {m, m};
  d.means[1].first = 9;
  d.means[1].knn = 0.7;
  d.spectrum.assign(768, 1.0);
  const std::vector<Advice> advice = advice_for(d);
  ASSERT_EQ(advice.size(), 4u);
  EXPECT_EQ(advice[0].key, "model.time_shift");
  EXPECT_EQ(advice[0].value, "6.928");  // sqrt(48), the official number
  EXPECT_EQ(advice[1].value, "[any, 768 or more]");
  // Half of the directions, each of variance 1 + 1, of 768: a loss of 1.
  EXPECT_NE(advice[1].reason.find("a loss of 1.000"), std::string::npos) << advice[1].reason;
  EXPECT_EQ(advice[2].value, "0.4");
  EXPECT_EQ(advice[3].key, "model.encoder.latent_layers");
  EXPECT_EQ(advice[3].value, "[8, 9, 10, 11]");
  // A gain within two standard errors, 0.031, is none.
  d.means[1].knn = 0.63;
  EXPECT_EQ(advice_for(d)[3].value, "(the last layer)");
}

TEST(Diagnosis, RefusesAndStops) {
  const auto encoder = encoder_network(random_encoder());
  const Halves data(20, 1, 2), single(1, 1, 2);
  EXPECT_THROW((void)diagnose(*encoder, {}, data, &data, {.train_pictures = 0}), ArgumentError);
  EXPECT_THROW((void)diagnose(*encoder, {}, single, nullptr), ArgumentError);
  DiagnosisOptions stops{.batch = 5};
  index_t calls = 0;
  stops.on_progress = [&](index_t, index_t total) {
    EXPECT_EQ(total, 40);
    return ++calls < 2;
  };
  EXPECT_THROW((void)diagnose(*encoder, {}, data, &data, stops), Cancelled);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace rae::test
