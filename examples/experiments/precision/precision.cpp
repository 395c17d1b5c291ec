// Experiment `precision`: quality, size and time of a model whose weights have fewer bits: one type
// for all layers, a type for each layer by its measured sensitivity, and int4 after fine-tuning for
// it.
//
// Not in the paper. Sensitivities: rae/generate/sensitivity.hpp; fine-tuning:
// rae/train/quantized_run.hpp.
#include <ctime>
#include <filesystem>
#include <optional>
#include <utility>

#include "frame/finished_model.hpp"
#include "frame/tiny_model.hpp"
#include "precision/plan.hpp"
#include "rae/formats/bundle_writer.hpp"
#include "rae/generate/mixed_types.hpp"
#include "rae/spec/weight_types.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

PrecisionPlan plan_of(const Options& options) {
  PrecisionPlan plan;
  if (options.quick) {
    plan.samples = 32;
    plan.seeds = 1;
    plan.calibration = 8;
  }
  return plan;
}

double cpu_seconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

/// The networks that generate pictures: without the encoder.
ModelFiles generating(const Bundle& bundle) {
  ModelFiles out = bundle.files();
  out.encoder.reset();
  return out;
}

/// Measures packed bundles, each of which is in a file for a moment.
class Packed {
 public:
  Packed(const Options& options, const PrecisionPlan& plan, const Bundle& model, const Judge& judge)
      : options_(options), plan_(plan), model_(generating(model)), judge_(judge) {}

  /// The model with one type for all layers.
  ConfigNode one_type(DType type, index_t seed) const { return measure(model_, type, seed); }
  /// Another model, which was fine-tuned for its type.
  ConfigNode fine_tuned(const Bundle& model, DType type, index_t seed) const {
    return measure(generating(model), type, seed);
  }
  /// The mix whose file is not larger than that with one type.
  ConfigNode mixed_as_large_as(DType type, index_t seed) {
    save(model_, type);
    const std::uint64_t bytes = std::filesystem::file_size(file());
    return measure(model_, mix({.bytes = bytes}), seed);
  }
  /// The mix whose networks have at most this relative error.
  ConfigNode mixed_within(double error, index_t seed) {
    return measure(model_, mix({.error = error}), seed);
  }

 private:
  [[nodiscard]] std::string file() const { return options_.out + "/packed.safetensors"; }

  template <class Types>
  void save(const ModelFiles& files, const Types& types) const {
    save_packed_bundle(files, file(), types);
  }

  LayerTypes mix(const MixLimit& limit) {
    if (!calibration_) {
      calibration_ = sampled_calibration(model_, plan_.calibration, 0);
      sensitivities_ = measure_sensitivities(model_, *calibration_);
    }
    return mix_types(model_, *calibration_, sensitivities_, limit).types;
  }

  template <class Types>
  ConfigNode measure(const ModelFiles& files, const Types& types, index_t seed) const {
    save(files, types);
    const auto bytes = static_cast<double>(std::filesystem::file_size(file()));
    PictureScore score;
    double seconds = 0;
    {
      const Generator generator(ModelFiles::open(file()));
      GenerateOptions how;
      how.seed = static_cast<std::uint64_t>(500 + seed);
      how.steps = plan_.steps;
      how.guidance = Cfg{};
      const DrawPictures draw = drawn_by(generator, how);
      score = judge_.score_samples(plan_.samples,
                                   [&](const std::vector<std::int64_t>& labels, index_t first) {
                                     const double begin = cpu_seconds();
                                     Tensor<float> pictures = draw(labels, first);  // (B, C, H, W)
                                     seconds += cpu_seconds() - begin;
                                     return pictures;
                                   });
    }
    std::filesystem::remove(file());
    return ConfigNode::map({{"distance", score.distance},
                            {"consistency", score.consistency},
                            {"megabytes", bytes * 1e-6},
                            {"milliseconds", 1e3 * seconds / static_cast<double>(plan_.samples)}});
  }

  const Options& options_;
  const PrecisionPlan& plan_;
  ModelFiles model_;
  const Judge& judge_;
  std::optional<CalibrationData> calibration_;  // absent until it is needed
  std::vector<LayerSensitivity> sensitivities_;
};

/// The model of --finetuned, in the reduced version a tiny one; absent without.
std::optional<Bundle> fine_tuned_model(const Options& options, const FinishedModel& model) {
  if (!options.finetuned.empty()) {
    Bundle out = Bundle::load(options.finetuned);
    if (!out.config.dit || !out.config.decoder ||
        !(out.config.dit->to_config() == model.bundle.config.dit->to_config()))
      raise<ConfigError>(options.finetuned, ": is not a fine-tuned version of ",
                         model.bundle.origin, ": its diffusion network has another shape");
    return out;
  }
  if (options.quick) return tiny_model(model.train, DType::int4);
  return std::nullopt;
}

void run(const Options& options) {
  const PrecisionPlan plan = plan_of(options);
  const FinishedModel model = finished_model(options);
  const auto fine_tuned = fine_tuned_model(options, model);
  const Judge judge = Judge::open(options, model.train, *model.test);
  Packed packed(options, plan, model.bundle, judge);
  std::vector<Point> points;
  for (index_t seed = 0; seed < plan.seeds; ++seed) {
    const auto add = [&](const std::string& name, const char* kind,
                         Function<ConfigNode()> measure) {
      points.push_back({ConfigNode::map({{"weights", name}, {"kind", kind}, {"seed", seed}}), 1.0,
                        std::move(measure)});
    };
    for (const DType type : kWeightTypes)
      add(std::string(name_of(type)), kOneType,
          [=, &packed] { return packed.one_type(type, seed); });
    add("mix as large as int8", kMixed,
        [=, &packed] { return packed.mixed_as_large_as(DType::int8, seed); });
    add(kMixAsLargeAsInt4, kMixed,
        [=, &packed] { return packed.mixed_as_large_as(DType::int4, seed); });
    add(concat("mix within ", 100 * plan.loss, " %"), kMixed,
        [=, &packed, &plan] { return packed.mixed_within(plan.loss, seed); });
    if (fine_tuned)
      add("fine-tuned int4", kFineTuned,
          [=, &packed, &fine_tuned] { return packed.fine_tuned(*fine_tuned, DType::int4, seed); });
  }
  ConfigNode settings = settings_of(model, judge);
  settings.set("samples", plan.samples);
  settings.set("calibration", plan.calibration);
  settings.set("steps", plan.steps);
  if (!options.finetuned.empty()) settings.set("finetuned", identity_of(options.finetuned));
  const auto results = measure_points(options, settings, points);
  write_finding(options,
                precision_finding(plan,
                                  {model.bundle.config.name,
                                   judge.score_training(plan.samples).distance, judge.accuracy()},
                                  results));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "precision", run); }
