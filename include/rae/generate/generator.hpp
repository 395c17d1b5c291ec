// Generator: pictures from class labels, with a model from one file. Diffusion Transformers with
// Representation Autoencoders, sections 4 and 5: the flow from noise to latents with the model's
// diffusion network, guided in an interval of flow time, then the decoder.
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

/// The random numbers of the noise: those of Philox, by seed and index of the picture, or those of
/// torch.randn(B, C, h, w) for all pictures together, as PyTorch draws them on a CPU after
/// torch.manual_seed(seed).
enum class Rng { philox, torch_cpu };

/// Lower-case name, "philox" or "torch-cpu".
constexpr std::string_view name_of(Rng rng) noexcept {
  return rng == Rng::torch_cpu ? "torch-cpu" : "philox";
}
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] Rng parse_rng(std::string_view name);

/// The pictures to generate, and the settings of sampling. Everything except the labels has a
/// default, mostly that of the model.
struct GenerateOptions {
  std::vector<std::int64_t> labels{};  ///< class of each picture, 0 to number of classes - 1
  std::uint64_t seed = 0;              ///< seed of the noise
  std::uint64_t first_index =
      0;  ///< picture i uses stream first_index + i of the seed, so that a run can be continued
  index_t steps = 0;                   ///< 1 to 100000; 0 takes the model's default. See `grid`
  std::optional<SamplerKind> kind{};   ///< deterministic or stochastic
  std::optional<TimeGridKind> grid{};  ///< the times of the steps, and the meaning of `steps`
  std::optional<OdeSolver> solver{};   ///< method of the deterministic sampler
  std::optional<double> atol{};        ///< of adaptive solvers and implicit_adams
  std::optional<double> rtol{};        ///< of adaptive solvers and implicit_adams
  std::optional<SdeOptions> sde{};     ///< settings of the stochastic sampler
  std::optional<Cfg>
      guidance{};  ///< instead of any guidance of the model's defaults; `Cfg{}` is none
  std::optional<AutoGuidance> autoguidance{};  ///< instead of any guidance of the model's defaults;
                                               ///< `AutoGuidance{}` is none
  std::optional<InternalGuidance>
      internal_guidance{};  ///< instead of any guidance of the model's defaults; may be combined
                            ///< with `guidance`. `InternalGuidance{}` is none
  Rng rng = Rng::philox;    ///< of the noise, and of the stochastic sampler's
  /// Pictures per batch; 0 chooses. It changes memory and speed, and results only for adaptive
  /// solvers and implicit_adams (see `sample`).
  index_t batch_size = 0;
  Tensor<float>
      noise{};  ///< (B, C, h, w), one per label, instead of the noise of the seed; empty: not used
  /// Latents of pictures, (B, C, h, w) with one per label, or (1, C, h, w) for all. Sampling begins
  /// with them and the noise of a time of the grid instead of with noise alone. Empty: not used.
  Tensor<float> init{};
  /// With `init`, the share of the steps that are taken, in [0, 1]: the last of them, rounded, at
  /// least one. 1 is sampling without `init`, 0 returns `init` without a step.
  double strength = 1;
  /// With `init`, (B, 1, h, w) or (1, 1, h, w) in [0, 1]: tokens with 1 change, those with 0 keep
  /// the latents of `init`, with the noise of the time after every step. See `token_mask`.
  Tensor<float> mask{};
  /// Above 0, and only for a network with a head (DiT^DH), the backbone's output s is reused by
  /// later steps of a picture while the estimate of |change of s| / |s| is at most this, for
  /// example 0.1. The estimate is the change between the last two evaluations of s, times the ratio
  /// of the differences in time. The head is always evaluated.
  double reuse_error = 0;
  SamplingReport* report = nullptr;  ///< the numbers of evaluations are added to it; may be null
  Function<bool(const StepInfo&)> on_step{};  ///< after each step, counted over all batches;
                                              ///< false throws Cancelled. May be empty
};

/// A diffusion network with the decoder of its latents. A value: copies are cheap and share the
/// weights; all members can be called from several threads.
class Generator {
 public:
  /// Takes the weights of a bundle, which may lack the encoder. Throws as `Bundle::check`,
  /// FormatError when it has no decoder or no DiT, MemoryError.
  explicit Generator(const Bundle& bundle, const LoadOptions& load = {});

