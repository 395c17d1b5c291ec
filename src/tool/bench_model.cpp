// The networks that `rae bench` measures: official sizes with random weights.
#include "tool/bench_model.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <type_traits>

#include "rae/autograd/var.hpp"
#include "rae/core/function.hpp"
#include "rae/core/random.hpp"
#include "rae/core/workspace.hpp"
#include "rae/ops/loss.hpp"
#include "rae/spec/forward_cost.hpp"
#include "rae/spec/weight_types.hpp"
#include "rae/train/adamw.hpp"
#include "spec/model_size.hpp"

namespace rae::tool {
namespace {

NetworkOutline outline(const Backbone& c) {
  return {c.parameter_shapes(),
          [c](DType wanted, std::string_view name) { return c.weight_type(wanted, name); }};
}
NetworkOutline outline(const DecoderConfig& c) {
  return {parameter_shapes<Decoder>(c),
          [c](DType wanted, std::string_view name) { return weight_type(c, wanted, name); }};
}
NetworkOutline outline(const EncoderConfig& c) {
  return {parameter_shapes<Encoder>(c),
          [c](DType wanted, std::string_view name) { return weight_type(c, wanted, name); }};
}
NetworkOutline outline(const ConvDecoderConfig& c) {
  return {parameter_shapes<ConvDecoder>(c),
          [](DType /*wanted*/, std::string_view) { return DType::f32; }};
}

/// The cost for pictures of the given side, which only some networks need.
template <class Config>
ForwardCost cost_of(const Config& c, index_t image_size) {
  if constexpr (std::is_same_v<Config, EncoderConfig>)
    return forward_cost(c, image_size, image_size);
  else if constexpr (std::is_same_v<Config, ConvDecoderConfig>)
    return forward_cost(c, image_size / c.scale(), image_size / c.scale());
  else
    return forward_cost(c);
}

template <class Config>
BenchSize size_of_model(const Config& config, index_t image_size, DType dtype, BenchTask task) {
  const NetworkOutline network = outline(config);
  const ForwardCost cost = cost_of(config, image_size);
  BenchSize size;
  size.products = static_cast<double>(cost.evaluation());
  size.weight_bytes = detail::bytes_of_network(network, dtype);
  size.parameters = parameter_count(network.parameters);
  size.work_bytes = 4 * sizeof(float) * static_cast<std::uint64_t>(cost.largest_output);
  if (task == BenchTask::forward) return size;
  // The backward pass has twice the products of the forward pass.
  size.products = 3 * static_cast<double>(cost.total());
  // Weight, gradient, two moments and the average. Each layer keeps its input, on the average less
  // than the largest output, for the backward pass.
  constexpr std::uint64_t kCopies = 5;
  size.weight_bytes = kCopies * sizeof(float) * static_cast<std::uint64_t>(size.parameters);
  std::uint64_t matrices = 0;
  for (const auto& parameter : network.parameters) matrices += parameter.shape.rank() >= 2;
  size.work_bytes += matrices * sizeof(float) * static_cast<std::uint64_t>(cost.largest_output);
  return size;
}

// --- Random weights
/// Uniform numbers in [-bound, bound): one block of random numbers, repeated. Its length is prime,
/// so that no two rows are equal. Drawing each number would take longer than the measurement.
Tensor<float> random_tensor(const Shape& shape, double bound) {
  constexpr std::size_t kBlock = 65521;
  static const std::vector<float> block = [] {
    std::vector<float> values(kBlock);
    Philox(1).fill_uniform(values);
    return values;
  }();
  Tensor<float> out(shape);  // of `shape`
  const auto scale = static_cast<float>(2 * bound), offset = static_cast<float>(bound);
  const std::span<float> values = out.span();
  parallel_ranges(static_cast<index_t>((values.size() + kBlock - 1) / kBlock), 16,
                  [&](index_t begin, index_t end) {
                    for (auto b = static_cast<std::size_t>(begin);
                         b < static_cast<std::size_t>(end); ++b) {
                      const std::span<float> part =
                          values.subspan(b * kBlock, std::min(kBlock, values.size() - b * kBlock));
                      for (std::size_t i = 0; i < part.size(); ++i)
                        part[i] = scale * block[i] - offset;
                    }
                  });
  return out;
}

template <class Network>
void set_random_weights(Network& network, const NetworkOutline& outline, DType dtype) {
  network.parameters([&](const std::string& name, auto& p) {
    if (p.empty()) return;
    const Tensor<float> values = random_weight(p.shape());  // the parameter's shape
    p.pack(values.view(), outline.weight_type(dtype, name));
  });
}

using Forward = Function<Tensor<float>()>;

/// Random latents at one time, with one label for each picture.
struct FlowInputs {
  Tensor<float> x, t;                // (B, C, h, w), (B)
  std::vector<std::int64_t> labels;  // (B)

