#include "rae/generate/generator.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "generate/batches.hpp"
#include "generate/decode.hpp"
#include "generate/flow_sampling.hpp"
#include "generate/known_tokens.hpp"
#include "generate/scheduled_network.hpp"
#include "io/suggestion.hpp"
#include "load/network_loader.hpp"
#include "rae/core/function.hpp"
#include "rae/core/torch_random.hpp"
#include "rae/core/workspace.hpp"
#include "rae/load/model_search.hpp"
#include "rae/spec/weight_types.hpp"
#include "rae/version.hpp"

namespace rae {

struct Generator::Impl {
  detail::NetworkLoader loader;
  const ModelConfig& config = loader.config();

  Impl(const ModelFiles& files, const LoadOptions& load)
      : loader(files, load, {NetworkRole::dit, NetworkRole::guide, NetworkRole::decoder}) {}

  /// Default number of pictures in a batch, such that the activations of a large model are small
  /// compared with its weights.
  [[nodiscard]] index_t batch() const {
    // Limit in bytes; measured number of tensors of the network's width that a block needs.
    constexpr index_t kActivations = 350'000'000, kWidths = 20;
    const Shape latent = config.latent_shape();
    const index_t tokens = latent[1] * latent[2];
    const index_t picture =
        kWidths * tokens * config.dit->width() * static_cast<index_t>(sizeof(float));
    return std::clamp<index_t>(kActivations / picture, 1, detail::default_batch(tokens));
  }

  /// (n, C, h, w)
  [[nodiscard]] Shape latents(index_t n) const {
    const Shape one = config.latent_shape();
    return {n, one[0], one[1], one[2]};
  }

  /// "0 to 9 (T-shirt, Trouser, ...)"
  [[nodiscard]] std::string classes() const {
    std::string out = concat("0 to ", config.num_classes() - 1);
    constexpr std::size_t kMost = 20;
    for (std::size_t i = 0; i < std::min(kMost, config.class_names.size()); ++i)
      out += (i == 0 ? " (" : ", ") + config.class_names[i];
    if (config.class_names.empty()) return out;
    return out + (config.class_names.size() > kMost ? ", ...)" : ")");
  }

  void require_labels(std::span<const std::int64_t> labels, bool with_null) const {
    for (const std::int64_t label : labels)
      if (label < 0 || label >= config.num_classes() + (with_null ? 1 : 0))
        raise<ArgumentError>("Generator: there is no class ", label, "; expected ", classes());
  }

  /// Sets the guidance of the options, or that of the model if the options have none.
  void choose_guidance(const GenerateOptions& options, detail::FlowSampling& settings) const {
    const bool given = options.guidance || options.autoguidance || options.internal_guidance;
    settings.guidance = given ? options.guidance.value_or(Cfg{}) : config.sampling.guidance;
    settings.autoguidance = given ? options.autoguidance : config.sampling.autoguidance;
    if (settings.autoguidance && settings.autoguidance->scale == 1.0f) {
      require_guidance(*settings.autoguidance);
      settings.autoguidance.reset();
    }
    if (settings.guidance.scale != 1.0f && settings.autoguidance)
      raise<ArgumentError>(
          "Generator: classifier-free guidance and autoguidance cannot be combined; choose one");
    if (settings.guidance.scale != 1.0f && !config.has_null_class())
      raise<ArgumentError>("Generator: guidance needs the null class, which '", config.name,
                           "' does not have");
    if (settings.autoguidance && !loader.has(NetworkRole::guide))
      raise<ArgumentError>("Generator: autoguidance needs a weaker model as guide, which '",
                           config.name, "' does not have");
    settings.internal_guidance =
        given ? options.internal_guidance : config.sampling.internal_guidance;
    if (settings.internal_guidance && !settings.internal_guidance->enabled()) {
      require_internal_guidance(*settings.internal_guidance);
      settings.internal_guidance.reset();
    }
    if (settings.internal_guidance && settings.autoguidance)
      raise<ArgumentError>(
          "Generator: internal guidance and autoguidance cannot be combined; choose one");
    if (settings.internal_guidance && !config.dit->has_base_head())
      raise<ArgumentError>(
          "Generator: internal guidance needs a head on an intermediate layer, which '",
          config.name, "' does not have");
    if (settings.internal_guidance && options.reuse_error > 0)
      raise<ArgumentError>(
          "Generator: internal guidance needs the backbone at every step, so that reuse_error "
          "must be 0; got ",
          options.reuse_error);
    settings.null_label = config.num_classes();
  }