  /// Loads a model from its files: all networks at once, or each when it is needed (see
  /// LoadOptions). The decoder may be absent if nothing is decoded. Throws ConfigError for a
  /// configuration that `validate` refuses, FormatError when there is no DiT, tensors are missing
  /// or not finite, ShapeError, and MemoryError when the machine has not enough memory, before
  /// anything is read. With `keep_loaded` false, files are read later, and all other members throw
  /// FormatError and ShapeError as well.
  explicit Generator(const ModelFiles& files, const LoadOptions& load = {});

  /// Opens a bundle. Throws as `ModelFiles::open` and the constructor.
  [[nodiscard]] static Generator load(const std::string& path, const LoadOptions& load = {});

  /// Loads the default of the built-in models, `kBuiltinModel`. Throws FileError when it is not
  /// found.
  [[nodiscard]] static Generator builtin(const LoadOptions& options = {});
  /// Loads the built-in model of this name, for example "fashion-mnist"; `named_models` lists them
  /// all. Throws FileError, which lists them too, when it is not found.
  [[nodiscard]] static Generator builtin(const std::string& name, const LoadOptions& options = {});

  /// One picture for each label. A picture depends only on its label, its noise (seed, first_index
  /// + i) and the settings, not on the other pictures, the batch size or the number of threads. The
  /// exceptions are adaptive solvers, whose step sizes are common to a batch; implicit_adams, whose
  /// corrector iterates until all pictures of a batch have converged; and Rng::torch_cpu, whose
  /// numbers are drawn for all pictures together. Throws ArgumentError for options out of range,
  /// ShapeError for noise of another shape, NumericError when noise or latents are not finite,
  /// Cancelled when `on_step` returns false.
  [[nodiscard]] std::vector<Image> sample(const GenerateOptions& options) const;

  /// The normalised latents (B, C, h, w) of those pictures, before decoding. Throws as `sample`.
  [[nodiscard]] Tensor<float> sample_latents(const GenerateOptions& options) const;

  /// Pictures of normalised latents (B, C, h, w). Throws ShapeError for other shapes, NumericError
  /// for NaN or infinity.
  [[nodiscard]] std::vector<Image> decode(const Tensor<float>& latents) const;

  /// The same as a tensor (B, channels, H, W), neither clamped to [0, 1] nor rounded.
  [[nodiscard]] Tensor<float> decode_pixels(const Tensor<float>& latents) const;

  /// The output of the diffusion network alone, without guidance: the velocity (B, C, h, w), or the
  /// model's other prediction, at states x (B, C, h, w) and a time t in [0, 1], where 1 is noise.
  /// There is one label for each state; `num_classes()` is the null class, if the model has one.
  /// Throws ShapeError, NumericError for NaN or infinity in x, ArgumentError.
  [[nodiscard]] Tensor<float> velocity(const Tensor<float>& x, float t,
                                       std::span<const std::int64_t> labels) const;

  /// The output of the network's base head, on an intermediate layer (internal guidance), under the
  /// conditions of `velocity`. Throws as `velocity`, and ArgumentError when the network has no such
  /// head.
  [[nodiscard]] Tensor<float> base_output(const Tensor<float>& x, float t,
                                          std::span<const std::int64_t> labels) const;

  /// The noise (B, C, h, w) from which `sample` starts, for `count` pictures from `first_index` on.
  /// For Rng::torch_cpu it is the end of torch.randn(first_index + count, C, h, w). Throws
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

  /// The type of the weights in matrix products; see weight_types.hpp for the exceptions. With a
  /// type for each matrix (LayerTypes), the narrowest.
  [[nodiscard]] DType dtype() const noexcept;

  /// The name of that type, or "mixed" with a type for each matrix.
  [[nodiscard]] std::string_view type_name() const noexcept;

  /// Everything about the model except its weights.
  [[nodiscard]] const ModelConfig& config() const noexcept;

  /// Settings that reproduce picture `i` of `sample(options)`, as text for its PNG: model, class,
  /// seed, index, steps, solver, guidance and version, and all other settings that differ from
  /// those of a deterministic sampler on the full grid. Throws as `sample` for options out of
  /// range, and ArgumentError when there is no picture `i`.
  [[nodiscard]] std::map<std::string, std::string> png_text(const GenerateOptions& options,
                                                            std::size_t i) const;

 private:
  struct Impl;
  OwnedPointer<const Impl> impl_;
};

}  // namespace rae
