// Everything about a model except its weights, and its form as YAML or JSON: shapes of encoder,
// decoder and diffusion network, pixel statistics, time shift, sampling defaults and class names.
// Keys have the names of the members, but diffusion networks have the key of their kind (see
// Backbone).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/io/config.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/pixel_norm.hpp"
#include "rae/spec/any_encoder.hpp"
#include "rae/spec/backbone.hpp"
#include "rae/spec/limits.hpp"
#include "rae/spec/sampling_defaults.hpp"

namespace rae {

/// A model without its weights.
struct ModelConfig {
  std::string name;           ///< for reports and the text in PNG files
  AnyEncoder encoder;         ///< the frozen encoder
  index_t encoder_size = 0;   ///< height of pictures resized for the encoder; 0: not resized
  index_t encoder_width = 0;  ///< their width; 0: encoder_size
  PixelNorm pixels;           ///< mean and standard deviation of the encoder's pixels
  index_t image_size = 0;     ///< height of the model's pictures, 1 to 4096
  index_t image_width = 0;    ///< their width; 0: image_size
  std::optional<DecoderConfig> decoder;                ///< absent until it was trained
  PixelRange decoder_output = PixelRange::normalized;  ///< pixels that the decoder makes
  std::optional<Backbone> dit;       ///< the diffusion network; absent until it was trained
  std::optional<Backbone> guide;     ///< the weaker diffusion network of autoguidance
  PathKind path = PathKind::linear;  ///< from data to noise
  PathFormulas path_formulas = PathFormulas::exact;  ///< official: for a model of the official code
  double time_shift = 1.0;  ///< factor of the time shift in training and sampling, at least 1
  Prediction prediction =
      Prediction::velocity;  ///< the output of the diffusion network and its guide
  double prediction_floor = kDataPredictionFloor;  ///< smallest divisor of data prediction, above 0
  SamplingDefaults sampling;                       ///< defaults of the sampler
  std::vector<std::string> class_names;            ///< empty, or one for each class

  /// Shape (channels, H, W) of one picture.
  [[nodiscard]] Shape image_shape() const;
  /// Shape (channels, H, W) of one picture after it was resized for the encoder.
  [[nodiscard]] Shape encoder_input_shape() const;
  /// Shape (C, h, w) of one latent: the encoder's width on the grid of its patches. Throws
  /// ConfigError for a patch size below 1.
  [[nodiscard]] Shape latent_shape() const;
  /// Classes of the diffusion network; 0 when there is none.
  [[nodiscard]] index_t num_classes() const { return dit ? dit->num_classes() : 0; }
  /// True when the diffusion network has a class for "no class", whose number is `num_classes()`.
  [[nodiscard]] bool has_null_class() const { return dit && dit->has_null_class(); }
};

/// Lower-case name: "dinov2", "siglip2", "mae" or "dinov3".
[[nodiscard]] std::string_view name_of(EncoderFamily family) noexcept;
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] EncoderFamily parse_encoder_family(std::string_view name);

/// The configuration of an encoder as a map.
[[nodiscard]] ConfigNode to_config(const EncoderConfig& config);
/// The configuration of a decoder as a map.
[[nodiscard]] ConfigNode to_config(const DecoderConfig& config);
/// The configuration of a model as a map.
[[nodiscard]] ConfigNode to_config(const ModelConfig& config);

/// Throws ConfigError for a size that is not positive or too large (see limits.hpp), for other
/// values out of range, and for networks that do not fit each other. Messages name the place below
/// `place`: "dit.hidden_size[0]: expected an integer from 1 to 65536, got 0".
void validate(const ModelConfig& config, const ConfigPlace& place = ConfigPlace());
/// The same for an encoder alone.
void validate(const EncoderConfig& config, const ConfigPlace& place);
/// The same for a decoder alone.
void validate(const DecoderConfig& config, const ConfigPlace& place);

/// The reverse of `to_config`. Sizes are required; switches and epsilons have the defaults of the
/// structure. Throws ConfigError with the place in the file for an unknown or missing key and a
/// value of another type, and as `validate`.
[[nodiscard]] EncoderConfig parse_encoder_config(const ConfigNode& node);
/// The same for a decoder.
[[nodiscard]] DecoderConfig parse_decoder_config(const ConfigNode& node);
/// The same for a whole model. A key of a diffusion network that is not registered is an error
/// that names the known ones.
[[nodiscard]] ModelConfig parse_model_config(const ConfigNode& node);

}  // namespace rae
