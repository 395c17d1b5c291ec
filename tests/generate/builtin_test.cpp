// The model fashion-mnist that is shipped with the library, on real data: the claims of its model
// card, on a small number of pictures.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/dataset.hpp"
#include "rae/load/model_search.hpp"
#include "rae/metrics/knn_probe.hpp"
#include "rae/models/dit_dh.hpp"

namespace rae::test {
namespace {

constexpr const char* kName = "fashion-mnist";
constexpr const char* kData =
    "/usr/share/datasets/fashion-mnist";  // Debian's package dataset-fashion-mnist

/// `count` pictures (N, 1, 28, 28) of a data set, and their labels.
Tensor<float> pictures(const ImageDataset& data, index_t count, std::vector<std::int64_t>& labels) {
  Tensor<float> out(Shape{count, data.channels(), data.height(), data.width()});  // (N, 1, 28, 28)
  for (index_t i = 0; i < count; ++i) {
    data.image(i, out.span().subspan(static_cast<std::size_t>(i * data.image_size()),
                                     static_cast<std::size_t>(data.image_size())));
    labels.push_back(data.label(i));
  }
  return out;
}

TEST(BuiltinModel, IsSmallAndNamesItsClasses) {
  EXPECT_LE(std::filesystem::file_size(find_model(kName)), 16'000'000u);
  const Generator generator = Generator::builtin(kName);
  EXPECT_EQ(generator.class_names(), open_fashion_mnist(kData, Split::test)->class_names());
  EXPECT_EQ(generator.label_of("sneaker"), 7);
  EXPECT_EQ(generator.config().dit->get<DitDhConfig>().num_classes, 10);
  EXPECT_GE(generator.config().dit->get<DitDhConfig>().hidden_size[1],
            generator.config().dit->get<DitDhConfig>().in_channels);  // Theorem 1
}

TEST(BuiltinModel, ReconstructsRealTestPictures) {
  const Autoencoder autoencoder = Autoencoder::builtin(kName);
  std::vector<std::int64_t> labels;
  // (N, 1, 28, 28)
  const Tensor<float> images = pictures(*open_fashion_mnist(kData, Split::test), 200, labels);
  const std::vector<Image> expected = Image::from_batch(images),
                           actual = autoencoder.decode(autoencoder.encode(images));
  double error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    for (std::size_t p = 0; p < expected[i].pixels().size(); ++p) {
      const double d = (static_cast<double>(expected[i].pixels()[p]) - actual[i].pixels()[p]) / 255;
      error += d * d;
    }
  EXPECT_GT(-10 * std::log10(error / static_cast<double>(images.numel())), 28.0);
}

// The nearest real latents of a sample must have the requested class about as often as those of a
// real test picture have its class.
TEST(BuiltinModel, DrawsTheRequestedClass) {
  const Autoencoder autoencoder = Autoencoder::builtin(kName);
  std::vector<std::int64_t> labels, wanted;
  // (N, C, h, w)
  const Tensor<float> real =
      autoencoder.encode(pictures(*open_fashion_mnist(kData, Split::train), 3000, labels));
  for (std::int64_t i = 0; i < 100; ++i) wanted.push_back(i % 10);
  const Generator generator = Generator::builtin(kName);
  auto accuracy = [&](const Cfg& guidance) {
    // (N, C, h, w)
    const Tensor<float> drawn =
        generator.sample_latents({.labels = wanted, .seed = 1, .steps = 25, .guidance = guidance});
    const index_t size = drawn.numel() / drawn.extent(0);
    return knn_accuracy(real.reshaped({real.extent(0), size}), labels,
                        drawn.reshaped({drawn.extent(0), size}), wanted);
  };
  EXPECT_GT(accuracy(Cfg{}), 0.7);
  EXPECT_GT(accuracy(Cfg{.scale = 1.5f}), 0.8);
}

}  // namespace
}  // namespace rae::test
