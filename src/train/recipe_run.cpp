// The stages of a recipe in order; each uses the results of the others in model.safetensors.
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include "rae/core/owner.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/generate/generator.hpp"
#include "rae/train/recipe_check.hpp"
#include "train/data_split.hpp"
#include "train/dataset_statistics.hpp"
#include "train/initial_model.hpp"
#include "train/latent_file.hpp"
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
      : recipe_(recipe), run_(run), stages_(detail::stages_of(recipe, run)), ranks_(run.ranks) {
    check();
    ranks_.on_root([&] {
      say(checked_.data.survey.summary());
      for (const auto& [path, reason] : checked_.data.survey.broken)
        say(concat("skipped ", path, ": ", reason));
      for (const std::string& note : checked_.data.survey.notes) say("note: " + note);
      if (checked_.data.survey.test == 0) say("held-out pictures: " + split_.description);
      initial_ = detail::open_initial_model(recipe, run, class_names_);
      state_.emplace(recipe, run, stages_, split_.manifest, class_names_,
                     initial_ ? &*initial_ : nullptr);
      watch_.emplace(recipe, run, state_->folder(), split_, checked_.data.survey);
      choose_latent_file();
      watch_->update_report();
    });
  }

  void operator()() {
    for (const TrainingStage stage : stages_) {
      // A callback may stop the run, and an error of rank 0 is that of all.
      ranks_.on_root([&] {
        say(concat("stage ", name_of(stage)));
        state_->check_from(stage);
      });
      switch (stage) {
        case TrainingStage::encoder: encoder(); break;
        case TrainingStage::decoder: decoder(); break;
        case TrainingStage::statistics: statistics(); break;
        case TrainingStage::dit: dit(); break;
      }
      ranks_.on_root([&] { watch_->update_report(); });
    }
  }

 private:
  /// Finds on every rank what can be found before the first stage.
  void check() {
    const auto work = [&] {
      for (const TrainingStage stage : stages_)
        if (detail::is_trained(recipe_, stage))
          ranks_.require_shareable(training_of(recipe_, stage), name_of(stage));
      checked_ = check_recipe(recipe_, run_);
      split_ = detail::split_data(recipe_, run_, checked_.data);
      data_ = split_.training;
      class_names_ = class_names_for(recipe_, *data_);
    };
    if (!ranks_.several()) return work();
    Communicator& communicator = *ranks_.communicator;
    communicator.agree(work);
    ranks_.require_same_kernels();
    std::string found = checked_.data.survey.summary(), of_root = found;
    for (const std::string& name : class_names_) found += "\n" + name;
    of_root = found;
    communicator.broadcast(of_root);
    communicator.agree([&] {
      if (found != of_root)
        raise<ConfigError>(run_.data, ": this rank finds other pictures than rank 0: ",
                           checked_.data.survey.summary());
    });
  }

  /// Decides before the first stage whether the disk has room for the latents.
  void choose_latent_file() {
    const auto needs = [](TrainingStage stage) {
      return stage == TrainingStage::statistics || stage == TrainingStage::dit;
    };
    if (std::none_of(stages_.begin(), stages_.end(), needs)) return;
    const detail::LatentFileChoice choice =
        detail::choose_latent_file(recipe_, *data_, ranks_, state_->folder().latents());
    latents_in_file_ = choice.used;
    if (!choice.note.empty()) say(choice.note);
  }

  /// Where the latents of the bundle's encoder are kept; with several ranks in memory.
  [[nodiscard]] KeptLatents kept_latents() const {
    KeptLatents out{.stored_as = recipe_.latents.stored_as,
                    .mirrored = recipe_.flow.augmentation.flip};
    if (!latents_in_file_) return out;
    out.file = state_->folder().latents();
    out.identity = state_->latents_identity();
    return out;
  }

  static const TrainingOptions& training_of(const Recipe& recipe, TrainingStage stage) {
    switch (stage) {
      case TrainingStage::encoder: return recipe.encoder_training;
      case TrainingStage::decoder: return recipe.decoder_training;
      default: return recipe.dit_training;
    }
  }

  void encoder() {
    const bool trained = detail::is_trained(recipe_, TrainingStage::encoder);
    OwnedPointer<EncoderNetwork<Tensor<float>>> network;
    if (trained) network = stage_0();
    ranks_.on_root([&] {
      if (!trained) {
        network = given_encoder();
        watch_->measure_encoder(0, autoencoder(network, {}, {}));
      }
      state_->bundle().finish(TrainingStage::encoder, *network);
      state_->finish(TrainingStage::encoder);
    });
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
    const OwnedPointer<EncoderNetwork<Tensor<float>>> encoder = trained_encoder();
    const auto on_average = [&](index_t step, Decoder<Tensor<float>>& average) {
      watch_->draw_reconstructions(
          step,
          autoencoder(encoder, OwnedPointer<const Decoder<Tensor<float>>>::make(average), {}));
      if (step < recipe_.decoder_training.steps)
        state_->bundle().publish(TrainingStage::decoder, average);
    };
    Decoder<Tensor<float>> model = train_decoder(
        data_, *encoder, recipe_.model.pixels, *recipe_.model.decoder, recipe_.decoder_loss,
        recipe_.decoder_training, std::move(context), on_average);
    ranks_.on_root([&] {
      state_->bundle().finish(TrainingStage::decoder, model);
      state_->finish(TrainingStage::decoder);
    });
  }

  void statistics() {
    bool due = false;
    ranks_.on_root([&] { due = state_->begin_statistics(); });
    if (ranks_.several()) ranks_.communicator->broadcast(std::span(&due, 1));
    if (due) {
      const Rae<float> autoencoder = encoding(trained_encoder(), {});
      auto reported = std::chrono::steady_clock::now();
      const auto on_batch = [&](index_t done, index_t total) {
        if (const auto now = std::chrono::steady_clock::now();
            now - reported >= std::chrono::seconds(30)) {
          say(concat("statistics: ", done, " of ", total, " pictures"));
          reported = now;
        }
        return !run_.should_stop || !run_.should_stop();
      };
      const LatentNorm<float> norm = detail::dataset_statistics(
          data_, autoencoder, recipe_.statistics, on_batch, ranks_.communicator, kept_latents());
      ranks_.on_root([&] { state_->bundle().finish(norm); });
    }
    ranks_.on_root([&] { state_->finish(TrainingStage::statistics); });
  }

  void dit() {
    if (!recipe_.model.dit)
      raise<ConfigError>("the recipe has no dit, which the stage dit would train");
    TrainingContext context = begin(TrainingStage::dit);
    if (recipe_.automatic_time_shift) {
      const Shape z = recipe_.model.latent_shape();  // (C, h, w)
      ranks_.on_root([&] {
        say(concat("time shift ", recipe_.flow.time_shift, ", chosen for latents of ", z.numel(),
                   " numbers (", z[0], " x ", z[1], " x ", z[2], ")"));
      });
    }
    const auto on_average = [&](index_t step, BackboneNetwork<Tensor<float>>& average) {
      detail::RunBundle& bundle = state_->bundle();
      if (step < recipe_.dit_training.steps)
        bundle.publish(TrainingStage::dit, average);
      else
        bundle.set(TrainingStage::dit, average);
      keep_in_history(step);
      draw_samples(step);
    };
    FlowOptions flow = recipe_.flow;
    flow.latents = kept_latents();
    const auto model =
        train_flow(data_, encoding(trained_encoder(), latent_norm()), *recipe_.model.dit, flow,
                   recipe_.dit_training, std::move(context), on_average);
    ranks_.on_root([&] {
      state_->bundle().finish(TrainingStage::dit, *model);
      state_->finish(TrainingStage::dit);
      std::error_code none;
      if (recipe_.latents.file != LatentFile::always) fs::remove(state_->folder().latents(), none);
    });
  }

  /// Keeps the bundle of this checkpoint if it is one of those that the recipe wants.
  void keep_in_history(index_t step) const {
    const index_t every = recipe_.keep_every;
    if (every == 0 || (step % every != 0 && step != recipe_.dit_training.steps)) return;
    const std::string path = state_->folder().history(step);
    if (state_->folder().is_written(path, TrainingStage::dit)) return;
    state_->bundle().save_copy(path);
    say("wrote " + path);
  }

  /// Draws pictures with the averaged weights in the bundle, unless those of this checkpoint exist.
  /// Not in a run that is about to stop: the one that continues it draws them.
  void draw_samples(index_t step) const {
    if (run_.samples < 1 || (run_.should_stop && run_.should_stop())) return;
    const std::string path = state_->folder().samples(step);
    if (state_->folder().is_written(path, TrainingStage::dit)) return;
    Generator generator(state_->bundle().bundle(), {.dtype = recipe_.flow.quantize});
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
    TrainingContext context;
    ranks_.on_root([&] {
      context = state_->begin(stage, prefix);
      watch_->attach(stage, context);
    });
    context.ranks = ranks_;
    if (ranks_.is_root()) return context;
    context.stage = name_of(stage);
    context.folder = (fs::path(run_.out) / std::string(name_of(stage))).string();
    context.should_stop = run_.should_stop;
    return context;
  }

  /// The encoder of the bundle, not packed.
  [[nodiscard]] OwnedPointer<EncoderNetwork<Tensor<float>>> stored_encoder() const {
    auto encoder = recipe_.model.encoder.make();
    state_->bundle().bundle().restore("encoder.", *encoder);
    return encoder;
  }

  /// The same on every rank.
  [[nodiscard]] OwnedPointer<EncoderNetwork<Tensor<float>>> trained_encoder() const {
    OwnedPointer<EncoderNetwork<Tensor<float>>> encoder;
    ranks_.on_root([&] { encoder = stored_encoder(); });
    if (!ranks_.several()) return encoder;
    if (!ranks_.is_root()) encoder = recipe_.model.encoder.make();
    encoder->parameters([&](const std::string&, Parameter<Tensor<float>>& p) { share(p.value); });
    return encoder;
  }

  /// The statistics of the bundle, on every rank.
  [[nodiscard]] LatentNorm<float> latent_norm() const {
    LatentNorm<float> norm;
    ranks_.on_root([&] { norm = state_->bundle().bundle().latent_norm(); });
    share(norm.mean);
    share(norm.var);
    if (ranks_.several()) ranks_.communicator->broadcast(std::span(&norm.eps, 1));
    return norm;
  }

  /// Gives the tensor of rank 0, which may be empty, to all ranks.
  void share(Tensor<float>& tensor) const {
    if (!ranks_.several()) return;
    std::array<index_t, kMaxRank + 1> shape{};  // number of dimensions, -1: empty; then extents
    shape[0] = tensor.empty() ? -1 : tensor.rank();
    for (int i = 0; i < shape[0]; ++i) shape[static_cast<std::size_t>(i) + 1] = tensor.extent(i);
    ranks_.communicator->broadcast(std::as_writable_bytes(std::span(shape)));
    if (shape[0] < 0) {
      tensor = {};
      return;
    }
    if (!ranks_.is_root())
      tensor = Tensor<float>(
          Shape(std::span<const index_t>(shape).subspan(1, static_cast<std::size_t>(shape[0]))));
    ranks_.communicator->broadcast(std::as_writable_bytes(tensor.span()));
  }

  /// The autoencoder without its decoder; latents are normalised by `norm`.
  [[nodiscard]] Rae<float> encoding(OwnedPointer<EncoderNetwork<Tensor<float>>> encoder,
                                    LatentNorm<float> norm) const {
    pack_parameters(*encoder);
    return autoencoder(encoder, {}, std::move(norm));
  }

  /// The autoencoder of these networks, of which the decoder may be null.
  [[nodiscard]] Rae<float> autoencoder(const OwnedPointer<EncoderNetwork<Tensor<float>>>& encoder,
                                       const OwnedPointer<const Decoder<Tensor<float>>>& decoder,
                                       LatentNorm<float> norm) const {
    const ModelConfig& config = recipe_.model;
    const Shape input = config.encoder_size > 0 ? config.encoder_input_shape() : Shape{0, 0, 0};
    return {encoder,
            decoder,
            {input[1], input[2], config.pixels, std::move(norm), config.decoder_output}};
  }

  void say(const std::string& event) const {
    if (ranks_.is_root() && run_.on_event) run_.on_event(event);
  }

  const Recipe& recipe_;
  const RecipeRun& run_;
  std::vector<TrainingStage> stages_;
  RankSharing ranks_;
  CheckedRecipe checked_;
  detail::DataSplit split_;
  OwnedPointer<const ImageDataset> data_;
  std::vector<std::string> class_names_;
  std::optional<detail::InitialModel> initial_;
  bool latents_in_file_ = false;
  // Only on rank 0.
  mutable std::optional<detail::RunState> state_;
  mutable std::optional<detail::RunWatch> watch_;
};

}  // namespace

void run_recipe(const Recipe& recipe, const RecipeRun& run) { RecipeRunner(recipe, run)(); }

}  // namespace rae
