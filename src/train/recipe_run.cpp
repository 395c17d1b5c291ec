// The stages of a recipe in order; each uses the results of the others in model.safetensors.
#include <algorithm>
#include <chrono>
#include <filesystem>

#include "rae/core/owner.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/generate/generator.hpp"
#include "rae/train/recipe_check.hpp"
#include "train/data_split.hpp"
#include "train/dataset_statistics.hpp"
#include "train/initial_model.hpp"
#include "train/pretrained_encoder.hpp"
#include "train/run_state.hpp"
#include "train/run_watch.hpp"
#include "train/shown_classes.hpp"
#include "train/stages.hpp"

namespace rae {

namespace {

namespace fs = std::filesystem;

constexpr index_t kMostOfAClass = 16;  // columns of a grid of samples

/// The state that the stages of a recipe share.
class RecipeRunner {
 public:
  RecipeRunner(const Recipe& recipe, const RecipeRun& run)
      : recipe_(recipe),
        run_(run),
        stages_(detail::stages_of(recipe, run)),
        checked_(check_recipe(recipe, run)),
        split_(detail::split_data(recipe, run, checked_.data)),
        data_(split_.training),
        class_names_(class_names_for(recipe, *data_)),
        initial_(detail::open_initial_model(recipe, run, class_names_)) {
    say(checked_.data.survey.summary());
    for (const auto& [path, reason] : checked_.data.survey.broken)
      say(concat("skipped ", path, ": ", reason));
    for (const std::string& note : checked_.data.survey.notes) say("note: " + note);
    if (checked_.data.survey.test == 0) say("held-out pictures: " + split_.description);
    state_.emplace(recipe, run, stages_, split_.manifest, class_names_,
                   initial_ ? &*initial_ : nullptr);
    watch_.emplace(recipe, run, state_->folder(), split_, checked_.data.survey);
  }

  void operator()() {
    watch_->update_report();
    for (const TrainingStage stage : stages_) {
      say(concat("stage ", name_of(stage)));
      state_->check_from(stage);
      switch (stage) {
        case TrainingStage::encoder: encoder(); break;
        case TrainingStage::decoder: decoder(); break;
        case TrainingStage::statistics: statistics(); break;
        case TrainingStage::dit: dit(); break;
      }
      watch_->update_report();
    }
  }

 private:
  void encoder() {
    const OwnedPointer<EncoderNetwork<Tensor<float>>> network =
        detail::is_trained(recipe_, TrainingStage::encoder) ? stage_0() : given_encoder();
    if (!detail::is_trained(recipe_, TrainingStage::encoder))
      watch_->measure_encoder(0, autoencoder(network, {}, {}));
    state_->bundle().finish(TrainingStage::encoder, *network);
    state_->finish(TrainingStage::encoder);
  }

  /// Stage 0.
  OwnedPointer<EncoderNetwork<Tensor<float>>> stage_0() {
    const auto on_average = [&](index_t step, Encoder<Tensor<float>>& average) {
      watch_->measure_encoder(
          step, autoencoder(encoder_network(Encoder<Tensor<float>>(average)), {}, {}));
      if (step < recipe_.encoder_training.steps)
        state_->bundle().publish(TrainingStage::encoder, average);
    };
    return encoder_network(train_encoder(data_, recipe_.model.encoder.get<EncoderConfig>(),
                                         recipe_.model.pixels, recipe_.pretraining,
                                         recipe_.encoder_training,
                                         begin(TrainingStage::encoder, "encoder."), on_average));
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
    TrainingContext context = begin(TrainingStage::decoder);
    detail::RunBundle& bundle = state_->bundle();
    const OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = trained_encoder();
    const auto on_average = [&](index_t step, Decoder<Tensor<float>>& average) {
      watch_->draw_reconstructions(
          step,
          autoencoder(encoder, OwnedPointer<const Decoder<Tensor<float>>>::make(average), {}));
      if (step < recipe_.decoder_training.steps) bundle.publish(TrainingStage::decoder, average);
    };
    Decoder<Tensor<float>> model = train_decoder(
        data_, *encoder, recipe_.model.pixels, *recipe_.model.decoder, recipe_.decoder_loss,
        recipe_.decoder_training, std::move(context), on_average);
    bundle.finish(TrainingStage::decoder, model);
    state_->finish(TrainingStage::decoder);
  }

