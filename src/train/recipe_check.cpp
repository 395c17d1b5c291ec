#include "rae/train/recipe_check.hpp"

#include <algorithm>

#include "core/process_limits.hpp"
#include "formats/bundle_layout.hpp"
#include "io/escaped_name.hpp"
#include "io/utf8.hpp"
#include "rae/formats/loss_networks.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/spec/network_role.hpp"
#include "spec/model_size.hpp"
#include "train/initial_model.hpp"

namespace rae {
namespace {

bool runs(const RecipeRun& run, TrainingStage stage) {
  return run.stages.empty() ||
         std::find(run.stages.begin(), run.stages.end(), stage) != run.stages.end();
}

/// A diffusion network without classes has a single one, the label of every picture.
bool without_classes(const Recipe& recipe) {
  return recipe.model.dit && recipe.model.dit->num_classes() == 1;
}

/// The classes of stage 2 must be those of the data set, or none.
void require_classes(const Recipe& recipe, const DataSurvey& survey) {
  const auto classes = static_cast<index_t>(survey.classes.size());
  if (!recipe.model.dit || without_classes(recipe) || recipe.model.dit->num_classes() == classes)
    return;
  std::string names;
  constexpr std::size_t kNamed = 8;
  for (std::size_t k = 0; k < std::min(kNamed, survey.classes.size()); ++k)
    names += concat(k == 0 ? "" : ", ", detail::escaped_name(survey.classes[k].first));
  if (survey.classes.size() > kNamed) names += ", ...";
  raise<ConfigError>(recipe.source.at("model").where(), ".", recipe.model.dit->name(),
                     ".num_classes: expected ", classes, ", the classes of the data set (", names,
                     "), or 1 for a model without classes, got ", recipe.model.dit->num_classes(),
                     "; without num_classes the data set decides");
}

/// Text that a bundle can store.
void require_storable(std::string_view what, const std::string& text) {
  if (!detail::is_utf8(text) || text.find('\0') != std::string::npos)
    raise<ConfigError>(what, " '", detail::escaped_name(text),
                       "' cannot be stored in a model: expected UTF-8 without NUL characters");
}

void require_storable_names(const Recipe& recipe, const std::vector<std::string>& class_names) {
  require_storable("the model's name", recipe.model.name);
  for (const auto& [key, value] : recipe.notes) {
    require_storable("the note", key);
    require_storable(concat("the note ", key, ":"), value);
  }
  try {
    detail::require_free_notes("recipe", recipe.notes);
  } catch (const ArgumentError& error) {
    raise<ConfigError>(error.what());
  }
  for (const std::string& name : class_names) require_storable("the class name", name);
  // The names must also be read again.
  ModelConfig stored = recipe.model;
  stored.class_names = class_names;
  (void)parse_model_config(to_config(stored));
}

/// Files that cannot be the networks of the decoder's losses are refused before the first stage.
void require_loss_networks(const Recipe& recipe) {
  const DecoderLossOptions& loss = recipe.decoder_loss;
  if ((loss.lpips || loss.gan) && recipe.model.decoder->channels != 3)
    raise<ConfigError>(recipe.source.at("decoder").where(),
                       ": LPIPS and the discriminator judge pictures of 3 channels, the decoder "
                       "makes ",
                       recipe.model.decoder->channels);
  if (loss.lpips) (void)open_lpips(loss.lpips->weights);
  if (loss.gan) (void)open_discriminator(*loss.gan);
}

/// A stack of transformer blocks of a network.
struct Blocks {
  index_t tokens = 0, layers = 0, width = 0, hidden = 0;  // hidden: of the feed-forward layers

