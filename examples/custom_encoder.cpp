// Your own encoder in a model:
//   example_custom_encoder DATA OUT [--steps N]
// An encoder is anything that turns pictures (B, C, H, W) into tokens (B, N, D) on a grid. This one
// has no weights: its tokens are the lowest frequencies of the cosine transform of each patch, as
// in JPEG. Recipes, bundles, Autoencoder and Generator find a registered encoder by its name.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numbers>
#include <rae/rae.hpp>
#include <rae/spec/register_encoder.hpp>
#include <rae/train/recipe.hpp>

constexpr rae::index_t kPatch = 7, kKept = 4, kWidth = kKept * kKept;  // 4 x 4 of 7 x 7 frequencies

struct CosineConfig {};
template <rae::Operand X>
struct CosineEncoder {
  rae::Tensor<float> basis{{kWidth, kPatch* kPatch}};  // (D, P*P)

  explicit CosineEncoder(const CosineConfig&) {
    const auto wave = [](rae::index_t k, rae::index_t x) {
      return std::cos(std::numbers::pi * static_cast<double>((2 * x + 1) * k) / (2 * kPatch)) *
             std::sqrt((k == 0 ? 1.0 : 2.0) / kPatch);
    };
    float* out = basis.data();
    for (rae::index_t d = 0; d < kWidth; ++d)
      for (rae::index_t p = 0; p < kPatch * kPatch; ++p)
        *out++ = static_cast<float>(wave(d / kKept, p / kPatch) * wave(d % kKept, p % kPatch));
  }

  X operator()(const X& images) const {                                // (B, 1, H, W), normalised
    return rae::linear(rae::patchify(images, kPatch), X(basis), X());  // (B, N, P*P) -> (B, N, D)
  }
  void parameters(auto&&) {}
};

struct CosineKind {
  using Config = CosineConfig;
  template <rae::Operand X>
  using Network = CosineEncoder<X>;
  static constexpr std::string_view name = "cosine";
  static Config parse(const rae::ConfigNode&) { return {}; }
  static rae::ConfigNode to_config(const Config&) { return rae::ConfigNode::map(); }
  static rae::EncoderShape shape(const Config&) { return {1, kPatch, kWidth}; }
};

constexpr const char* kRecipe = R"(
model: {name: cosine, image_size: 28, pixels: {mean: [0.3], std: [0.35]}, time_shift: 1,
  encoder: {family: cosine}, decoder: {grid_h: 4, grid_w: 4, in_dim: 16, hidden_size: 64,
  num_layers: 2, num_heads: 4, intermediate_size: 256, patch_size: 7, channels: 1},
  dit: {grid_h: 4, grid_w: 4, in_channels: 16, hidden_size: [64, 64], depth: [2, 1],
    num_heads: [4, 4]}}
decoder: {loss: {noise_tau: 0.2, perceptual_weight: 0}, train: {batch_size: 64, steps: 500}}
dit: {flow: {time: logit-normal_0_1}, train: {batch_size: 64, steps: 500}}
)";

int main(int argc, char** argv) {
  if ((argc != 3 && argc != 5) || (argc == 5 && std::strcmp(argv[3], "--steps") != 0))
    return std::fprintf(stderr, "usage: %s DATA OUT [--steps N]\n", argv[0]), 2;
  try {
    rae::register_encoder<CosineKind>();
    const auto data = rae::open_dataset(argv[1], rae::Split::train, {.size = 28, .channels = 1});
    rae::ConfigNode recipe = rae::ConfigNode::parse_yaml(kRecipe);
    recipe.set_path("model.dit.num_classes", data->class_names().size());
    for (const char* stage : {"decoder", "dit"})
      if (argc == 5) recipe.set_path(std::string(stage) + ".train.steps", std::stoll(argv[4]));
    rae::run_recipe(rae::parse_recipe(recipe), {.data = argv[1], .out = argv[2]});

    const std::string path = std::string(argv[2]) + "/model.safetensors";
    rae::Tensor<float> picture({1, 1, 28, 28});  // (B, C, H, W)
    data->image(0, picture.span());
    const rae::Autoencoder autoencoder = rae::Autoencoder::load(path);
    autoencoder.decode(autoencoder.encode(picture)).front().save_png(path + ".decoded.png");
    rae::Generator::load(path).sample({.labels = {0}}).front().save_png(path + ".sample.png");
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
