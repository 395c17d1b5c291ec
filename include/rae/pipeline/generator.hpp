// Generator: class labels to pictures, from one file. Diffusion Transformers with Representation Autoencoders, sections 4 and 5: the flow's
// ODE from noise to latents with DiT^DH, guided inside an interval of time, then the decoder.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rae/diffusion/sampler.hpp"
#include "rae/io/image.hpp"
#include "rae/pipeline/bundle.hpp"

namespace rae {

/// What to generate and how; everything but the labels has a default.
struct GenerateOptions {
  std::vector<std::int64_t> labels{};              ///< class of each picture, 0 to number of classes - 1
  std::uint64_t seed = 0;                          ///< of the noise
  std::uint64_t first_index = 0;                   ///< picture i takes stream first_index + i of the seed, so that a run can be continued
  index_t steps = 0;                               ///< 1 to 100000; 0 takes the model's default
  std::optional<Solver> solver{};                  ///< absent takes the model's default
  std::optional<Cfg> guidance{};                   ///< absent takes the model's default; `Cfg{}` is none
  index_t batch_size = 0;                          ///< pictures at a time; 0 chooses. Changes memory and speed, no picture
  Tensor<float> noise{};                           ///< (B, C, h, w), one for each label, instead of that of the seed; empty for none
  std::function<bool(const StepInfo&)> on_step{};  ///< after each step, counted over all batches; false stops with Cancelled. May be empty
};

/// A DiT^DH with the decoder of its latents. A value: copies are cheap and share the weights; all members can be called from several
/// threads.
class Generator {
 public:
  /// Takes the weights of a bundle, which may lack the encoder. Throws as `Bundle::check`, FormatError when it has no decoder or no DiT.
  explicit Generator(const Bundle& bundle);

  /// Reads a bundle. Throws as `Bundle::load` and the constructor.
  [[nodiscard]] static Generator load(const std::string& path);

  /// The model that comes with the library (see `find_model`). Throws FileError when it is not found.
  [[nodiscard]] static Generator builtin();

  /// One picture for each label. A picture depends on its label, noise (seed, first_index + i), steps, solver and guidance only: neither on
  /// the other pictures nor on batch size or threads. Throws ArgumentError for options out of range, ShapeError for noise of another shape,
  /// NumericError when noise or latents are not finite, Cancelled when `on_step` says so.
  [[nodiscard]] std::vector<Image> sample(const GenerateOptions& options) const;

  /// The normalised latents (B, C, h, w) of those pictures. Throws as `sample`.
  [[nodiscard]] Tensor<float> sample_latents(const GenerateOptions& options) const;

  /// Pictures of normalised latents (B, C, h, w). Throws ShapeError for other shapes, NumericError for NaN or infinity.
  [[nodiscard]] std::vector<Image> decode(const Tensor<float>& latents) const;

  /// The noise (B, C, h, w) of `count` pictures from `first_index` on: what `sample` starts from. Throws ArgumentError for a count below 1.
  [[nodiscard]] Tensor<float> noise(std::uint64_t seed, index_t count, std::uint64_t first_index = 0) const;

  /// Number of classes.
  [[nodiscard]] index_t num_classes() const noexcept;

  /// Names of the classes; empty when the model has none.
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept;

  /// The class of a name ("sneaker", in any case) or number ("7"). Throws ArgumentError, which proposes the nearest name.
  [[nodiscard]] std::int64_t label_of(std::string_view name) const;

  /// Everything about the model that is not a weight.
  [[nodiscard]] const ModelConfig& config() const noexcept;

  /// Settings that reproduce picture `i` of `sample(options)`, as text for its PNG: model, class, seed, index, steps, solver, guidance,
  /// version. Throws as `sample` for options out of range, and ArgumentError when there is no picture `i`.
  [[nodiscard]] std::map<std::string, std::string> png_text(const GenerateOptions& options, std::size_t i) const;

 private:
  struct Parts;
  std::shared_ptr<const Parts> parts_;
};

}  // namespace rae
