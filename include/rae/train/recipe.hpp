// A recipe: one YAML file that says how all networks of a model are trained, and the function that
// trains them.
//
// Diffusion Transformers with Representation Autoencoders: the frozen encoder (stage 0, where no
// pretrained one is at hand), the decoder (stage 1, section 3), the statistics of the latents, and
// DiT^DH (stage 2, section 4).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/spec/model_config.hpp"
#include "rae/train/decoder_trainer.hpp"
#include "rae/train/encoder_trainer.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae {

/// The stages of a training, in their order.
enum class TrainingStage { encoder, decoder, statistics, dit };

/// Lower-case name.
[[nodiscard]] std::string_view name_of(TrainingStage stage) noexcept;
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] TrainingStage parse_training_stage(std::string_view name);

/// How the latents' mean and variance are taken: of all pictures, exactly, or as the official
/// script does, as averages that move with the batches and so reflect the last of them.
enum class StatisticsRule { exact, official };

/// The stage between decoder and DiT. All but the rule is for the official one.
struct StatisticsOptions {
  StatisticsRule rule = StatisticsRule::exact;  ///< exact or official
  index_t batch_size = 256;  ///< pictures of a batch; the last one is filled up from the next epoch
  double momentum = 0.1;     ///< weight of a batch, in (0, 1]
  std::uint64_t seed = 0;    ///< of the pictures' order
  Augmentation augmentation{};  ///< of the pictures
};

/// Whether stage 2 keeps latents in a file of the output folder: where it can and the disk has
/// twice the room, always, or never, but in memory, as far as it suffices.
enum class LatentFile { automatic, always, never };

/// The latents that stage 2 needs many times: those of all pictures, and of their mirror images.
struct LatentOptions {
  LatentFile file = LatentFile::automatic;  ///< an automatic file is removed after the stage
  DType stored_as = DType::f32;             ///< f32, or bf16, which rounds the latents
};

/// Everything that decides the result of a training.
struct Recipe {
  ModelConfig model;       ///< the result; class names come from the data
  DatasetOptions data;     ///< how pictures are read
  double held_out = 0.05;  ///< share of the pictures, in [0, 0.5], that the training does not see
                           ///< where the data have no test part: of each class at least one, but
                           ///< not more than 2,000 in all
  /// Folder of Hugging Face or bundle whose encoder is taken instead of stage 0; empty: none.
  std::string pretrained_encoder;
  PretrainingOptions pretraining;      ///< stage 0
  TrainingOptions encoder_training;    ///< stage 0
  DecoderLossOptions decoder_loss;     ///< stage 1
  TrainingOptions decoder_training;    ///< stage 1
  StatisticsOptions statistics;        ///< between the stages
  LatentOptions latents;               ///< of the statistics and stage 2
  FlowOptions flow;                    ///< stage 2
  bool automatic_time_shift = false;   ///< the time shift was computed from the latent's dimension
  TrainingOptions dit_training;        ///< stage 2
  index_t keep_every = 0;              ///< steps of stage 2 between the bundles in
                                       ///< `RecipeRun::out`/history; 0: none
  TrainingOptions quantized_training;  ///< fine-tuning of stage 2, see quantized_run.hpp
  std::map<std::string, std::string> notes;  ///< written into the bundle: licence, data, ...
  ConfigNode source;                         ///< as it was read
};

/// Reads a recipe; every key is known or refused. With `encoder.pretrained`, a folder of Hugging
/// Face or a bundle, the model's encoder and the pixels' mean and deviation are taken from there. A
/// registered encoder without weights has no stage 0, and the recipe no member `encoder`. Without
/// `dit` the recipe ends with the statistics. With a stage 2, `model.time_shift` may be `auto` or
/// absent: then it is `automatic_time_shift` of the latents. Throws ConfigError, also for a path,
/// prediction and loss weight that cannot be trained together, FileError, and the errors of
/// `open_encoder_folder`. `classes`, the number of classes of the data, is taken where the recipe's
/// `dit` or `lightning_dit` has no `num_classes`. `dit.keep_every` is Recipe::keep_every, a
/// multiple of `checkpoint_every`. `dit.quantize`, int8w or int4, is FlowOptions::quantize; the
/// section `quantize` has options of the training of stage 2 that differ when a trained network is
/// fine-tuned for narrow weights (quantized_run.hpp).
[[nodiscard]] Recipe parse_recipe(const ConfigNode& node, std::optional<index_t> classes = {});

