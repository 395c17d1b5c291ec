// Stage 2: DiT^DH learns the velocity of the flow between noise and normalised latents.
//
// Diffusion Transformers with Representation Autoencoders, section 4 (flow matching, time shift by
// the latent's dimension); official train.py.
#pragma once

#include "rae/diffusion/path.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/time_distribution.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/rae.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// What the network learns, and at which times.
struct FlowOptions {
  TimeDistribution time = TimeDistribution::logit_normal(0, 1);  ///< before the shift
  double time_shift = 1.0;                                       ///< at least 1
  Prediction prediction = Prediction::velocity;                  ///< velocity or data
  Augmentation augmentation{};                                   ///< of the pictures
};

/// The random part of a training step.
struct FlowDraws {
  Tensor<float> noise;               ///< (B, C, h, w)
  Tensor<float> t;                   ///< (B), shifted
  std::vector<std::int64_t> labels;  ///< (B), some replaced by the null class
};

/// Draws noise, time and dropped labels; sample b from stream `first` + b of the seed.
[[nodiscard]] FlowDraws draw_flow(const Shape& latents, std::vector<std::int64_t> labels,
                                  const DitDhConfig& model, const FlowOptions& options,
                                  std::uint64_t seed, std::uint64_t first);

/// mean (v - (noise - data))^2, where v is the network's velocity at x_t = (1-t) data + t noise; a
/// data-predicting network's is (x_t - output) / max(t, 0.05). data (B, C, h, w).
template <Real T>
[[nodiscard]] Var<T> flow_matching_loss(const DitDh<Var<T>>& model, const Tensor<T>& data,
                                        const Tensor<T>& noise, const Tensor<T>& t,
                                        std::span<const std::int64_t> labels,
                                        Prediction prediction) {
  const LinearPath path;
  const Tensor<T> x = interpolate(path, data, noise, t);         // (B, C, h, w)
  const Tensor<T> target = path_velocity(path, data, noise, t);  // (B, C, h, w)
  const Var<T> output = model(Var<T>(x), t, labels);             // (B, C, h, w)
  if (prediction == Prediction::velocity) return mse_loss(output, target);
  // v = first * x_t + second * output, with factors per sample: a gate on rows of one sample each.
  const index_t samples = x.extent(0), size = x.numel() / samples;
  Tensor<T> gate(Shape{samples, size}), base(Shape{samples, 1, size});
  T *gates = gate.data(), *bases = base.data();
  for (index_t b = 0; b < samples; ++b) {
    const detail::Factors f =
        detail::velocity_factors(path, prediction, static_cast<double>(t[b]), kDataPredictionFloor);
    std::fill_n(gates + b * size, size, static_cast<T>(f.second));
    for (index_t i = 0; i < size; ++i)
      bases[b * size + i] = static_cast<T>(f.first) * x[b * size + i];
  }
  const Var<T> velocity = gated_add(Var<T>(base), whole(Var<T>(gate)),
                                    reshape(output, {samples, 1, size}));  // (B, 1, C*h*w)
  return mse_loss(velocity, target.reshaped({samples, 1, size}));
}

/// Trains a new DiT^DH on the latents of a data set; returns it with its averaged weights.
/// `on_average`, if given, receives a model with the averaged weights at each checkpoint, for
/// sample pictures. Throws as `run_training`, and ConfigError when the parts do not fit.
[[nodiscard]] DitDh<Tensor<float>> train_dit(
    std::shared_ptr<const ImageDataset> data, const Rae<float>& autoencoder,
    const DitDhConfig& config, const FlowOptions& flow, const TrainingOptions& options,
    TrainingContext context,
    const std::function<void(index_t step, DitDh<Tensor<float>>& average)>& on_average = {});

}  // namespace rae
