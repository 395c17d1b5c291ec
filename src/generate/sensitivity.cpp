#include "rae/generate/sensitivity.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "rae/core/workspace.hpp"
#include "rae/diffusion/path.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/generate/generator.hpp"
#include "rae/models/rae.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae {
namespace {

constexpr index_t kBatch = 32;  // inputs that a network sees at once

/// Samples [first, first + count) of x (B, ...).
Tensor<float> part(const Tensor<float>& x, index_t first, index_t count) {
  const index_t size = x.numel() / x.extent(0);
  Tensor<float> out(x.shape().with(0, count));  // (count, ...)
  std::copy_n(x.data() + first * size, count * size, out.data());
  return out;
}

/// Counts evaluations for the caller.
class Evaluations {
 public:
  Evaluations(const OnMeasurement& report, index_t total) : report_(report), total_(total) {}
  void next() {
    if (report_ && !report_(done_++, total_))
      raise<Cancelled>("the measurement of sensitivities was stopped");
  }

 private:
  const OnMeasurement& report_;
  index_t done_ = 0, total_;
};

/// A network whose outputs are compared with those of its f32 weights.
template <class Network>
class MeasuredNetwork {
 public:
  /// `output(first, count)` evaluates the network for a part of the `inputs` calibration data. The
  /// arguments must outlive this object.
  template <class Output>
  MeasuredNetwork(Network& network, const TensorGroup& group, NetworkRole role, index_t inputs,
                  Output output)
      : network_(network), group_(group), role_(role), inputs_(inputs), output_(output) {
    const WeightPacking packing{[](const std::string&) { return DType::f32; }};
    fill_weights(network_, group_, name_of(role_), &packing);
    for (index_t first = 0; first < inputs_; first += kBatch) {
      expected_.push_back(evaluate(first));
      for (const float value : expected_.back().span())
        square_ += static_cast<double>(value) * static_cast<double>(value);
    }
  }

  /// Stores one matrix, or all of them, in other types.
  void set(const Function<bool(const std::string&)>& which,
           const Function<DType(const std::string&)>& type) {
    network_.parameters([&](const std::string& name, Parameter<Tensor<float>>& p) {
      if (p.empty() || p.use() == ParameterUse::elements || !which(name)) return;
      p.set(detail::read_weight<float>(group_, name_of(role_), name, p.shape()));
      p.pack(type(name));
    });
  }

  /// The relative error of the outputs.
  [[nodiscard]] double error() const {
    double sum = 0;
    for (std::size_t i = 0; i < expected_.size(); ++i) {
      const Tensor<float> got = evaluate(static_cast<index_t>(i) * kBatch);  // (b, ...)
      for (index_t k = 0; k < got.numel(); ++k) {
        const double d = static_cast<double>(got[k]) - static_cast<double>(expected_[i][k]);
        sum += d * d;
      }
    }
    return square_ > 0 ? std::sqrt(sum / square_) : 0;
  }

 private:
  [[nodiscard]] Tensor<float> evaluate(index_t first) const {
    const WorkspaceScope scope(workspace_);
    return output_(first, std::min(kBatch, inputs_ - first));
  }