  void statistics() {
    if (state_->begin_statistics()) {
      const Rae<float> autoencoder = encoding({});
      auto reported = std::chrono::steady_clock::now();
      const auto on_batch = [&](index_t done, index_t total) {
        if (const auto now = std::chrono::steady_clock::now();
            now - reported >= std::chrono::seconds(30)) {
          say(concat("statistics: ", done, " of ", total, " pictures"));
          reported = now;
        }
        return !run_.should_stop || !run_.should_stop();
      };
      state_->bundle().finish(
          detail::dataset_statistics(data_, autoencoder, recipe_.statistics, on_batch));
    }
    state_->finish(TrainingStage::statistics);
  }

  void dit() {
    if (!recipe_.model.dit)
      raise<ConfigError>("the recipe has no dit, which the stage dit would train");
    TrainingContext context = begin(TrainingStage::dit);
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
    if (state_->folder().is_drawn(path, TrainingStage::dit)) return;
    Generator generator(state_->bundle().bundle());
    const index_t classes = recipe_.model.dit->num_classes();
    index_t rows = std::min(detail::shown_rows(classes), run_.samples),
            columns = std::min(run_.samples / rows, kMostOfAClass);
    const Shape picture = recipe_.model.image_shape();  // (channels, H, W)
    const auto fits = [&] {
      return Image::grid_fits(rows * columns, columns, picture[2], picture[1]);
    };
    while (columns > 1 && !fits()) --columns;
    while (rows > 1 && !fits()) --rows;
    GenerateOptions options;
    std::string names;
    for (index_t row = 0; row < rows; ++row) {
      const index_t label = detail::shown_class(row, rows, classes);
      options.labels.insert(options.labels.end(), static_cast<std::size_t>(columns), label);
      names += concat(row == 0 ? "" : "\n", name_of_class(label));
    }
    const std::vector<Image> pictures = generator.sample(options);
    const Image grid = Image::grid(pictures, columns);
    grid.save_png(path, {{"rows", names}});
    watch_->add_picture(TrainingStage::dit, "samples", step, grid);
    const std::string note = detail::shown_note(rows, classes);
    say(concat("wrote ", path, note.empty() ? "" : concat(" (", note, ")")));
  }

  /// The name of a class, or its number where the model has no names.
  [[nodiscard]] std::string name_of_class(index_t label) const {
    const std::vector<std::string>& names = state_->bundle().bundle().config.class_names;
    const auto i = static_cast<std::size_t>(label);
    return i < names.size() ? names[i] : std::to_string(label);
  }

  [[nodiscard]] TrainingContext begin(TrainingStage stage, const std::string& prefix = "") {
    TrainingContext context = state_->begin(stage, prefix);
    watch_->attach(stage, context);
    return context;
  }

  /// The encoder of the bundle, not packed.
  [[nodiscard]] OwnedPointer<EncoderNetwork<Tensor<float>>> trained_encoder() const {
    auto encoder = recipe_.model.encoder.make();
    state_->bundle().bundle().restore("encoder.", *encoder);
    return encoder;
  }

  /// The autoencoder of the bundle without its decoder; latents are normalised by `norm`.
  [[nodiscard]] Rae<float> encoding(LatentNorm<float> norm) const {
    OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = trained_encoder();
    pack_parameters(*encoder);
    return autoencoder(encoder, {}, std::move(norm));
  }

  /// The autoencoder of these networks, of which the decoder may be null.
  [[nodiscard]] Rae<float> autoencoder(const OwnedPointer<EncoderNetwork<Tensor<float>>>& encoder,
                                       const OwnedPointer<const Decoder<Tensor<float>>>& decoder,
                                       LatentNorm<float> norm) const {
    const ModelConfig& config = recipe_.model;
    const Shape input = config.encoder_size > 0 ? config.encoder_input_shape() : Shape{0, 0, 0};
    return {encoder, decoder, {input[1], input[2], config.pixels, std::move(norm)}};
  }

  void say(const std::string& event) const {
    if (run_.on_event) run_.on_event(event);
  }

  const Recipe& recipe_;
  const RecipeRun& run_;
  std::vector<TrainingStage> stages_;
  CheckedRecipe checked_;
  detail::DataSplit split_;
  OwnedPointer<const ImageDataset> data_;
  std::vector<std::string> class_names_;
  std::optional<detail::InitialModel> initial_;
  mutable std::optional<detail::RunState> state_;
  mutable std::optional<detail::RunWatch> watch_;
};

}  // namespace

void run_recipe(const Recipe& recipe, const RecipeRun& run) { RecipeRunner(recipe, run)(); }

}  // namespace rae