  /// The model's defaults, replaced by the options that are given.
  [[nodiscard]] SamplingDefaults defaults(const GenerateOptions& options) const {
    if (options.steps < 0 || options.steps > kMaxSamplingSteps)
      raise<ArgumentError>("Generator: expected 1 to ", kMaxSamplingSteps, " steps, got ",
                           options.steps);
    SamplingDefaults out = config.sampling;
    if (options.steps > 0) out.steps = options.steps;
    out.kind = options.kind.value_or(out.kind);
    out.grid = options.grid.value_or(out.grid);
    out.solver = options.solver.value_or(out.solver);
    out.atol = options.atol.value_or(out.atol);
    out.rtol = options.rtol.value_or(out.rtol);
    out.sde = options.sde.value_or(out.sde);
    return out;
  }

  /// All settings of sampling. Throws ArgumentError or ShapeError for options out of range.
  [[nodiscard]] detail::FlowSampling resolve(const GenerateOptions& options) const {
    if (options.labels.empty())
      raise<ArgumentError>("Generator: no labels; give one class for each picture, ", classes());
    require_labels(options.labels, false);
    if (!(options.reuse_error >= 0 && std::isfinite(options.reuse_error)))
      raise<ArgumentError>("Generator: expected a finite reuse_error of 0 or more, got ",
                           options.reuse_error);
    if (options.reuse_error > 0 && !config.dit->has_head())
      raise<ArgumentError>("Generator: '", config.name, "' is a ", config.dit->title(),
                           ", which has no head, so that no backbone can be reused");
    if (options.batch_size < 0)
      raise<ArgumentError>("Generator: expected a batch_size of 1 or more, got ",
                           options.batch_size);
    const SamplingDefaults sampling = defaults(options);
    detail::FlowSampling settings;
    choose_guidance(options, settings);
    if (!options.noise.empty()) {
      detail::require_batch("Generator: noise", options.noise, config.latent_shape());
      if (options.noise.extent(0) != static_cast<index_t>(options.labels.size()))
        raise<ShapeError>("Generator: noise for ", options.noise.extent(0), " pictures, but ",
                          options.labels.size(), " labels");
    }
    settings.kind = sampling.kind;
    settings.solver = sampling.solver;
    settings.path = config.path;
    settings.formulas = config.path_formulas;
    // On these paths the official formulas differ from the exact ones only in the diffusion of
    // sbdm, which is negative there, so that the official sampler returns NaN.
    if (settings.kind == SamplerKind::sde && sampling.sde.form == DiffusionForm::sbdm &&
        settings.path != PathKind::vp)
      settings.formulas = PathFormulas::exact;
    settings.prediction = config.prediction;
    settings.floor = config.prediction_floor;
    settings.grid = sampling_time_grid(sampling, settings.path, settings.prediction,
                                       config.time_shift, settings.formulas);
    const bool official = sampling.grid == TimeGridKind::official;
    settings.control = {.atol = sampling.atol, .rtol = sampling.rtol};
    // An official adaptive sampler steps past the last point of its grid. That needs a velocity
    // below t = 0, which only a predicted velocity or the official formulas define.
    settings.control.stop_at_end = !official || (settings.prediction != Prediction::velocity &&
                                                 settings.formulas == PathFormulas::exact);
    settings.corrector = {.atol = sampling.atol, .rtol = sampling.rtol};
    settings.sde = sampling.sde;
    settings.sde.last_step_from_grid = settings.sde.last_step_from_grid || !official;
    require_init(options);
    if (options.strength > 0) detail::keep_last_steps(settings.grid, options.strength);
    detail::require_flow_sampling(settings);
    if (drawn_together(options, settings) && options.first_index != 0)
      raise<ArgumentError>(
          "Generator: the stochastic sampler with numbers of PyTorch must begin with picture 0, "
          "got "
          "first_index ",
          options.first_index);
    return settings;
  }

  /// The output of the diffusion network, or of its base head, see `Generator::velocity`.
  [[nodiscard]] Tensor<float> output(std::string_view where, const Tensor<float>& x, float t,
                                     std::span<const std::int64_t> labels, bool base) const;