  FlowInputs(const Backbone& config, index_t batch) : t(Shape{batch}, 0.5f) {
    const Shape latent = config.latent_shape();  // (C, h, w)
    x = random_tensor({batch, latent[0], latent[1], latent[2]}, std::numbers::sqrt3);
    for (index_t i = 0; i < batch; ++i) labels.push_back(i % config.num_classes());
  }
};

/// A diffusion network on its latents, whose conditioning is computed once.
Forward forward_of(const Backbone& config, DType dtype, index_t batch) {
  const auto network = config.make<Tensor<float>>();
  set_random_weights(*network, outline(config), dtype);
  const FlowInputs in(config, batch);
  return [network, x = in.x, c = network->conditioning(in.t, in.labels)] {
    return (*network)(x, c);  // (B, C, h, w)
  };
}

/// A network with a single input.
template <template <class> class Model, class Config>
Forward forward_on(const Config& config, DType dtype, const Shape& input) {
  const auto network = std::make_shared<Model<Tensor<float>>>(config);
  set_random_weights(*network, outline(config), dtype);
  return [network, x = random_tensor(input, std::numbers::sqrt3)] { return (*network)(x); };
}

/// A step of training: `output()` is the output of the network, whose squares are the loss.
template <class Network, class Output>
Forward training_step(Network network, DType dtype, Output output) {
  constexpr double kRate = 1e-5;
  multiply_as(*network, dtype);
  const auto optimizer = std::make_shared<AdamW<float>>(*network);
  return [network, optimizer, output] {
    Tape<float> tape;
    const TapeScope<float> scope(tape);
    const Var<float> out = output();                                           // (B, ...)
    const Var<float> loss = mse_loss(out, Tensor<float>::zeros(out.shape()));  // ()
    tape.backward(loss, Tensor<float>(loss.shape(), 1.0f));
    optimizer->step(kRate);
    return loss.value();
  };
}

/// The same of a diffusion network, with its conditioning.
Forward training_of(const Backbone& config, DType dtype, index_t batch) {
  const auto network = config.make<Var<float>>();
  set_random_weights(*network, outline(config), DType::f32);
  const FlowInputs in(config, batch);
  return training_step(network, dtype, [network, in] {
    return (*network)(Var<float>(in.x), network->conditioning(in.t, in.labels));  // (B, C, h, w)
  });
}

/// The same of a network with a single input.
template <template <class> class Model, class Config>
Forward training_on(const Config& config, DType dtype, const Shape& input) {
  const auto network = std::make_shared<Model<Var<float>>>(config);
  set_random_weights(*network, outline(config), DType::f32);
  return training_step(network, dtype, [network, x = random_tensor(input, std::numbers::sqrt3)] {
    return (*network)(Var<float>(x));
  });
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

Forward make_forward(const BenchNetwork& network, DType dtype, index_t batch) {
  const index_t side = network.image_size;
  return std::visit(
      Overloaded{
          [&](const DitDhConfig& c) { return forward_of(c, dtype, batch); },
          [&](const LightningDitConfig& c) { return forward_of(c, dtype, batch); },
          [&](const DecoderConfig& c) {
            return forward_on<Decoder>(c, dtype, {batch, c.grid_h * c.grid_w, c.in_dim});
          },
          [&](const EncoderConfig& c) {
            return forward_on<Encoder>(c, dtype, {batch, c.channels, side, side});
          },
          [&](const ConvDecoderConfig& c) {
            const index_t latent = side / c.scale();
            return forward_on<ConvDecoder>(c, dtype, {batch, c.latent_channels, latent, latent});
          }},
      network.config);
}

Forward make_training_step(const BenchNetwork& network, DType dtype, index_t batch) {
  const index_t side = network.image_size;
  return std::visit(
      Overloaded{[&](const DitDhConfig& c) { return training_of(c, dtype, batch); },
                 [&](const LightningDitConfig& c) { return training_of(c, dtype, batch); },
                 [&](const DecoderConfig& c) {
                   return training_on<Decoder>(c, dtype, {batch, c.grid_h * c.grid_w, c.in_dim});
                 },
                 [&](const EncoderConfig& c) {
                   return training_on<Encoder>(c, dtype, {batch, c.channels, side, side});
                 },
                 [&](const ConvDecoderConfig&) -> Forward {
                   raise<ArgumentError>("bench: ", network.name, " is not trained");
                 }},
      network.config);
}

}  // namespace

const std::vector<BenchNetwork>& bench_networks() {
  static const std::vector<BenchNetwork> networks = {
      {"dit-dh-xl", "DiT^DH-XL, 16 x 16 tokens", DitDhConfig{}},
      {"dit-dh-xl-512", "DiT^DH-XL, 32 x 32 tokens", DitDhConfig{.grid_h = 32, .grid_w = 32}},
      {"dit-dh-s", "DiT^DH-S, the guide",
       DitDhConfig{.hidden_size = {384, 2048}, .depth = {12, 2}, .num_heads = {6, 16}}},
      {"lightning-dit-xl", "LightningDiT-XL", LightningDitConfig{}},
      {"decoder-xl", "ViT-XL decoder, 256 x 256 pixels", DecoderConfig{}},
      {"decoder-l", "ViT-L decoder", DecoderConfig{.hidden_size = 1024, .num_layers = 24}},
      {"decoder-b", "ViT-B decoder",
       DecoderConfig{
           .hidden_size = 768, .num_layers = 12, .num_heads = 12, .intermediate_size = 3072}},
      {"decoder-conv", "SD-VAE's convolutional decoder, 256 x 256 pixels, f32 only",
       ConvDecoderConfig{}, 256},
      {"dinov2-b", "DINOv2-B encoder, 224 x 224 pixels", EncoderConfig{}, 224},
      {"siglip2-b", "SigLIP 2-B encoder, 256 x 256 pixels",
       EncoderConfig{
           .family = EncoderFamily::siglip2, .patch_size = 16, .table_h = 16, .table_w = 16},
       256},
      {"mae-b", "MAE-B encoder, 256 x 256 pixels",
       EncoderConfig{.family = EncoderFamily::mae,
                     .patch_size = 16,
                     .table_h = 14,
                     .table_w = 14,
                     .layer_norm_eps = 1e-12},
       256},
      {"builtin-dit", "the built-in model's DiT^DH, 4 x 4 tokens",
       DitDhConfig{.grid_h = 4,
                   .grid_w = 4,
                   .in_channels = 96,
                   .hidden_size = {192, 224},
                   .depth = {6, 2},
                   .num_heads = {6, 7},
                   .num_classes = 10}},
      {"builtin-decoder", "the built-in model's decoder, 28 x 28 pixels",
       DecoderConfig{.grid_h = 4,
                     .grid_w = 4,
                     .in_dim = 96,
                     .hidden_size = 128,
                     .num_layers = 4,
                     .num_heads = 4,
                     .intermediate_size = 512,
                     .patch_size = 7,
                     .channels = 1,
                     .layer_norm_eps = 1e-6}},
  };
  return networks;
}

BenchSize size_of_network(const BenchNetwork& network, DType dtype, BenchTask task) {
  const index_t side = network.image_size;
  return std::visit([&](const auto& config) { return size_of_model(config, side, dtype, task); },
                    network.config);
}

// A matrix of such elements preserves a variance of 1, so that no activation becomes infinite or
// subnormal, which would change the time.
Tensor<float> random_weight(const Shape& shape) {
  if (shape.rank() < 2) return random_tensor(shape, 0.5);
  const index_t inputs = shape.rank() == 4 ? shape.numel() / shape[0] : shape[-1];
  return random_tensor(shape, std::sqrt(3.0 / static_cast<double>(inputs)));
}

BenchModel::BenchModel(const BenchNetwork& network, DType dtype, index_t batch, BenchTask task)
    : forward_(task == BenchTask::forward ? make_forward(network, dtype, batch)
                                          : make_training_step(network, dtype, batch)) {
  const WorkspaceScope scope(*workspace_);
  const Tensor<float> out = forward_();  // (B, ...)
  for (const float value : out.span())
    if (!std::isfinite(value))
      raise<Error>("bench: ", network.name, " in ", name_of(dtype), " gives NaN or infinity");
}

void BenchModel::run() {
  const WorkspaceScope scope(*workspace_);
  (void)forward_();
}

}  // namespace rae::tool
