// The stages of a recipe in order; each uses the results of the others in model.safetensors.
#include <algorithm>
#include <filesystem>

#include "rae/core/owner.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/generate/generator.hpp"
#include "rae/train/recipe_check.hpp"
#include "train/dataset_statistics.hpp"
#include "train/initial_model.hpp"
#include "train/pretrained_encoder.hpp"
#include "train/run_state.hpp"
#include "train/stages.hpp"

namespace rae {

namespace {

namespace fs = std::filesystem;

/// The state that the stages of a recipe share.
class RecipeRunner {
 public:
  RecipeRunner(const Recipe& recipe, const RecipeRun& run)
      : recipe_(recipe),
        run_(run),
        stages_(detail::stages_of(recipe, run)),
        checked_(check_recipe(recipe, run)),
        data_(checked_.data.data),
        class_names_(class_names_for(recipe, *data_)),
        initial_(detail::open_initial_model(recipe, run, class_names_)) {
    say(checked_.data.survey.summary());
    for (const auto& [path, reason] : checked_.data.survey.broken)
      say(concat("skipped ", path, ": ", reason));
    for (const std::string& note : checked_.data.survey.notes) say("note: " + note);
    state_.emplace(recipe, run, stages_, data_->manifest(), class_names_,
                   initial_ ? &*initial_ : nullptr);
  }

  void operator()() {
    for (const TrainingStage stage : stages_) {
      say(concat("stage ", name_of(stage)));
      state_->check_from(stage);
      switch (stage) {
        case TrainingStage::encoder: encoder(); break;
        case TrainingStage::decoder: decoder(); break;
        case TrainingStage::statistics: statistics(); break;
        case TrainingStage::dit: dit(); break;
      }
    }
  }

 private:
  void encoder() {
    const OwnedPointer<EncoderNetwork<Tensor<float>>> network =
        detail::is_trained(recipe_, TrainingStage::encoder) ? stage_0() : given_encoder();
    state_->bundle().finish(TrainingStage::encoder, *network);
    state_->finish(TrainingStage::encoder);
  }

  /// Stage 0.
  OwnedPointer<EncoderNetwork<Tensor<float>>> stage_0() {
    const auto on_average = [&](index_t step, Encoder<Tensor<float>>& average) {
      if (step < recipe_.encoder_training.steps)
        state_->bundle().publish(TrainingStage::encoder, average);
    };
    return encoder_network(
        train_encoder(data_, recipe_.model.encoder.get<EncoderConfig>(), recipe_.model.pixels,
                      recipe_.pretraining, recipe_.encoder_training,
                      state_->begin(TrainingStage::encoder, "encoder."), on_average));
  }

  /// An encoder from a file, or one without weights. A later run reads it again, which costs
  /// little.
  OwnedPointer<EncoderNetwork<Tensor<float>>> given_encoder() {
    state_->begin_untrained_encoder();
    OwnedPointer<EncoderNetwork<Tensor<float>>> network = recipe_.model.encoder.make();
    if (!recipe_.pretrained_encoder.empty())
      fill_weights(*network, detail::open_pretrained(recipe_.pretrained_encoder).tensors,
                   "encoder");
    return network;
  }

  void decoder() {
    TrainingContext context = state_->begin(TrainingStage::decoder);
    detail::RunBundle& bundle = state_->bundle();
    const auto on_average = [&](index_t step, Decoder<Tensor<float>>& average) {
      if (step < recipe_.decoder_training.steps) bundle.publish(TrainingStage::decoder, average);
    };
    Decoder<Tensor<float>> model = train_decoder(
        data_, *trained_encoder(), recipe_.model.pixels, *recipe_.model.decoder,
        recipe_.decoder_loss, recipe_.decoder_training, std::move(context), on_average);
    bundle.finish(TrainingStage::decoder, model);
    state_->finish(TrainingStage::decoder);
  }

  void statistics() {
    if (state_->begin_statistics()) {
      const Rae<float> autoencoder = encoding({});
      state_->bundle().finish(
          detail::dataset_statistics(data_, autoencoder, recipe_.statistics, run_.should_stop));
    }
    state_->finish(TrainingStage::statistics);
  }

  void dit() {
    if (!recipe_.model.dit)
      raise<ConfigError>("the recipe has no dit, which the stage dit would train");
    TrainingContext context = state_->begin(TrainingStage::dit);
    if (recipe_.automatic_time_shift) {
      const Shape z = recipe_.model.latent_shape();  // (C, h, w)
      say(concat("time shift ", recipe_.flow.time_shift, ", chosen for latents of ", z.numel(),
                 " numbers (", z[0], " x ", z[1], " x ", z[2], ")"));
    }
    detail::RunBundle& bundle = state_->bundle();
    const auto on_average = [&](index_t step, BackboneNetwork<Tensor<float>>& average) {
      if (step < recipe_.dit_training.steps)
        bundle.publish(TrainingStage::dit, average);
      else
        bundle.set(TrainingStage::dit, average);
      draw_samples(step);
    };
    const auto model =
        train_flow(data_, encoding(bundle.bundle().latent_norm()), *recipe_.model.dit, recipe_.flow,
                   recipe_.dit_training, std::move(context), on_average);
    bundle.finish(TrainingStage::dit, *model);
    state_->finish(TrainingStage::dit);
  }

  /// Draws pictures with the averaged weights in the bundle, unless those of this checkpoint exist.
  void draw_samples(index_t step) const {
    if (run_.samples < 1) return;
    const std::string path = state_->folder().samples(step);
    std::error_code missing;
    const auto drawn = fs::last_write_time(path, missing);
    // Older pictures are those of a training that this one replaces.
    if (!missing &&
        drawn >= fs::last_write_time(state_->folder().checkpoint(TrainingStage::dit), missing))
      return;
    Generator generator(state_->bundle().bundle());
    GenerateOptions options;
    const index_t classes = recipe_.model.dit->num_classes();
    for (index_t i = 0; i < run_.samples; ++i) options.labels.push_back(i % classes);
    const std::vector<Image> pictures = generator.sample(options);
    Image::grid(pictures, std::min(classes, run_.samples)).save_png(path);
    say("wrote " + path);
  }

  /// The encoder of the bundle, not packed.
  [[nodiscard]] OwnedPointer<EncoderNetwork<Tensor<float>>> trained_encoder() const {
    auto encoder = recipe_.model.encoder.make();
    state_->bundle().bundle().restore("encoder.", *encoder);
    return encoder;
  }

  /// The autoencoder of the bundle without its decoder; latents are normalised by `norm`.
  [[nodiscard]] Rae<float> encoding(LatentNorm<float> norm) const {
    const ModelConfig& config = recipe_.model;
    OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = trained_encoder();
    pack_parameters(*encoder);
    const Shape input = config.encoder_size > 0 ? config.encoder_input_shape() : Shape{0, 0, 0};
    return {encoder, {}, {input[1], input[2], config.pixels, std::move(norm)}};
  }

  void say(const std::string& event) const {
    if (run_.on_event) run_.on_event(event);
  }

  const Recipe& recipe_;
  const RecipeRun& run_;
  std::vector<TrainingStage> stages_;
  CheckedRecipe checked_;
  OwnedPointer<const ImageDataset> data_;
  std::vector<std::string> class_names_;
  std::optional<detail::InitialModel> initial_;
  mutable std::optional<detail::RunState> state_;
};

}  // namespace

void run_recipe(const Recipe& recipe, const RecipeRun& run) { RecipeRunner(recipe, run)(); }

}  // namespace rae