/// True when a recipe has a `dit` or `lightning_dit` without `num_classes`, so that the data
/// decide.
[[nodiscard]] bool needs_classes_of_data(const ConfigNode& recipe);

/// Trains all stages of a recipe with matrix products of this type, whatever it says itself: f32 or
/// bf16. Throws ConfigError for another.
void set_training_dtype(Recipe& recipe, DType dtype);

/// How a recipe is run.
struct RecipeRun {
  std::string data{};  ///< folder of a data set (see `open_dataset`)
  std::string out{};   ///< folder for model.safetensors, one folder per stage, and samples; made
                       ///< when missing
  std::vector<TrainingStage> stages{};  ///< empty: all that the recipe has, in order
  bool accept_data_change = false;      ///< continue after pictures were removed, added or changed
  std::string init{};  ///< a bundle with whose weights the stages begin; empty: none
  std::string base{};  ///< a bundle whose encoder, decoder and statistics take the place of earlier
                       ///< stages in a folder where the stage dit runs alone; empty: none
  std::optional<DType> stored_as{};  ///< of the weights in model.safetensors; absent: bf16, or f32
                                     ///< beside a pretrained encoder
  bool skip_broken = false;  ///< goes on without pictures that cannot be read; else they are an
                             ///< error before the first stage
  bool check_data = false;   ///< decodes every picture first; else only headers are read
  index_t samples = 80;  ///< pictures in the grids that stage 2 draws at its checkpoints, at most:
                         ///< a row for each of up to 20 classes, up to 16 pictures wide; 0: none
  RankSharing ranks{};   ///< several processes that train together; each needs the data and the
                         ///< files that the recipe names, and only rank 0 uses `out` and the
                         ///< functions below, except `should_stop`
  bool tensorboard = false;  ///< also write event files for TensorBoard into `out`/tensorboard
  std::vector<std::pair<std::string, std::string>>
      machine{};  ///< names and values that the report adds to its table: the processor, ...
  OnTrainingProgress on_progress{};  ///< may be empty
  Function<bool(index_t done, index_t total)>
      on_check{};  ///< while the pictures are looked at before the first stage; false stops. May be
                   ///< empty
  Function<bool()> should_stop{};  ///< asked after every training step, and between batches of
                                   ///< the statistics; may be empty
  Function<void(const std::string&)>
      on_event{};  ///< a stage began or ended, a file was written; may be empty
};

/// Runs the stages. Each continues from its checkpoint in `out`, is skipped when that is complete,
/// and adds its network to `out`/model.safetensors, also at each checkpoint with the averaged
/// weights, so that this file can be used while a stage trains. With `Recipe::keep_every`, the same
/// bundle after that many steps of stage 2, after twice as many, ..., and at the end is kept as
/// `out`/history/step-0010000.safetensors.
///
/// A checkpoint belongs to everything that its result depends on: the stage's part of the model,
/// its section, the data, and the results of earlier stages. When one of those results is another
/// now, the checkpoint is kept under another name and the stage is trained again. `steps` may grow;
/// other changes of the stage's settings, and renamed or reordered classes, are refused by name.
/// Removed, added or changed pictures are refused unless `accept_data_change` is set; then they are
/// recorded in the log of the stage and in the note `data_changes` of the bundle.
///
/// With `init`, each network that the bundle has begins with its weights: rows of the label table
/// are found by the names of the classes, position tables are resized to the grid of the recipe.
///
/// `out`/report.html shows the progress, see run_report.hpp; it is written at each checkpoint, with
/// losses on held-out pictures: the separate test part of the data, or `Recipe::held_out` of them.
///
/// Everything that `check_recipe` finds is refused before the first stage. Throws as
/// `check_recipe`; ConfigError, naming the stage to run first, when a stage needs a network that is
/// missing or belongs to other settings; FileError, naming the process, when another run is
/// training in `out`; else as the trainers.
void run_recipe(const Recipe& recipe, const RecipeRun& run);

}  // namespace rae
