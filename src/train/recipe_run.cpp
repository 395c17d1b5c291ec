// The stages of a recipe in order; each reads the results of the others from model.safetensors.
#include <algorithm>
#include <filesystem>

#include "io/deflate.hpp"
#include "rae/core/owner.hpp"
#include "rae/diffusion/latent_statistics.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/file.hpp"
#include "rae/io/tensor_source.hpp"
#include "rae/train/recipe.hpp"
#include "rae/train/recipe_check.hpp"
#include "train/pretrained_encoder.hpp"

namespace rae {

namespace {

namespace fs = std::filesystem;

/// The state that the stages of a recipe share.
class RecipeRunner {
 public:
  RecipeRunner(const Recipe& recipe, const RecipeRun& run)
      : recipe_(recipe),
        run_(run),
        model_path_((fs::path(run.out) / "model.safetensors").string()) {
    const CheckedRecipe checked = check_recipe(recipe, run);
    data_ = checked.data.data;
    say(checked.data.survey.summary());
    for (const auto& [path, reason] : checked.data.survey.broken)
      say(concat("skipped ", path, ": ", reason));
    for (const std::string& note : checked.data.survey.notes) say("note: " + note);
    make_folder(run.out);
    if (fs::exists(model_path_)) {
      bundle_ = Bundle::load(model_path_);
    } else {
      bundle_.config = recipe.model;
      bundle_.config.decoder.reset();
      bundle_.config.dit.reset();
    }
    bundle_.config.name = recipe.model.name;
    bundle_.config.sampling = recipe.model.sampling;
    bundle_.config.class_names = class_names_for(recipe, *data_);
    for (const auto& [key, value] : recipe.notes) bundle_.notes[key] = value;
  }

  void operator()(TrainingStage stage) {
    say(concat("stage ", name_of(stage)));
    switch (stage) {
      case TrainingStage::encoder: return encoder();
      case TrainingStage::decoder: return decoder();
      case TrainingStage::statistics: return statistics();
      case TrainingStage::dit: return dit();
    }
  }

 private:
  void encoder() {
    const AnyEncoder& encoder = recipe_.model.encoder;
    OwnedPointer<EncoderNetwork<Tensor<float>>> network = encoder.make();
    // A later run takes the encoder from its file again, which costs little.
    if (!recipe_.pretrained_encoder.empty())
      fill_weights(*network, detail::open_pretrained(recipe_.pretrained_encoder).tensors,
                   "encoder");
    else if (const auto* vit = encoder.get_if<EncoderConfig>())
      network =
          encoder_network(train_encoder(data_, *vit, recipe_.model.pixels, recipe_.pretraining,
                                        recipe_.encoder_training, context("encoder")));
    bundle_.config.encoder = encoder;
    bundle_.config.pixels = recipe_.model.pixels;
    bundle_.store("encoder.", *network);
    save();
  }

  void decoder() {
    const auto encoder = trained_encoder("decoder");
    Decoder<Tensor<float>> model =
        train_decoder(data_, *encoder, bundle_.config.pixels, *recipe_.model.decoder,
                      recipe_.decoder_loss, recipe_.decoder_training, context("decoder"));
    bundle_.config.decoder = recipe_.model.decoder;
    bundle_.store("decoder.", model);
    save();
  }

  void statistics() {
    const Rae<float> autoencoder = trained_autoencoder("statistics", {});
    bundle_.store_latent_norm(recipe_.statistics.rule == StatisticsRule::exact
                                  ? exact_statistics(autoencoder)
                                  : official_statistics(autoencoder));
    save();
  }

  LatentNorm<float> exact_statistics(const Rae<float>& autoencoder) const {
    LatentStatistics statistics;
    const index_t channels = data_->channels(), pixels = data_->image_size();
    for (index_t i = 0; i < data_->size(); i += kStatisticsBatch) {
      stop_statistics(i);
      const index_t count = std::min(kStatisticsBatch, data_->size() - i);
      Tensor<float> images(Shape{count, channels, data_->height(), data_->width()});
      float* out = images.data();
      parallel_for(count, 8, [&](index_t b) {
        data_->image(i + b, {out + b * pixels, static_cast<std::size_t>(pixels)});
      });
      statistics.update(autoencoder.encode(images));
    }
    return {statistics.mean(), statistics.variance()};
  }

  LatentNorm<float> official_statistics(const Rae<float>& autoencoder) const {
    const StatisticsOptions& options = recipe_.statistics;
    MomentumLatentStatistics statistics(options.momentum);
    Batches batches(data_, options.batch_size, options.seed, options.augmentation);
    for (index_t i = 0; i * options.batch_size < data_->size(); ++i) {
      stop_statistics(i * options.batch_size);
      statistics.update(autoencoder.encode(batches(i).images));
    }
    return {statistics.mean(), statistics.variance()};
  }

  void stop_statistics(index_t done) const {
    if (run_.should_stop && run_.should_stop())
      raise<Cancelled>("statistics: stopped after ", done, " of ", data_->size(), " pictures");
  }

  void dit() {
    if (!recipe_.model.dit)
      raise<ConfigError>("the recipe has no dit, which the stage dit would train");
    const Rae<float> autoencoder = trained_autoencoder("dit", bundle_.latent_norm());
    if (!bundle_.has("latent_norm."))
      raise<ConfigError>(model_path_, ": has no latent statistics; run the stage statistics first");
    if (recipe_.automatic_time_shift) {
      const Shape z = recipe_.model.latent_shape();  // (C, h, w)
      say(concat("time shift ", recipe_.flow.time_shift, ", chosen for latents of ", z.numel(),
                 " numbers (", z[0], " x ", z[1], " x ", z[2], ")"));
    }
    const auto on_average = [&](index_t step, BackboneNetwork<Tensor<float>>& average) {
      draw_samples(step, average);
    };
    const auto model = train_flow(data_, autoencoder, *recipe_.model.dit, recipe_.flow,
                                  recipe_.dit_training, context("dit"), on_average);
    take(*model);
    save();
  }

