// Everything about a model that is not a weight, and its form as YAML or JSON: shapes of encoder, decoder and DiT^DH, pixel statistics,
// time shift, sampling defaults and class names. Names of keys are those of the members.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/diffusion/guidance.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/solver.hpp"
#include "rae/io/config.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/rae.hpp"

namespace rae {

/// Largest number of elements of one latent, C * h * w, that a configuration may ask for.
inline constexpr index_t kMaxLatentSize = index_t{1} << 24;
/// Largest side of a latent's grid that a configuration may ask for.
inline constexpr index_t kMaxLatentGrid = 128;
/// Largest side of the pictures that a configuration may ask for.
inline constexpr index_t kMaxModelImageSize = 4096;
/// Largest number of sampling steps that a configuration may ask for.
inline constexpr index_t kMaxSamplingSteps = 100000;

/// How a model is sampled unless the caller says otherwise.
struct SamplingDefaults {
  index_t steps = 50;             ///< steps on `full_time_grid(steps, time_shift)`, 1 to 100000
  Solver solver = Solver::euler;  ///< method of each step
  Cfg guidance{};                 ///< classifier-free guidance; scale 1 is none
};

/// A model without its weights.
struct ModelConfig {
  std::string name;                              ///< for people and for the text of pictures
  EncoderConfig encoder;                         ///< the frozen encoder
  index_t encoder_size = 0;                      ///< side to which pictures are resized before the encoder; 0 leaves them as they are
  PixelNorm pixels;                              ///< mean and deviation of the encoder's pixels
  index_t image_size = 0;                        ///< side of the pictures that the model takes and makes, 1 to 4096
  std::optional<DecoderConfig> decoder;          ///< absent until that stage was trained
  std::optional<DitDhConfig> dit;                ///< absent until that stage was trained
  double time_shift = 1.0;                       ///< of training and sampling, at least 1
  Prediction prediction = Prediction::velocity;  ///< of the DiT^DH on the linear path: velocity or data
  SamplingDefaults sampling;                     ///< defaults of the sampler
  std::vector<std::string> class_names;          ///< empty, or one for each class

  /// Shape (C, h, w) of one latent: the encoder's width on the grid of its patches. Throws ConfigError for a patch size below 1.
  [[nodiscard]] Shape latent_shape() const;
};

/// Lower-case name: "dinov2", "siglip2" or "mae".
[[nodiscard]] std::string_view name_of(EncoderFamily family) noexcept;
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] EncoderFamily parse_encoder_family(std::string_view name);

/// The shape of an encoder as a map.
[[nodiscard]] ConfigNode to_config(const EncoderConfig& config);
/// The shape of a decoder as a map.
[[nodiscard]] ConfigNode to_config(const DecoderConfig& config);
/// The shape of a DiT^DH as a map.
[[nodiscard]] ConfigNode to_config(const DitDhConfig& config);
/// A whole model as a map.
[[nodiscard]] ConfigNode to_config(const ModelConfig& config);

/// The reverse of `to_config`. Sizes are required, switches and epsilons have the defaults of the structure. Throws ConfigError with the
/// place in the file for an unknown or missing key, a size that is not positive or absurd, or sizes that do not fit each other.
[[nodiscard]] EncoderConfig parse_encoder_config(const ConfigNode& node);
/// The same for a decoder.
[[nodiscard]] DecoderConfig parse_decoder_config(const ConfigNode& node);
/// The same for a DiT^DH.
[[nodiscard]] DitDhConfig parse_dit_config(const ConfigNode& node);
/// The same for a whole model, whose parts must also fit each other.
[[nodiscard]] ModelConfig parse_model_config(const ConfigNode& node);

/// Number of elements of all parameters, computed without making the model: what a file must hold before memory is taken for it.
[[nodiscard]] index_t parameter_count(const EncoderConfig& config);
/// The same for a decoder.
[[nodiscard]] index_t parameter_count(const DecoderConfig& config);
/// The same for a DiT^DH.
[[nodiscard]] index_t parameter_count(const DitDhConfig& config);

}  // namespace rae
