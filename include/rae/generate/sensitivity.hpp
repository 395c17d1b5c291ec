// The sensitivity of a model's layers to narrower weights: how much the output of a network changes
// when one of its matrices is stored in another type.
//
// Dong et al. 2020, "HAWQ-V2", section 3, estimates it from second derivatives; here it is
// measured, since one evaluation of the network for each layer and type is cheap.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/diffusion/sampler.hpp"
#include "rae/formats/bundle_writer.hpp"
#include "rae/spec/type_choice.hpp"

namespace rae {

/// The inputs with which networks are evaluated. The diffusion networks see each latent once, at
/// flow times that are spread evenly over [0, 1] and then shifted as in sampling, mixed with noise,
/// with its label or, every tenth, with the null class if the model has one. The decoder sees the
/// latents, the encoder the pictures.
struct CalibrationData {
  Tensor<float> latents;             ///< (B, C, h, w), normalised
  std::vector<std::int64_t> labels;  ///< (B), below the number of classes; empty without a dit
  Tensor<float> images{};  ///< (B, channels, H, W) in [0, 1]; empty only without an encoder
  std::uint64_t seed = 0;  ///< of the noise
};

/// Calibration data that the model makes itself: `count` samples of its classes in turn, with its
/// default settings of sampling, as latents and as decoded pictures; the random numbers are those
/// of `seed`. Throws as Generator, FormatError without a decoder or a dit, Cancelled.
[[nodiscard]] CalibrationData sampled_calibration(
    const ModelFiles& files, index_t count, std::uint64_t seed,
    const Function<bool(const StepInfo&)>& on_step = {});

/// The relative errors of a layer, |output - f32's output| / |f32's output| of its network over all
/// calibration data, when only this layer has another type.
struct LayerSensitivity {
  std::string name;            ///< as in LayerTypes
  std::vector<double> errors;  ///< in the order of kWeightTypes; 0 for f32
};

/// Called before each evaluation of a network; false stops with Cancelled. May be empty.
using OnMeasurement = Function<bool(index_t done, index_t total)>;

/// The sensitivities of all matrices of a model to all types, in the order of `packable_layers`.
/// Evaluates each network once for each matrix and type; one network is in memory at a time. Throws
/// ArgumentError for packed files, ShapeError for calibration data that do not fit the model,
/// Cancelled, and what loading throws.
[[nodiscard]] std::vector<LayerSensitivity> measure_sensitivities(
    const ModelFiles& files, const CalibrationData& data, const OnMeasurement& on_measurement = {});

/// The relative error of each network of the files in the order of kNetworkRoles, 0 for an absent
/// one, when all its matrices have these types. Throws as `measure_sensitivities`, and ConfigError
/// when a matrix has no type.
[[nodiscard]] std::vector<double> measure_errors(const ModelFiles& files, const LayerTypes& types,
                                                 const CalibrationData& data,
                                                 const OnMeasurement& on_measurement = {});

/// The input of `choose_types`: layers with their bytes and errors. Both lists have the same names
/// in the same order; else it throws ArgumentError.
[[nodiscard]] std::vector<LayerCosts> costs_of(const std::vector<PackableLayer>& layers,
                                               const std::vector<LayerSensitivity>& sensitivities);

}  // namespace rae