  /// Adds the weights of stage 2.
  void take(BackboneNetwork<Tensor<float>>& model) {
    bundle_.config.dit = recipe_.model.dit;
    bundle_.config.path = recipe_.model.path;
    bundle_.config.path_formulas = recipe_.model.path_formulas;
    bundle_.config.time_shift = recipe_.flow.time_shift;
    bundle_.config.prediction = recipe_.model.prediction;
    bundle_.store("dit.", model);
  }

  void draw_samples(index_t step, BackboneNetwork<Tensor<float>>& average) {
    if (run_.samples < 1) return;
    take(average);
    Generator generator(bundle_);
    GenerateOptions options;
    const index_t classes = recipe_.model.dit->num_classes();
    for (index_t i = 0; i < run_.samples; ++i) options.labels.push_back(i % classes);
    const std::vector<Image> pictures = generator.sample(options);
    std::string number = std::to_string(step);
    number.insert(0, number.size() < 7 ? 7 - number.size() : 0, '0');
    make_folder((fs::path(run_.out) / "samples").string());
    const std::string path =
        (fs::path(run_.out) / "samples" / ("step-" + number + ".png")).string();
    Image::grid(pictures, std::min(classes, run_.samples)).save_png(path);
    say("wrote " + path);
  }

  /// The encoder of the bundle, not packed.
  OwnedPointer<EncoderNetwork<Tensor<float>>> trained_encoder(const char* stage) const {
    if (!bundle_.has(NetworkRole::encoder))
      raise<ConfigError>("the stage ", stage, " needs an encoder, and ", model_path_,
                         " has none; run the stage encoder first");
    auto encoder = bundle_.config.encoder.make();
    bundle_.restore("encoder.", *encoder);
    return encoder;
  }

  /// The autoencoder of the bundle; latents are normalised by `norm`.
  Rae<float> trained_autoencoder(const char* stage, LatentNorm<float> norm) const {
    const ModelConfig& config = bundle_.config;
    if (!config.decoder || !bundle_.has("decoder."))
      raise<ConfigError>("the stage ", stage, " needs a decoder, and ", model_path_,
                         " has none; run the stage decoder first");
    OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = trained_encoder(stage);
    pack_parameters(*encoder);
    const auto decoder = OwnedPointer<Decoder<Tensor<float>>>::make(*config.decoder);
    bundle_.restore("decoder.", *decoder);
    const Shape input = config.encoder_size > 0 ? config.encoder_input_shape() : Shape{0, 0, 0};
    return {encoder, decoder, {input[1], input[2], config.pixels, std::move(norm)}};
  }

  TrainingContext context(const char* stage) const {
    TrainingContext c;
    c.stage = stage;
    c.folder = (fs::path(run_.out) / stage).string();
    make_folder(c.folder);
    // The settings that decide the result of a stage: its section, the model and the data.
    c.settings.set("model", recipe_.source.at("model"));
    c.settings.set("data", data_->size());
    if (!recipe_.pretrained_encoder.empty()) c.settings.set("encoder", encoder_checksum());
    ConfigNode section = ConfigNode::map();  // without the choice that changes no number
    for (const auto& [key, value] : recipe_.source.at(stage).members())
      if (key != "checkpointing") section.set(key, value);
    c.settings.set(stage, section);
    if (const ConfigNode* rule = recipe_.source.find("statistics");
        rule != nullptr && std::string_view(stage) == "dit")
      c.settings.set("statistics", *rule);
    c.on_progress = run_.on_progress;
    c.should_stop = run_.should_stop;
    return c;
  }

  /// Tells pretrained encoders apart, whatever their paths.
  std::string encoder_checksum() const {
    const TensorSource weights =
        detail::open_pretrained(recipe_.pretrained_encoder).tensors.tensors;
    std::string all;
    for (const std::string& name : weights.names())
      all += concat(name, " ", weights.sampled_checksum(name), "\n");
    return std::to_string(detail::crc32_of(as_byte_span(all)));
  }

  void save() {
    // The weights of a pretrained encoder are kept exactly.
    bundle_.save(model_path_, run_.stored_as.value_or(
                                  recipe_.pretrained_encoder.empty() ? DType::bf16 : DType::f32));
    bundle_ = Bundle::load(
        model_path_);  // the next stage reads the rounded weights, as a resumed run does
    say("wrote " + model_path_);
  }

  void say(const std::string& event) const {
    if (run_.on_event) run_.on_event(event);
  }

  static void make_folder(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) raise<FileError>(path, ": cannot be made: ", error.message());
  }

  static constexpr index_t kStatisticsBatch = 256;

  const Recipe& recipe_;
  const RecipeRun& run_;
  std::string model_path_;
  OwnedPointer<const ImageDataset> data_;
  Bundle bundle_;
};

}  // namespace

void run_recipe(const Recipe& recipe, const RecipeRun& run) {
  RecipeRunner runner(recipe, run);
  if (!run.stages.empty()) {
    for (const TrainingStage stage : run.stages) runner(stage);
    return;
  }
  for (const TrainingStage stage :
       {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::statistics})
    runner(stage);
  if (recipe.model.dit) runner(TrainingStage::dit);
}

}  // namespace rae