  /// Bytes that the backward pass needs of one sample: the inputs of attention, its queries, keys
  /// and values, its result, the input and the activation of the feed-forward layer. With
  /// checkpointing: the input of each block.
  [[nodiscard]] std::uint64_t activations(bool checkpointing) const {
    const auto kept = checkpointing ? width : 6 * width + hidden;
    return 4 * static_cast<std::uint64_t>(tokens * layers) * static_cast<std::uint64_t>(kept);
  }
};

std::uint64_t elements_of(const ModelConfig& model, NetworkRole role) {
  return static_cast<std::uint64_t>(parameter_count(outline_of(model, role).parameters));
}

StageMemory memory_of(TrainingStage stage, const ModelConfig& model, NetworkRole role,
                      const std::vector<Blocks>& blocks, const TrainingOptions& training,
                      bool checkpointing = false) {
  StageMemory out{stage};
  // Weights, gradients, two moments (AdamW) and the averages, of 4 bytes each.
  out.weights = (5 + training.further_ema_decays.size()) * 4 * elements_of(model, role);
  if (role != NetworkRole::encoder) out.weights += 4 * elements_of(model, NetworkRole::encoder);
  for (const Blocks& each : blocks) {
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(
            each.activations(checkpointing),
            static_cast<std::uint64_t>(training.batch_size / training.accumulate), &bytes) ||
        __builtin_add_overflow(out.activations, bytes, &out.activations))
      out.activations = std::uint64_t{1} << 62;  // more than any memory
  }
  return out;
}

index_t hidden_of(index_t width, double mlp_ratio) {
  return static_cast<index_t>(static_cast<double>(width) * mlp_ratio * 2 / 3);  // SwiGLU's
}

std::vector<Blocks> blocks_of(const Backbone& dit) {
  if (const auto* c = dit.get_if<DitDhConfig>()) {
    std::vector<Blocks> out;
    for (std::size_t i = 0; i < 2; ++i)
      out.push_back({c->grid_h * c->grid_w, c->depth[i], c->hidden_size[i],
                     hidden_of(c->hidden_size[i], c->mlp_ratio)});
    return out;
  }
  if (const auto* c = dit.get_if<TokenDitDhConfig>()) {
    const index_t patches = c->rows() * c->columns();
    return {{patches + c->time_tokens + c->class_tokens, c->depth, c->hidden_size,
             hidden_of(c->hidden_size, c->mlp_ratio)},
            {patches, c->head_depth, c->head_hidden_size,
             hidden_of(c->head_hidden_size, c->mlp_ratio)}};
  }
  if (const auto* c = dit.get_if<TokenDitConfig>())
    return {{c->rows() * c->columns() + c->time_tokens + c->class_tokens, c->depth, c->hidden_size,
             hidden_of(c->hidden_size, c->mlp_ratio)}};
  if (const auto* c = dit.get_if<LightningDitConfig>())
    return {{(c->input_h / c->patch_size) * (c->input_w / c->patch_size), c->depth, c->hidden_size,
             hidden_of(c->hidden_size, c->mlp_ratio)}};
  return {};
}

void require_memory(const std::vector<StageMemory>& stages, const RecipeRun& run,
                    std::uint64_t available) {
  if (available == 0) available = detail::available_memory();
  if (available == 0) return;  // unknown
  for (const StageMemory& stage : stages)
    if (runs(run, stage.stage) && stage.weights + stage.activations > available)
      raise<MemoryError>(
          "the stage ", name_of(stage.stage), " needs at least ",
          detail::in_gigabytes(stage.weights + stage.activations), " of memory (",
          detail::in_gigabytes(stage.weights), " for weights and optimiser, ",
          detail::in_gigabytes(stage.activations), " for activations), but only ",
          detail::in_gigabytes(available), " are available; ",
          stage.weights > available
              ? concat("model.",
                       stage.stage == TrainingStage::dit ? "dit or lightning_dit"
                                                         : name_of(stage.stage),
                       " must be smaller")
              : concat("a larger ", name_of(stage.stage), ".train.accumulate needs less"));
}

}  // namespace

std::vector<std::string> class_names_for(const Recipe& recipe, const ImageDataset& data) {
  if (without_classes(recipe) && data.class_names().size() != 1) return {};
  return data.class_names();
}

std::vector<StageMemory> memory_of_stages(const Recipe& recipe) {
  std::vector<StageMemory> out;
  const ModelConfig& model = recipe.model;
  if (const auto* c = model.encoder.get_if<EncoderConfig>();
      c != nullptr && recipe.pretrained_encoder.empty()) {
    const Shape latent = model.latent_shape();  // (C, h, w)
    out.push_back(
        memory_of(TrainingStage::encoder, model, NetworkRole::encoder,
                  {{latent[1] * latent[2], c->num_layers, c->hidden_size, c->intermediate_size}},
                  recipe.encoder_training));
  }
  if (const auto& c = model.decoder)
    out.push_back(
        memory_of(TrainingStage::decoder, model, NetworkRole::decoder,
                  {{c->grid_h * c->grid_w, c->num_layers, c->hidden_size, c->intermediate_size}},
                  recipe.decoder_training));
  if (model.dit)
    out.push_back(memory_of(TrainingStage::dit, model, NetworkRole::dit, blocks_of(*model.dit),
                            recipe.dit_training, recipe.flow.checkpointing));
  return out;
}

CheckedRecipe check_recipe(const Recipe& recipe, const RecipeRun& run,
                           std::uint64_t available_memory) {
  CheckedRecipe out;
  out.memory = memory_of_stages(recipe);
  require_memory(out.memory, run, available_memory);
  require_storable_names(recipe, {});
  if (runs(run, TrainingStage::decoder)) require_loss_networks(recipe);
  out.data = survey_dataset(run.data, Split::train, recipe.data,
                            run.check_data ? SurveyDepth::pixels : SurveyDepth::headers,
                            [&](index_t done, index_t total) {
                              return (!run.on_check || run.on_check(done, total)) &&
                                     (!run.should_stop || !run.should_stop());
                            });
  if (!run.skip_broken || !out.data.data) out.data.survey.require_unbroken();
  require_classes(recipe, out.data.survey);
  const std::vector<std::string> names = class_names_for(recipe, *out.data.data);
  require_storable_names(recipe, names);
  (void)detail::open_initial_model(recipe, run, names);
  return out;
}

}  // namespace rae
