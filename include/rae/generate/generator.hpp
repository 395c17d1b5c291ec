// Generator: class labels to pictures, from one file. Diffusion Transformers with Representation
// Autoencoders, sections 4 and 5: the flow from noise to latents with the model's diffusion
// network, guided inside an interval of time, then the decoder.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/formats/bundle.hpp"
#include "rae/generate/work.hpp"
#include "rae/io/image.hpp"
#include "rae/load/load_options.hpp"

namespace rae {

/// Which random numbers the noise consists of: those of Philox, by seed and index of the picture,
/// or those that PyTorch draws on a CPU after torch.manual_seed(seed), for all pictures at once:
/// torch.randn(B, C, h, w).
enum class Rng { philox, torch_cpu };

/// Lower-case name, "philox" or "torch-cpu".
constexpr std::string_view name_of(Rng rng) noexcept {
  return rng == Rng::torch_cpu ? "torch-cpu" : "philox";
}
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] Rng parse_rng(std::string_view name);

/// The pictures to generate, and how; everything except the labels has a default, most of them that
/// of the model.
struct GenerateOptions {
  std::vector<std::int64_t> labels{};  ///< class of each picture, 0 to number of classes - 1
  std::uint64_t seed = 0;              ///< of the noise
  std::uint64_t first_index =
      0;  ///< picture i takes stream first_index + i of the seed, so that a run can be continued
  index_t steps = 0;                   ///< 1 to 100000; 0 takes the model's default. See `grid`
  std::optional<SamplerKind> kind{};   ///< deterministic or stochastic
  std::optional<TimeGridKind> grid{};  ///< where the steps are, and the meaning of `steps`
  std::optional<OdeSolver> solver{};   ///< of the deterministic sampler
  std::optional<double> atol{};        ///< of adaptive solvers and implicit_adams
  std::optional<double> rtol{};        ///< of adaptive solvers and implicit_adams
  std::optional<SdeOptions> sde{};     ///< of the stochastic sampler
  std::optional<Cfg>
      guidance{};  ///< instead of any guidance of the model's defaults; `Cfg{}` is none
  std::optional<AutoGuidance> autoguidance{};  ///< instead of any guidance of the model's defaults;
                                               ///< `AutoGuidance{}` is none
  Rng rng = Rng::philox;                       ///< of the noise, and of the stochastic sampler's
  index_t batch_size = 0;  ///< pictures at a time; 0 chooses. Changes memory and speed, no picture
  Tensor<float>
      noise{};  ///< (B, C, h, w), one for each label, instead of that of the seed; empty for none
  /// Above 0, and only for a network with a head (DiT^DH), the backbone's output s is reused by
  /// later steps of a picture as long as |change of s| / |s|, estimated as the change between its
  /// last two evaluations times the ratio of the differences in time, is at most this; 0.1, say.
  /// The head is always evaluated.
  double reuse_error = 0;
  SamplingReport* report = nullptr;  ///< to which the work that was done is added; may be null
  Function<bool(const StepInfo&)> on_step{};  ///< after each step, counted over all batches;
                                              ///< false stops with Cancelled. May be empty
};

/// A diffusion network with the decoder of its latents. A value: copies are cheap and share the
/// weights; all members can be called from several threads.
class Generator {
 public:
  /// Takes the weights of a bundle, which may lack the encoder. Throws as `Bundle::check`,
  /// FormatError when it has no decoder or no DiT, MemoryError.
  explicit Generator(const Bundle& bundle, const LoadOptions& load = {});

  /// Loads a model from its files, at once or when a network is needed; the decoder may be absent
  /// while nothing is decoded. Throws ConfigError for a configuration that `validate` refuses,
  /// FormatError when there is no DiT, tensors are missing or not finite, ShapeError, and
  /// MemoryError when the machine has not enough memory, before anything is read.
  /// With `keep_loaded` false the files are read later, and all other members throw FormatError and
  /// ShapeError as well.
  explicit Generator(const ModelFiles& files, const LoadOptions& load = {});

  /// Opens a bundle. Throws as `ModelFiles::open` and the constructor.
  [[nodiscard]] static Generator load(const std::string& path, const LoadOptions& load = {});

  /// The model that comes with the library (see `find_model`). Throws FileError when it is not
  /// found.
  [[nodiscard]] static Generator builtin(const LoadOptions& options = {});

  /// One picture for each label. A picture depends on its label, noise (seed, first_index + i) and
  /// settings only: neither on the other pictures nor on batch size or threads. Exceptions are
  /// adaptive solvers, whose steps are chosen for all pictures of a batch, and the numbers of
  /// Rng::torch_cpu, which are drawn for all pictures together. Throws ArgumentError for options
  /// out of range, ShapeError for noise of another shape, NumericError when noise or latents are
  /// not finite, Cancelled when `on_step` says so.
  [[nodiscard]] std::vector<Image> sample(const GenerateOptions& options) const;

  /// The normalised latents (B, C, h, w) of those pictures. Throws as `sample`.
  [[nodiscard]] Tensor<float> sample_latents(const GenerateOptions& options) const;

  /// Pictures of normalised latents (B, C, h, w). Throws ShapeError for other shapes, NumericError
  /// for NaN or infinity.
  [[nodiscard]] std::vector<Image> decode(const Tensor<float>& latents) const;

  /// The same as (B, channels, H, W), neither clamped to [0, 1] nor rounded.
  [[nodiscard]] Tensor<float> decode_pixels(const Tensor<float>& latents) const;

  /// The output of the diffusion network alone, without guidance: the velocity (B, C, h, w), or
  /// the model's other prediction, at states x (B, C, h, w) and a time t in [0, 1], 1 is noise. One
  /// label for each state; `num_classes()` is "no class" if the model has that. Throws ShapeError,
  /// NumericError for NaN or infinity in x, ArgumentError.
  [[nodiscard]] Tensor<float> velocity(const Tensor<float>& x, float t,
                                       std::span<const std::int64_t> labels) const;

  /// The noise (B, C, h, w) of `count` pictures from `first_index` on, with which `sample` starts.
  /// For Rng::torch_cpu that is the end of torch.randn(first_index + count, C, h, w). Throws
  /// ArgumentError for a count below 1.
  [[nodiscard]] Tensor<float> noise(std::uint64_t seed, index_t count,
                                    std::uint64_t first_index = 0, Rng rng = Rng::philox) const;

  /// Number of classes.
  [[nodiscard]] index_t num_classes() const noexcept;

  /// Names of the classes; empty when the model has none.
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept;

  /// The class of a name ("sneaker", in any case) or number ("7"). Throws ArgumentError, which
  /// proposes the nearest name.
  [[nodiscard]] std::int64_t label_of(std::string_view name) const;

  /// The type that matrix products compute with; see weight_types.hpp for the exceptions.
  [[nodiscard]] DType dtype() const noexcept;

  /// Everything about the model that is not a weight.
  [[nodiscard]] const ModelConfig& config() const noexcept;

  /// Settings that reproduce picture `i` of `sample(options)`, as text for its PNG: model, class,
  /// seed, index, steps, solver, guidance, version, and every other difference from a deterministic
  /// sampler on the full grid. Throws as `sample` for options out of range, and ArgumentError when
  /// there is no picture `i`.
  [[nodiscard]] std::map<std::string, std::string> png_text(const GenerateOptions& options,
                                                            std::size_t i) const;

 private:
  struct Impl;
  OwnedPointer<const Impl> impl_;
};

}  // namespace rae
