#include "rae/generate/features.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "generate/batches.hpp"
#include "load/network_loader.hpp"
#include "rae/core/workspace.hpp"
#include "rae/models/inception.hpp"

namespace rae {

struct FeatureExtractor::Network {
  std::string name;
  index_t dimension = 0, batch = 1;

  Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  /// The picture as the network takes it; prepared pictures of one size can be stacked.
  [[nodiscard]] virtual Image prepare(const Image& image) const = 0;
  /// (B, D) for prepared pictures (B, channels, H, W) in [0, 1].
  [[nodiscard]] virtual Tensor<float> features(const Tensor<float>& images) const = 0;
  [[nodiscard]] virtual const Inception* inception() const { return nullptr; }
};

namespace {

struct PooledTokens final : FeatureExtractor::Network {
  ModelConfig config;
  Rae<float> autoencoder;  // without a decoder
  Shape picture;           // (channels, H, W) of the model's pictures

  explicit PooledTokens(const ModelFiles& files)
      : config(files.config),
        autoencoder(detail::NetworkLoader(files, {}, {NetworkRole::encoder})
                        .autoencoder(NetworkRole::encoder)),
        picture(config.image_shape()) {
    name = "pooled tokens of the encoder of " + config.name;
    const Shape latent = config.latent_shape();
    dimension = latent[0];
    batch = detail::default_batch(latent[1] * latent[2]);
  }

  [[nodiscard]] Image prepare(const Image& image) const override {
    return (config.encoder.channels() == 1 ? image.to_gray() : image.to_rgb())
        .center_crop(picture[2], picture[1]);
  }

  [[nodiscard]] Tensor<float> features(const Tensor<float>& images) const override {
    const Tensor<float> tokens = autoencoder.encode_tokens(images);  // (B, N, D)
    const index_t n = tokens.extent(1), d = tokens.extent(2);
    Tensor<float> out(Shape{tokens.extent(0), d});  // (B, D)
    for (index_t b = 0; b < tokens.extent(0); ++b)
      for (index_t j = 0; j < d; ++j) {
        double sum = 0;
        for (index_t i = 0; i < n; ++i)
          sum += static_cast<double>(tokens.data()[(b * n + i) * d + j]);
        out[b * d + j] = static_cast<float>(sum / static_cast<double>(n));
      }
    return out;
  }
};

struct InceptionNetwork final : FeatureExtractor::Network {
  Inception network;

  explicit InceptionNetwork(Inception loaded) : network(std::move(loaded)) {
    name = "Inception-v3";
    dimension = network.width();
    batch = 8;
  }