  /// Throws ArgumentError, ShapeError or NumericError for wrong pictures to begin with.
  void require_init(const GenerateOptions& options) const {
    if (!(options.strength >= 0 && options.strength <= 1))
      raise<ArgumentError>("Generator: expected a strength in [0, 1], got ", options.strength);
    if (options.init.empty()) {
      if (options.strength != 1 || !options.mask.empty())
        raise<ArgumentError>("Generator: ", options.mask.empty() ? "a strength" : "a mask",
                             " needs `init`, the latents of pictures");
      return;
    }
    const auto count = static_cast<index_t>(options.labels.size());
    const auto require_count = [&](const char* what, index_t given) {
      if (given != 1 && given != count)
        raise<ShapeError>("Generator: ", what, " for ", given, " pictures, but ", count,
                          " labels; expected one for each or one for all");
    };
    detail::require_batch("Generator: init", options.init, config.latent_shape());
    require_count("init", options.init.extent(0));
    if (options.mask.empty()) return;
    detail::require_batch("Generator: mask", options.mask, config.latent_shape().with(0, 1));
    require_count("mask", options.mask.extent(0));
    for (const float value : options.mask.span())
      if (value < 0.0f || value > 1.0f)
        raise<ArgumentError>("Generator: mask: expected values in [0, 1], got ", value);
  }

  /// True when the random numbers of a step are drawn for all pictures together, so that they must
  /// be one batch.
  [[nodiscard]] static bool drawn_together(const GenerateOptions& options,
                                           const detail::FlowSampling& settings) noexcept {
    return options.rng == Rng::torch_cpu && settings.kind == SamplerKind::sde;
  }

