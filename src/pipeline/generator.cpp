#include "rae/pipeline/generator.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "io/suggestion.hpp"
#include "pipeline/batches.hpp"
#include "pipeline/flow_sampling.hpp"
#include "rae/core/random.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/pipeline/model_search.hpp"
#include "rae/version.hpp"

namespace rae {

struct Generator::Parts {
  ModelConfig config;
  DitDh<Tensor<float>> dit;
  Decoder<Tensor<float>> decoder;
  LatentNorm<float> latent_norm;

  explicit Parts(const Bundle& bundle)
      : config(bundle.config), dit(*config.dit), decoder(*config.decoder), latent_norm(bundle.latent_norm()) {
    bundle.restore("dit.", dit);
    bundle.restore("decoder.", decoder);
    pack_parameters(dit);
    pack_parameters(decoder);
  }

  [[nodiscard]] index_t batch() const { return detail::default_batch(config.dit->grid_h * config.dit->grid_w); }

  /// (n, C, h, w)
  [[nodiscard]] Shape latents(index_t n) const {
    const Shape one = config.latent_shape();
    return {n, one[0], one[1], one[2]};
  }

  /// "0 to 9 (T-shirt, Trouser, ...)"
  [[nodiscard]] std::string classes() const {
    std::string out = concat("0 to ", config.dit->num_classes - 1);
    constexpr std::size_t kMost = 20;
    for (std::size_t i = 0; i < std::min(kMost, config.class_names.size()); ++i) out += (i == 0 ? " (" : ", ") + config.class_names[i];
    if (config.class_names.empty()) return out;
    return out + (config.class_names.size() > kMost ? ", ...)" : ")");
  }