  [[nodiscard]] Image prepare(const Image& image) const override { return image.to_rgb(); }
  [[nodiscard]] Tensor<float> features(const Tensor<float>& images) const override {
    Tensor<float> samples = images;  // (B, 3, H, W), integers from 0 to 255
    for (float& v : samples.span()) v = std::round(v * 255.0f);
    return network.features(samples);
  }
  [[nodiscard]] const Inception* inception() const override { return &network; }
};

/// Pictures of one size as (B, channels, H, W) in [0, 1].
Tensor<float> stack(std::span<const Image> images) {
  const Image& first = images.front();
  Tensor<float> out(Shape{static_cast<index_t>(images.size()), first.channels(), first.height(),
                          first.width()});  // (B, channels, H, W)
  float* target = out.data();
  for (const Image& image : images) {
    const Tensor<float> one = image.to_tensor();  // (1, channels, H, W)
    target = std::copy_n(one.data(), one.numel(), target);
  }
  return out;
}

bool same_shape(const Image& a, const Image& b) {
  return a.width() == b.width() && a.height() == b.height() && a.channels() == b.channels();
}

}  // namespace

FeatureExtractor FeatureExtractor::encoder(const ModelFiles& files) {
  if (!files.encoder)
    raise<FormatError>(files.origin, ": has no encoder, which is needed for features");
  return FeatureExtractor(std::make_shared<const PooledTokens>(files));
}

FeatureExtractor FeatureExtractor::encoder(const PretrainedEncoder& pretrained,
                                           const std::string& name) {
  constexpr index_t kPatches = 16;
  const EncoderConfig& shape = pretrained.config;
  ModelFiles files;
  files.config.name = name;
  files.config.encoder = shape;
  files.config.pixels = pretrained.pixels;
  files.config.image_size = shape.patch_size * std::min({kPatches, shape.table_h, shape.table_w});
  files.encoder = pretrained.file;
  files.origin = name;
  return encoder(files);
}

FeatureExtractor FeatureExtractor::inception(const TensorSource& file) {
  const TensorSource weights = file.weights();
  const std::string first = "Conv2d_1a_3x3.conv.weight";
  constexpr const char* kExpected =
      "expected those of torch-fidelity or pytorch-fid, pt_inception-2015-12-05-6726825d.pth";
  for (const auto& name : weights.names())
    if (name.rfind("AuxLogits.", 0) == 0)
      raise<FormatError>(
          file.origin(),
          ": these are the weights of torchvision's Inception-v3, whose features differ; ",
          kExpected);
  for (const std::string& name : {first, std::string("fc.weight")})
    if (weights.unreadable().find(name) != weights.unreadable().end())
      (void)weights.info(name);  // throws
  if (!weights.contains(first) || !weights.contains("fc.weight"))
    raise<FormatError>(file.origin(), ": no weights of Inception-v3 ('", first,
                       "' or 'fc.weight' is missing); ", kExpected);
  const index_t narrowest = weights.info(first).shape.rank() > 0 ? weights.info(first).shape[0] : 0;
  const Shape& head = weights.info("fc.weight").shape;
  const InceptionConfig config{
      .width_divisor = narrowest > 0 && 32 % narrowest == 0 ? 32 / narrowest : 1,
      .classes = head.rank() > 0 ? std::max<index_t>(head[0], 1) : 1};
  return FeatureExtractor(std::make_shared<const InceptionNetwork>(Inception(
      [&](const std::string& name, const Shape& shape) { return weights.read<float>(name, shape); },
      config)));
}

Tensor<float> FeatureExtractor::operator()(std::span<const Image> images) const {
  if (images.empty()) raise<ArgumentError>("FeatureExtractor: no pictures");
  std::vector<Image> prepared;
  for (const Image& image : images) {
    if (image.empty()) raise<ArgumentError>("FeatureExtractor: a picture is empty");
    prepared.push_back(network_->prepare(image));
  }
  Tensor<float> out(Shape{static_cast<index_t>(images.size()), dimension()});  // (B, D)
  float* target = out.data();
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  for (std::size_t begin = 0; begin < prepared.size();) {
    std::size_t end = begin + 1;
    while (end < prepared.size() && end - begin < static_cast<std::size_t>(batch_size()) &&
           same_shape(prepared[begin], prepared[end]))
      ++end;
    const Tensor<float> part =
        network_->features(stack(std::span(prepared).subspan(begin, end - begin)));  // (b, D)
    target = std::copy_n(part.data(), part.numel(), target);
    begin = end;
  }
  return out;
}

Tensor<float> FeatureExtractor::logits(const Tensor<float>& features) const {
  if (!is_inception())
    raise<ArgumentError>("FeatureExtractor: ", name(),
                         " have no logits; the Inception score needs Inception-v3");
  return network_->inception()->logits(features);
}

index_t FeatureExtractor::dimension() const noexcept { return network_->dimension; }
bool FeatureExtractor::is_inception() const noexcept { return network_->inception() != nullptr; }
const std::string& FeatureExtractor::name() const noexcept { return network_->name; }
index_t FeatureExtractor::batch_size() const noexcept { return network_->batch; }

}  // namespace rae