  /// A network that is evaluated along a schedule, for one batch.
  [[nodiscard]] static detail::Network along(
      OwnedPointer<const BackboneNetwork<Tensor<float>>> network, detail::Schedule schedule,
      SamplingWork& work) {
    return prediction_of(
        std::make_shared<detail::ScheduledNetwork>(std::move(network), std::move(schedule), work));
  }
  [[nodiscard]] static detail::Network prediction_of(
      std::shared_ptr<detail::ScheduledNetwork> scheduled) {
    return [scheduled](const Tensor<float>& x, float t, std::span<const std::int64_t> labels) {
      return (*scheduled)(x, t, labels);
    };
  }
};

Generator::Generator(const Bundle& bundle, const LoadOptions& load) {
  bundle.check();
  if (!bundle.config.dit)
    raise<FormatError>(bundle.origin, ": has no DiT, which a generator needs");
  if (!bundle.config.decoder)
    raise<FormatError>(bundle.origin, ": has no decoder, which a generator needs");
  impl_ = std::make_shared<const Impl>(bundle.files(), load);
}

Generator::Generator(const ModelFiles& files, const LoadOptions& load) {
  validate(files.config, ConfigPlace(files.origin));
  if (!files.config.dit || !files.dit)
    raise<FormatError>(files.origin, ": has no DiT, which a generator needs");
  impl_ = std::make_shared<const Impl>(files, load);
}

Generator Generator::load(const std::string& path, const LoadOptions& load) {
  return Generator(ModelFiles::open(path), load);
}

Generator Generator::builtin(const LoadOptions& options) { return builtin(kBuiltinModel, options); }

Generator Generator::builtin(const std::string& name, const LoadOptions& options) {
  return load(find_model(name), options);
}

Rng parse_rng(std::string_view name) {
  for (const Rng rng : {Rng::philox, Rng::torch_cpu})
    if (name == name_of(rng)) return rng;
  raise<ArgumentError>("unknown random numbers '", name, "': expected philox or torch-cpu");
}

namespace {

/// Fills `out` (B, C, h, w) with the end of torch.randn(skipped + B, C, h, w). PyTorch draws in
/// blocks of 16 numbers, so that pictures can be drawn one by one if their size is a multiple of
/// 16.
void fill_as_torch(TorchCpuGenerator& random, std::uint64_t skipped, Tensor<float>& out) {
  const auto size = static_cast<std::size_t>(out.numel() / out.extent(0));
  if (skipped == 0) return random.fill_normal(out.span());
  if (size % 16 == 0) {
    for (std::uint64_t i = 0; i < skipped; ++i) random.fill_normal(out.span().first(size));
    return random.fill_normal(out.span());
  }
  if (skipped > static_cast<std::uint64_t>(kMaxLatentSize))
    raise<ArgumentError>("Generator: first_index ", skipped,
                         " is too large for numbers of PyTorch with latents of ", size,
                         " elements");
  Tensor<float> all(Shape{static_cast<index_t>(skipped) + out.extent(0),
                          static_cast<index_t>(size)});  // (skipped + B, C h w)
  random.fill_normal(all.span());
  std::copy_n(std::as_const(all).data() + skipped * size, out.numel(), out.data());
}

}  // namespace

Tensor<float> Generator::noise(std::uint64_t seed, index_t count, std::uint64_t first_index,
                               Rng rng) const {
  if (count < 1)
    raise<ArgumentError>("Generator::noise: expected a count of 1 or more, got ", count);
  Tensor<float> out(impl_->latents(count));  // (B, C, h, w)
  if (rng == Rng::torch_cpu) {
    TorchCpuGenerator random(seed);
    fill_as_torch(random, first_index, out);
    return out;
  }
  const auto size = static_cast<std::size_t>(out.numel() / count);
  const std::span<float> values = out.span();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    Philox(seed, first_index + i).fill_normal(values.subspan(i * size, size));
  return out;
}

Tensor<float> Generator::sample_latents(const GenerateOptions& options) const {
  const detail::FlowSampling settings = impl_->resolve(options);
  const auto n = static_cast<index_t>(options.labels.size());
  const bool together = Impl::drawn_together(options, settings);
  // A guided picture is evaluated with and without its label at the same time.
  const index_t at_once =
      settings.guidance.scale == 1.0f ? impl_->batch() : std::max<index_t>(1, impl_->batch() / 2);
  const index_t most =
      together ? n : std::min(n, options.batch_size > 0 ? options.batch_size : at_once);
  const index_t all_steps = settings.steps() * ((n + most - 1) / most);
  if (options.strength == 0) return detail::samples_or_repeated(options.init, 0, n);
  Tensor<float> out(impl_->latents(n));  // (B, C, h, w)
  float* target = out.data();
  // One generator draws all numbers of PyTorch, first those of the initial noise.
  TorchCpuGenerator torch(options.seed);
  Tensor<float> start_of_all = options.noise;  // (B, C, h, w), or empty
  if (options.rng == Rng::torch_cpu && start_of_all.empty()) {
    start_of_all = Tensor<float>(impl_->latents(n));
    fill_as_torch(torch, options.first_index, start_of_all);
  }
  SamplingReport report;
  index_t done = 0;
  index_t first_of_batch = 0;
  Function<bool(const StepInfo&)> on_step;
  if (options.on_step)
    on_step = [&](const StepInfo& info) {
      StepInfo counted = info;
      counted.step = ++done;
      counted.steps = all_steps;
      counted.first = first_of_batch;
      if (!options.on_step(counted))
        raise<Cancelled>("Generator: stopped by the callback after step ", done, " of ", all_steps);
      return true;
    };
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  detail::for_batches(n, most, [&](index_t begin, index_t count) {
    first_of_batch = begin;
    const std::span<const std::int64_t> labels(options.labels.data() + begin,
                                               static_cast<std::size_t>(count));
    const std::uint64_t first = options.first_index + static_cast<std::uint64_t>(begin);
    detail::Schedule schedule{.times = settings.grid,
                              .labels = {labels.begin(), labels.end()},
                              .reuse_error = options.reuse_error};
    const detail::Network guide = settings.autoguidance
                                      ? Impl::along(impl_->loader.guide(), schedule, report.guide)
                                      : detail::Network();
    if (settings.guidance.scale != 1.0f) schedule.labels.push_back(settings.null_label);
    const auto scheduled = std::make_shared<detail::ScheduledNetwork>(
        impl_->loader.dit(), std::move(schedule), report.model);
    const detail::Network network = Impl::prediction_of(scheduled);
    const detail::NetworkWithBase with_base = [&](const Tensor<float>& x, float t,
                                                  std::span<const std::int64_t> conditions) {
      return scheduled->with_base(x, t, conditions);
    };
    Tensor<float> start = start_of_all.empty() ? noise(options.seed, count, first)
                                               : detail::samples(start_of_all, begin, count);
    detail::StepNoise step_noise = PhiloxNoise{options.seed, first};
    if (together)
      step_noise = [&torch](index_t, Tensor<float>& values) { torch.fill_normal(values.span()); };
    detail::KnownTokens known{.path = settings.path};
    if (!options.init.empty() && (options.strength < 1 || !options.mask.empty())) {
      known.latents = detail::samples_or_repeated(options.init, begin, count);
      known.noise = start;
      if (options.strength < 1) start = known.noised(settings.grid.front());
    }
    Function<bool(const StepInfo&)> each_step = on_step;
    if (!options.mask.empty()) {
      known.mask = detail::samples_or_repeated(options.mask, begin, count);
      start = known.kept(start, known.noised(settings.grid.front()));
      each_step = detail::restoring(known, on_step);
    }
    const Tensor<float> z =
        detail::sample_flow(network, settings, std::move(start), labels, each_step, guide,
                            step_noise, with_base);  // (b, C, h, w)
    std::copy_n(z.data(), z.numel(), target + begin * (z.numel() / count));
  });
  if (options.report != nullptr) {
    const auto add = [](SamplingWork& to, const SamplingWork& from) {
      to = {to.evaluations + from.evaluations, to.backbones + from.backbones,
            to.conditionings + from.conditionings};
    };
    add(options.report->model, report.model);
    add(options.report->guide, report.guide);
  }
  return out;
}

Tensor<float> Generator::velocity(const Tensor<float>& x, float t,
                                  std::span<const std::int64_t> labels) const {
  return impl_->output("Generator::velocity", x, t, labels, false);
}

Tensor<float> Generator::base_output(const Tensor<float>& x, float t,
                                     std::span<const std::int64_t> labels) const {
  if (!impl_->config.dit->has_base_head())
    raise<ArgumentError>("Generator::base_output: '", impl_->config.name,
                         "' has no head on an intermediate layer");
  return impl_->output("Generator::base_output", x, t, labels, true);
}

Tensor<float> Generator::Impl::output(std::string_view where, const Tensor<float>& x, float t,
                                      std::span<const std::int64_t> labels, bool base) const {
  detail::require_batch(where, x, config.latent_shape());
  if (!(t >= 0.0f && t <= 1.0f)) raise<ArgumentError>(where, ": expected t in [0, 1], got ", t);
  if (static_cast<index_t>(labels.size()) != x.extent(0))
    raise<ShapeError>(where, ": ", x.extent(0), " states, but ", labels.size(), " labels");
  require_labels(labels, config.has_null_class());
  SamplingWork work;
  detail::ScheduledNetwork network(loader.dit(),
                                   {.times = {t}, .labels = {labels.begin(), labels.end()}}, work);
  Tensor<float> out(x.shape());  // (B, C, h, w)
  float* target = out.data();
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  detail::for_batches(x.extent(0), batch(), [&](index_t begin, index_t count) {
    const Tensor<float> states = detail::samples(x, begin, count);  // (b, C, h, w)
    const auto own =
        labels.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
    const Tensor<float> v =
        base ? network.with_base(states, t, own).base : network(states, t, own);  // (b, C, h, w)
    std::copy_n(v.data(), v.numel(), target + begin * (v.numel() / count));
  });
  return out;
}

std::vector<Image> Generator::decode(const Tensor<float>& latents) const {
  constexpr std::string_view kWhere = "Generator::decode";
  const Shape latent = config().latent_shape();
  detail::require_batch(kWhere, latents, latent);  // before the decoder is loaded
  return detail::decode_images(impl_->loader.autoencoder(NetworkRole::decoder), kWhere, latents,
                               latent, impl_->batch());
}

Tensor<float> Generator::decode_pixels(const Tensor<float>& latents) const {
  constexpr std::string_view kWhere = "Generator::decode_pixels";
  const Shape latent = config().latent_shape();
  detail::require_batch(kWhere, latents, latent);
  return detail::decode_pixels(impl_->loader.autoencoder(NetworkRole::decoder), kWhere, latents,
                               latent, config().image_shape(), impl_->batch());
}

std::vector<Image> Generator::sample(const GenerateOptions& options) const {
  return decode(sample_latents(options));
}

index_t Generator::num_classes() const noexcept { return impl_->config.num_classes(); }

const std::vector<std::string>& Generator::class_names() const noexcept {
  return impl_->config.class_names;
}

DType Generator::dtype() const noexcept { return impl_->loader.dtype(); }

std::string_view Generator::type_name() const noexcept { return impl_->loader.type_name(); }

const ModelConfig& Generator::config() const noexcept { return impl_->config; }

namespace {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// The shortest decimal that reads back as the same number.
template <class N>
std::string number_text(N number) {
  char text[40];
  const auto result = std::to_chars(text, text + sizeof text, number);
  return {text, result.ptr};
}

template <class G>
void put_guidance(std::map<std::string, std::string>& out, const std::string& key,
                  const G& guidance) {
  out[key] = number_text(guidance.scale);
  if (guidance.scale != 1.0f)
    out[key + "_interval"] = number_text(guidance.t_min) + "," + number_text(guidance.t_max);
}

void put_sde(std::map<std::string, std::string>& out, const SdeOptions& sde) {
  out["sampler"] = name_of(SamplerKind::sde);
  out["diffusion_form"] = name_of(sde.form);
  out["diffusion_norm"] = number_text(sde.norm);
  out["last_step"] = name_of(sde.last_step);
  if (sde.last_step != SdeLastStep::none) out["last_step_size"] = number_text(sde.last_step_size);
}

}  // namespace

std::int64_t Generator::label_of(std::string_view name) const {
  const std::vector<std::string>& names = class_names();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<std::int64_t>(i);
  const std::string lower = lower_case(name);
  std::vector<std::string> candidates;
  for (std::size_t i = 0; i < names.size(); ++i) {
    candidates.push_back(lower_case(names[i]));
    if (candidates.back() == lower) return static_cast<std::int64_t>(i);
  }
  std::int64_t number = -1;
  const auto result = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool leading_zero = name.size() > 1 && name.front() == '0';
  if (result.ec == std::errc() && result.ptr == name.data() + name.size() && !leading_zero &&
      number >= 0 && number < num_classes())
    return number;
  raise<ArgumentError>("there is no class '", name, "'; expected ", impl_->classes(),
                       detail::suggestion(lower, candidates));
}

std::map<std::string, std::string> Generator::png_text(const GenerateOptions& options,
                                                       std::size_t i) const {
  const detail::FlowSampling settings = impl_->resolve(options);
  if (i >= options.labels.size())
    raise<ArgumentError>("Generator::png_text: there is no picture ", i, " of ",
                         options.labels.size());
  const std::int64_t label = options.labels[i];
  const SamplingDefaults sampling = impl_->defaults(options);
  const bool sde = settings.kind == SamplerKind::sde;
  std::map<std::string, std::string> out{
      {"Software", std::string("rae ") + kVersion},
      {"model", config().name},
      {"label", number_text(label)},
      {"steps", number_text(sampling.steps)},
      {"solver", std::string(sde ? name_of(settings.sde.solver) : name_of(settings.solver))}};
  if (!class_names().empty()) out["class"] = class_names()[static_cast<std::size_t>(label)];
  if (settings.autoguidance)
    put_guidance(out, "autoguidance", *settings.autoguidance);
  else
    put_guidance(out, "cfg", settings.guidance);
  if (settings.internal_guidance) {
    put_guidance(out, "internal_guidance", *settings.internal_guidance);
    if (settings.internal_guidance->unconditional_scale)
      out["internal_guidance_unconditional"] =
          number_text(*settings.internal_guidance->unconditional_scale);
  }
  if (sampling.grid != TimeGridKind::full) out["grid"] = name_of(sampling.grid);
  if (sde)
    put_sde(out, settings.sde);
  else if (settings.solver.is_adaptive() || settings.solver == Solver::implicit_adams)
    out["tolerances"] = number_text(sampling.atol) + "," + number_text(sampling.rtol);
  if (!options.init.empty()) {
    out["init"] = "given";
    out["strength"] = number_text(options.strength);
    if (!options.mask.empty()) out["mask"] = "given";
  }
  if (options.reuse_error > 0) out["reuse_error"] = number_text(options.reuse_error);
  if (type_name() != name_of(DType::f32)) out["dtype"] = type_name();
  if (options.rng != Rng::philox) out["rng"] = name_of(options.rng);
  if (options.noise.empty()) {
    out["seed"] = number_text(options.seed);
    out["index"] = number_text(options.first_index + i);
  } else {
    out["noise"] = "given";
  }
  return out;
}

}  // namespace rae
