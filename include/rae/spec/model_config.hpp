// Everything about a model that is not a weight, and its form as YAML or JSON: shapes of encoder,
// decoder and diffusion transformer, pixel statistics, time shift, sampling defaults and class
// names. Names of keys are those of the members.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/io/config.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/models/rae.hpp"
#include "rae/spec/limits.hpp"
#include "rae/spec/parameter_count.hpp"
#include "rae/spec/sampling_defaults.hpp"

namespace rae {

/// A model without its weights.
struct ModelConfig {
  std::string name;       ///< for people and for the text of pictures
  EncoderConfig encoder;  ///< the frozen encoder
  index_t encoder_size =
      0;  ///< height of pictures resized for the encoder; 0 leaves pictures as they are
  index_t encoder_width = 0;  ///< their width; 0: encoder_size
  PixelNorm pixels;           ///< mean and deviation of the encoder's pixels
  index_t image_size = 0;     ///< height of the pictures that the model takes and makes, 1 to 4096
  index_t image_width = 0;    ///< their width; 0: image_size
  std::optional<DecoderConfig> decoder;               ///< absent until that stage was trained
  std::optional<DitDhConfig> dit;                     ///< absent until that stage was trained
  std::optional<LightningDitConfig> lightning_dit;    ///< instead of `dit`
  std::optional<DitDhConfig> guide;                   ///< the weaker model of autoguidance
  std::optional<LightningDitConfig> lightning_guide;  ///< instead of `guide`
  PathKind path = PathKind::linear;                   ///< from data to noise
  PathFormulas path_formulas =
      PathFormulas::exact;  ///< official: for a model that was made for the official code
  double time_shift = 1.0;  ///< of training and sampling, at least 1
  Prediction prediction =
      Prediction::velocity;              ///< what the diffusion transformer and its guide predict
  SamplingDefaults sampling;             ///< defaults of the sampler
  std::vector<std::string> class_names;  ///< empty, or one for each class

  /// Shape (channels, H, W) of one picture.
  [[nodiscard]] Shape image_shape() const;
  /// Shape (channels, H, W) of one picture as the encoder sees it.
  [[nodiscard]] Shape encoder_input_shape() const;
  /// Shape (C, h, w) of one latent: the encoder's width on the grid of its patches. Throws
  /// ConfigError for a patch size below 1.
  [[nodiscard]] Shape latent_shape() const;
  /// Classes of the diffusion transformer; 0 when there is none.
  [[nodiscard]] index_t num_classes() const noexcept;
  /// True when there is a weaker model for autoguidance, of either kind.
  [[nodiscard]] bool has_guide() const noexcept { return guide || lightning_guide; }
  /// True when the diffusion transformer has a class for "no class", whose number is
  /// `num_classes()`.
  [[nodiscard]] bool has_null_class() const noexcept;
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
/// The shape of a LightningDiT as a map.
[[nodiscard]] ConfigNode to_config(const LightningDitConfig& config);
/// A whole model as a map.
[[nodiscard]] ConfigNode to_config(const ModelConfig& config);

/// The reverse of `to_config`. Sizes are required, switches and epsilons have the defaults of the
/// structure. Throws ConfigError with the place in the file for an unknown or missing key, a size
/// that is not positive or absurd, or sizes that do not fit each other.
[[nodiscard]] EncoderConfig parse_encoder_config(const ConfigNode& node);
/// The same for a decoder.
[[nodiscard]] DecoderConfig parse_decoder_config(const ConfigNode& node);
/// The same for a DiT^DH.
[[nodiscard]] DitDhConfig parse_dit_config(const ConfigNode& node);
/// The same for a LightningDiT.
[[nodiscard]] LightningDitConfig parse_lightning_dit_config(const ConfigNode& node);
/// The same for a whole model, whose parts must also fit each other.
[[nodiscard]] ModelConfig parse_model_config(const ConfigNode& node);

}  // namespace rae