  Network& network_;
  const TensorGroup& group_;
  NetworkRole role_;
  index_t inputs_;
  Function<Tensor<float>(index_t first, index_t count)> output_;
  mutable Workspace workspace_;
  std::vector<Tensor<float>> expected_;  // (b, ...) for each batch
  double square_ = 0;
};

/// The inputs of a diffusion network.
struct FlowInputs {
  Tensor<float> x, t;                // (B, C, h, w), (B)
  std::vector<std::int64_t> labels;  // (B)
};

FlowInputs flow_inputs(const ModelConfig& config, const CalibrationData& data) {
  constexpr index_t kNullEvery = 10;
  const Shape shape = data.latents.shape();  // (B, C, h, w)
  const index_t count = shape[0], size = shape.numel() / count;
  Tensor<float> noise(shape), t(Shape{count});  // (B, C, h, w), (B)
  FlowInputs out{{}, {}, data.labels};
  for (index_t b = 0; b < count; ++b) {
    Philox(data.seed, static_cast<std::uint64_t>(b))
        .fill_normal(noise.span().subspan(static_cast<std::size_t>(b * size),
                                          static_cast<std::size_t>(size)));
    t[b] =
        time_shift((static_cast<float>(b) + 0.5f) / static_cast<float>(count), config.time_shift);
    if (config.has_null_class() && b % kNullEvery == kNullEvery - 1)
      out.labels[static_cast<std::size_t>(b)] = config.num_classes();
  }
  out.x = with_path(config.path, config.path_formulas, [&](const auto& path) {
    return interpolate(path, data.latents, std::as_const(noise), std::as_const(t));
  });
  out.t = std::move(t);
  return out;
}

/// Throws ShapeError unless the data fit the model.
void require_data(const ModelFiles& files, const CalibrationData& data) {
  const Shape latent = files.config.latent_shape(), got = data.latents.shape();  // (C, h, w)
  if (got.rank() != 4 || got[0] < 1 || got[1] != latent[0] || got[2] != latent[1] ||
      got[3] != latent[2])
    raise<ShapeError>(files.origin, ": calibration latents: expected (B, ", latent[0], ", ",
                      latent[1], ", ", latent[2], "), got ", got);
  if ((files.dit || files.guide) && static_cast<index_t>(data.labels.size()) != got[0])
    raise<ShapeError>(files.origin, ": calibration data: ", got[0], " latents, but ",
                      data.labels.size(), " labels");
  if (!files.encoder || !files.config.encoder.has_parameters()) return;
  const Shape image = files.config.image_shape(), shown = data.images.shape();  // (channels, H, W)
  if (shown.rank() != 4 || shown[0] < 1 || shown[1] != image[0])
    raise<ShapeError>(files.origin, ": calibration pictures: expected (B, ", image[0],
                      ", H, W), got ", shown);
}

/// Calls use(role, measured network) for each network of the files that has matrices, one after the
/// other.
template <class Use>
void for_each_network(const ModelFiles& files, const CalibrationData& data, Use use) {
  require_data(files, data);
  const ModelConfig& config = files.config;
  const auto measure = [&](NetworkRole role, auto& network, index_t inputs, auto output) {
    using Network = std::remove_reference_t<decltype(network)>;
    MeasuredNetwork<Network> measured(network, *files.network(role), role, inputs, output);
    use(role, measured);
  };
  const auto is_there = [&](NetworkRole role) {
    return files.network(role).has_value() && describes(config, role) &&
           parameter_count(outline_of(config, role).parameters) > 0;
  };
  RaeSettings<float> settings{
      .pixels = config.pixels, .latent_norm = files.latent_norm, .output = config.decoder_output};
  if (config.encoder_size > 0) {
    const Shape input = config.encoder_input_shape();  // (channels, H, W)
    settings.encoder_height = input[1];
    settings.encoder_width = input[2];
  }
  const index_t latents = data.latents.extent(0);
  if (is_there(NetworkRole::encoder)) {
    const auto network = config.encoder.make();
    const Rae<float> autoencoder(network, {}, settings);
    measure(NetworkRole::encoder, *network, data.images.extent(0),
            [&](index_t first, index_t count) {
              return autoencoder.encode_tokens(part(data.images, first, count));
            });
  }
  if (is_there(NetworkRole::decoder)) {
    const auto network = OwnedPointer<Decoder<Tensor<float>>>::make(*config.decoder);
    const Rae<float> autoencoder({}, network, settings);
    measure(NetworkRole::decoder, *network, latents, [&](index_t first, index_t count) {
      return autoencoder.decode(part(data.latents, first, count));
    });
  }
  if (!is_there(NetworkRole::dit) && !is_there(NetworkRole::guide)) return;
  const FlowInputs inputs = flow_inputs(config, data);
  for (const NetworkRole role : {NetworkRole::dit, NetworkRole::guide}) {
    if (!is_there(role)) continue;
    const auto network =
        (role == NetworkRole::dit ? config.dit : config.guide)->make<Tensor<float>>();
    measure(role, *network, latents, [&](index_t first, index_t count) {
      return (*network)(
          part(inputs.x, first, count), part(inputs.t, first, count),
          std::span(inputs.labels)
              .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
    });
  }
}

}  // namespace

CalibrationData sampled_calibration(const ModelFiles& files, index_t count, std::uint64_t seed,
                                    const Function<bool(const StepInfo&)>& on_step) {
  const Generator generator(files);
  CalibrationData out;
  out.seed = seed;
  for (index_t i = 0; i < count; ++i) out.labels.push_back(i % generator.num_classes());
  out.latents = generator.sample_latents({.labels = out.labels, .seed = seed, .on_step = on_step});
  out.images = generator.decode_pixels(out.latents);
  for (float& value : out.images.span()) value = std::clamp(value, 0.0f, 1.0f);
  return out;
}

std::vector<LayerSensitivity> measure_sensitivities(const ModelFiles& files,
                                                    const CalibrationData& data,
                                                    const OnMeasurement& on_measurement) {
  const std::vector<PackableLayer> layers = packable_layers(files);
  constexpr index_t kTypes = std::size(kWeightTypes);
  Evaluations evaluations(on_measurement, static_cast<index_t>(layers.size()) * (kTypes - 1));
  std::vector<LayerSensitivity> out;
  for_each_network(files, data, [&](NetworkRole role, auto& network) {
    for (const PackableLayer& layer : layers) {
      if (layer.role != role) continue;
      const std::string& name = layer.parameter.name;
      const auto only_this = [&](const std::string& each) { return each == name; };
      LayerSensitivity sensitivity{layer.name, {}};
      for (const DType type : kWeightTypes) {
        if (type == DType::f32) {
          sensitivity.errors.push_back(0);
          continue;
        }
        evaluations.next();
        network.set(only_this, [=](const std::string&) { return type; });
        sensitivity.errors.push_back(network.error());
      }
      network.set(only_this, [](const std::string&) { return DType::f32; });
      out.push_back(std::move(sensitivity));
    }
  });
  return out;
}

std::vector<double> measure_errors(const ModelFiles& files, const LayerTypes& types,
                                   const CalibrationData& data,
                                   const OnMeasurement& on_measurement) {
  Evaluations evaluations(on_measurement, std::size(kNetworkRoles));
  std::vector<double> out(std::size(kNetworkRoles));
  for_each_network(files, data, [&](NetworkRole role, auto& network) {
    evaluations.next();
    const NetworkOutline outline = outline_of(files.config, role, types);
    network.set([](const std::string&) { return true; },
                [&](const std::string& name) { return outline.weight_type(DType::f32, name); });
    out[static_cast<std::size_t>(role)] = network.error();
  });
  return out;
}

std::vector<LayerCosts> costs_of(const std::vector<PackableLayer>& layers,
                                 const std::vector<LayerSensitivity>& sensitivities) {
  if (layers.size() != sensitivities.size())
    raise<ArgumentError>("costs_of: ", layers.size(), " layers, but sensitivities of ",
                         sensitivities.size());
  std::vector<LayerCosts> out;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerSensitivity& sensitivity = sensitivities[i];
    if (layers[i].name != sensitivity.name || sensitivity.errors.size() != std::size(kWeightTypes))
      raise<ArgumentError>("costs_of: expected the sensitivities of ", layers[i].name, ", got ",
                           sensitivity.errors.size(), " of ", sensitivity.name);
    LayerCosts costs{layers[i].name, layers[i].role, {}};
    for (std::size_t k = 0; k < std::size(kWeightTypes); ++k)
      costs.types.push_back({kWeightTypes[k], layers[i].bytes[k], sensitivity.errors[k]});
    out.push_back(std::move(costs));
  }
  return out;
}

}  // namespace rae
