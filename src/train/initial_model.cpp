#include "train/initial_model.hpp"

#include <algorithm>
#include <filesystem>

#include "io/deflate.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/io/file.hpp"
#include "rae/models/decoder.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/tokens.hpp"
#include "train/stages.hpp"

namespace rae::detail {
namespace {

constexpr std::string_view kLabelTable = "y_embedder.embedding_table.weight";

bool is_position_table(std::string_view name) {
  return name == "pos_embed" || name == "decoder_pos_embed";
}

/// Rows and columns.
struct Grid {
  index_t h = 0, w = 0;
};

/// The grid of a network's position table, which has `prefix` rows before those of the patches.
struct PositionGrid {
  Grid grid;
  index_t prefix = 0;
};

std::optional<PositionGrid> position_grid(NetworkRole role, const ModelConfig& model,
                                          index_t rows) {
  if (role == NetworkRole::encoder) {
    const auto* vit = model.encoder.get_if<EncoderConfig>();
    if (vit == nullptr) return std::nullopt;
    return PositionGrid{{vit->table_h, vit->table_w}, vit->has_cls() ? 1 : 0};
  }
  if (role == NetworkRole::decoder && model.decoder)
    return PositionGrid{{model.decoder->grid_h, model.decoder->grid_w}, 1};
  if (role != NetworkRole::dit || !model.dit) return std::nullopt;
  const Shape latent = model.dit->latent_shape();  // (C, h, w)
  // A network may combine p x p positions of the latent into one token.
  for (index_t p = 1; p <= std::min(latent[1], latent[2]); ++p)
    if (latent[1] % p == 0 && latent[2] % p == 0 && latent[1] / p * (latent[2] / p) == rows)
      return PositionGrid{{latent[1] / p, latent[2] / p}, 0};
  return std::nullopt;
}

}  // namespace

InitialModel::InitialModel(const std::string& path, ModelConfig model,
                           std::vector<std::string> class_names)
    : path_(path),
      files_(ModelFiles::open(path)),
      model_(std::move(model)),
      class_names_(std::move(class_names)) {
  if (files_.packed)
    raise<FormatError>(path,
                       ": its weights are packed for the kernels of one machine; use the bundle "
                       "that it was packed from");
}

void InitialModel::require_fit(NetworkRole role) const {
  if (!has(role)) return;
  if (role == NetworkRole::dit && !(files_.config.dit->name() == model_.dit->name()))
    raise<ConfigError>(path_, ": its network of stage 2 is a ", files_.config.dit->title(),
                       ", that of the recipe is a ", model_.dit->title(),
                       "; a training cannot begin with it");
  for (const ParameterShape& parameter : outline_of(model_, role).parameters)
    (void)way(role, parameter.name, parameter.shape);
}

InitialModel::Way InitialModel::way(NetworkRole role, const std::string& name,
                                    const Shape& shape) const {
  const TensorSource& tensors = files_.network(role)->tensors;
  const std::string place = concat(path_, ": ", name_of(role), ".", name);
  if (!tensors.contains(name))
    raise<ConfigError>(place, " is missing, which the network of the recipe has; ",
                       "a training can begin only with a network of the same layers");
  const Shape stored = tensors.info(name).shape;
  if (role == NetworkRole::dit && name == kLabelTable && stored.rank() == 2 && shape.rank() == 2 &&
      stored[1] == shape[1]) {
    if (!files_.config.class_names.empty() || model_.num_classes() == 1) return Way::rows;
    if (stored == shape) return Way::copy;
    raise<ConfigError>(place,
                       ": has classes without names, so that those of the recipe cannot be "
                       "found in it");
  }
  if (stored == shape) return Way::copy;
  const bool tables =
      is_position_table(name) && stored.rank() == 3 && shape.rank() == 3 && stored[2] == shape[2];
  if (tables && position_grid(role, files_.config, stored[1]) &&
      position_grid(role, model_, shape[1]))
    return Way::resize;
  raise<ConfigError>(place, ": expected ", shape, ", as in the recipe, got ", stored,
                     "; only the number of classes and the grid may differ");
}

Tensor<float> InitialModel::value(NetworkRole role, const std::string& name,
                                  const Tensor<float>& drawn) const {
  const TensorGroup& group = *files_.network(role);
  const Tensor<float> stored =
      read_weight<float>(group, name_of(role), name, group.tensors.info(name).shape);
  switch (way(role, name, drawn.shape())) {
    case Way::rows: return rows(stored, drawn);
    case Way::resize: return resized(role, stored, drawn.shape());
    case Way::copy: break;
  }
  return stored;
}

Tensor<float> InitialModel::rows(const Tensor<float>& table, const Tensor<float>& drawn) const {
  Tensor<float> out = drawn;  // (classes [+ 1], D)
  const index_t width = drawn.shape()[1];
  const auto copy = [&](index_t from, index_t to) {
    std::copy_n(table.data() + from * width, width, out.data() + to * width);
  };
  const auto& known = files_.config.class_names;
  for (std::size_t k = 0; k < class_names_.size(); ++k)
    if (const auto found = std::find(known.begin(), known.end(), class_names_[k]);
        found != known.end())
      copy(found - known.begin(), static_cast<index_t>(k));
  if (files_.config.has_null_class() && model_.has_null_class())
    copy(files_.config.num_classes(), model_.num_classes());
  return out;
}

Tensor<float> InitialModel::resized(NetworkRole role, const Tensor<float>& table,
                                    const Shape& shape) const {
  const PositionGrid from = *position_grid(role, files_.config, table.shape()[1]),
                     to = *position_grid(role, model_, shape[1]);
  const Tensor<float> grid = tokens_to_grid(
      from.prefix > 0 ? drop_tokens(table, from.prefix) : table, from.grid.h, from.grid.w);
  const Tensor<float> patches =
      grid_to_tokens(resize(grid, Resize::bicubic, to.grid.h, to.grid.w));  // (1, h*w, D)
  return to.prefix > 0 && from.prefix > 0 ? prepend_tokens(keep_tokens(table, to.prefix), patches)
                                          : patches;
}

std::string InitialModel::checksum(NetworkRole role) const {
  if (!has(role)) return {};
  std::string all = to_config(files_.config).to_json();
  const TensorSource& tensors = files_.network(role)->tensors;
  for (const std::string& name : tensors.names())
    all += concat("\n", name, " ", tensors.sampled_checksum(name));
  return std::to_string(crc32_of(as_byte_span(all)));
}

InitialValue InitialModel::values(NetworkRole role, const std::string& prefix) const {
  if (!has(role)) return {};
  return [this, role, prefix](const std::string& name, const Tensor<float>& drawn) {
    if (name.rfind(prefix, 0) != 0) return drawn;
    return value(role, name.substr(prefix.size()), drawn);
  };
}

std::string InitialModel::known_classes() const {
  std::string names;
  index_t found = 0;
  const auto& known = files_.config.class_names;
  for (const std::string& name : class_names_)
    if (std::find(known.begin(), known.end(), name) != known.end() && ++found <= 10)
      names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) names = concat(" (", names, found > 10 ? ", ...)" : ")");
  return concat(found, " of ", class_names_.size(), " classes are known", names);
}

std::optional<InitialModel> open_initial_model(const Recipe& recipe, const RecipeRun& run,
                                               const std::vector<std::string>& class_names) {
  if (run.init.empty()) return std::nullopt;
  std::error_code none;
  if (std::filesystem::equivalent(run.init, std::filesystem::path(run.out) / "model.safetensors",
                                  none))
    raise<ConfigError>(run.init,
                       ": a training cannot begin with the model that it writes; copy the file, or "
                       "choose another output folder");
  InitialModel out(run.init, recipe.model, class_names);
  bool any = false;
  for (const TrainingStage stage : stages_of(recipe, run)) {
    if (!is_trained(recipe, stage) || !describes(recipe.model, role_of(stage))) continue;
    out.require_fit(role_of(stage));
    any = any || out.has(role_of(stage));
  }
  if (!any) raise<ConfigError>(run.init, ": has none of the networks that the stages train");
  return out;
}

}  // namespace rae::detail