  /// Options with the model's defaults filled in. Throws for everything that is out of range.
  [[nodiscard]] detail::FlowSampling resolve(const GenerateOptions& options) const {
    if (options.labels.empty()) raise<ArgumentError>("Generator: no labels; give one class for each picture, ", classes());
    for (const std::int64_t label : options.labels)
      if (label < 0 || label >= config.dit->num_classes)
        raise<ArgumentError>("Generator: there is no class ", label, "; expected ", classes());
    if (options.steps < 0 || options.steps > kMaxSamplingSteps)
      raise<ArgumentError>("Generator: expected 1 to ", kMaxSamplingSteps, " steps, got ", options.steps);
    if (options.batch_size < 0) raise<ArgumentError>("Generator: expected a batch_size of 1 or more, got ", options.batch_size);
    detail::FlowSampling how;
    how.guidance = options.guidance.value_or(config.sampling.guidance);
    require_guidance(how.guidance);
    if (how.guidance.scale != 1.0f && !(config.dit->class_dropout_prob > 0))
      raise<ArgumentError>("Generator: guidance needs the null class, which '", config.name, "' was trained without");
    if (!options.noise.empty()) {
      detail::require_batch("Generator: noise", options.noise, config.latent_shape());
      if (options.noise.extent(0) != static_cast<index_t>(options.labels.size()))
        raise<ShapeError>("Generator: noise for ", options.noise.extent(0), " pictures, but ", options.labels.size(), " labels");
    }
    how.grid = full_time_grid(options.steps > 0 ? options.steps : config.sampling.steps, config.time_shift);
    how.solver = options.solver.value_or(config.sampling.solver.fixed());
    how.prediction = config.prediction;
    how.null_label = config.dit->num_classes;
    return how;
  }
};

Generator::Generator(const Bundle& bundle) {
  bundle.check();
  if (!bundle.config.dit) raise<FormatError>(bundle.origin, ": has no DiT, which a generator needs");
  if (!bundle.config.decoder) raise<FormatError>(bundle.origin, ": has no decoder, which a generator needs");
  parts_ = std::make_shared<const Parts>(bundle);
}

Generator Generator::load(const std::string& path) { return Generator(Bundle::load(path)); }

Generator Generator::builtin() { return load(find_model()); }

Tensor<float> Generator::noise(std::uint64_t seed, index_t count, std::uint64_t first_index) const {
  if (count < 1) raise<ArgumentError>("Generator::noise: expected a count of 1 or more, got ", count);
  Tensor<float> out(parts_->latents(count));  // (B, C, h, w)
  const auto size = static_cast<std::size_t>(out.numel() / count);
  const std::span<float> values = out.span();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    Philox(seed, first_index + i).fill_normal(values.subspan(i * size, size));
  return out;
}

Tensor<float> Generator::sample_latents(const GenerateOptions& options) const {
  const detail::FlowSampling how = parts_->resolve(options);
  const auto n = static_cast<index_t>(options.labels.size());
  const index_t most = std::min(n, options.batch_size > 0 ? options.batch_size : parts_->batch());
  const index_t steps = static_cast<index_t>(how.grid.size()) - 1, all_steps = steps * ((n + most - 1) / most);
  Tensor<float> out(parts_->latents(n));  // (B, C, h, w)
  float* target = out.data();
  const DitDh<Tensor<float>>& dit = parts_->dit;
  const detail::Network network = [&dit](const Tensor<float>& x, float t, std::span<const std::int64_t> labels) {
    return dit(x, Tensor<float>(Shape{x.extent(0)}, t), labels);
  };
  index_t done = 0;
  const std::function<bool(const StepInfo&)> on_step = [&](const StepInfo& info) {
    ++done;
    if (options.on_step && !options.on_step({done, all_steps, info.t, info.x}))
      raise<Cancelled>("Generator: stopped by the callback after step ", done, " of ", all_steps);
    return true;
  };
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  detail::for_batches(n, most, [&](index_t begin, index_t count) {
    const std::span<const std::int64_t> labels(options.labels.data() + begin, static_cast<std::size_t>(count));
    Tensor<float> start = options.noise.empty() ? noise(options.seed, count, options.first_index + static_cast<std::uint64_t>(begin))
                                                : detail::samples(options.noise, begin, count);    // (b, C, h, w)
    const Tensor<float> z = detail::sample_flow(network, how, std::move(start), labels, on_step);  // (b, C, h, w)
    std::copy_n(z.data(), z.numel(), target + begin * (z.numel() / count));
  });
  return out;
}

std::vector<Image> Generator::decode(const Tensor<float>& latents) const {
  detail::require_batch("Generator::decode", latents, parts_->config.latent_shape());
  std::vector<Image> out;
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  detail::for_batches(latents.extent(0), parts_->batch(), [&](index_t begin, index_t count) {
    const Tensor<float> z = parts_->latent_norm.denormalize(detail::samples(latents, begin, count));             // (b, C, h, w)
    const Tensor<float> pixels = denormalize_pixels(parts_->decoder(grid_to_tokens(z)), parts_->config.pixels);  // (b, channels, S, S)
    for (Image& image : Image::from_batch(pixels)) out.push_back(std::move(image));
  });
  return out;
}

std::vector<Image> Generator::sample(const GenerateOptions& options) const { return decode(sample_latents(options)); }

index_t Generator::num_classes() const noexcept { return parts_->config.dit->num_classes; }

const std::vector<std::string>& Generator::class_names() const noexcept { return parts_->config.class_names; }

const ModelConfig& Generator::config() const noexcept { return parts_->config; }

namespace {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// Shortest text that reads back as the same number.
template <class N>
std::string number_text(N number) {
  char text[40];
  const auto result = std::to_chars(text, text + sizeof text, number);
  return {text, result.ptr};
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
  if (result.ec == std::errc() && result.ptr == name.data() + name.size() && number >= 0 && number < num_classes()) return number;
  raise<ArgumentError>("there is no class '", name, "'; expected ", parts_->classes(), detail::suggestion(lower, candidates));
}

std::map<std::string, std::string> Generator::png_text(const GenerateOptions& options, std::size_t i) const {
  const detail::FlowSampling how = parts_->resolve(options);
  if (i >= options.labels.size()) raise<ArgumentError>("Generator::png_text: there is no picture ", i, " of ", options.labels.size());
  const std::int64_t label = options.labels[i];
  std::map<std::string, std::string> out{{"Software", std::string("rae ") + kVersion},
                                         {"model", config().name},
                                         {"label", number_text(label)},
                                         {"steps", number_text(how.grid.size() - 1)},
                                         {"solver", std::string(name_of(how.solver))},
                                         {"cfg", number_text(how.guidance.scale)}};
  if (!class_names().empty()) out["class"] = class_names()[static_cast<std::size_t>(label)];
  if (how.guidance.scale != 1.0f) out["cfg_interval"] = number_text(how.guidance.t_min) + "," + number_text(how.guidance.t_max);
  if (options.noise.empty()) {
    out["seed"] = number_text(options.seed);
    out["index"] = number_text(options.first_index + i);
  } else {
    out["noise"] = "given";
  }
  return out;
}

}  // namespace rae
