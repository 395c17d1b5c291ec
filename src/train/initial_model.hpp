// Another model with whose weights the stages of a recipe begin (fine-tuning).
//
// Diffusion Transformers with Representation Autoencoders trains from random weights; that position
// tables are resized for another resolution follows Dosovitskiy et al. 2021, section 3.2.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// A bundle whose networks are the beginning of a recipe's. Tensors of equal shape are copied; the
/// rows of the label table are found by the names of the classes, and rows of new classes stay as
/// they were drawn; position tables are resized to the grid of the recipe.
class InitialModel {
 public:
  /// Opens a bundle for a recipe's model with these class names. Throws as ModelFiles::open,
  /// FormatError for packed weights.
  InitialModel(const std::string& path, ModelConfig model, std::vector<std::string> class_names);

  /// True when the bundle has this network.
  [[nodiscard]] bool has(NetworkRole role) const { return files_.network(role).has_value(); }

  /// Throws ConfigError, with the reason, when the recipe's network cannot begin with the bundle's;
  /// does nothing when the bundle does not have it.
  void require_fit(NetworkRole role) const;

  /// A checksum of the network and of its configuration; empty when there is none.
  [[nodiscard]] std::string checksum(NetworkRole role) const;

  /// Sets the values of a network whose parameters are named with `prefix`; others keep theirs.
  /// Refers to this object. Empty when the bundle does not have the network.
  [[nodiscard]] InitialValue values(NetworkRole role, const std::string& prefix = "") const;

  /// "2 of 3 classes are known (circle, square)": the classes of the recipe that the bundle has.
  [[nodiscard]] std::string known_classes() const;

 private:
  /// How a parameter gets its values.
  enum class Way { copy, rows, resize };
  /// Throws ConfigError when there is none.
  [[nodiscard]] Way way(NetworkRole role, const std::string& name, const Shape& shape) const;
  [[nodiscard]] Tensor<float> value(NetworkRole role, const std::string& name,
                                    const Tensor<float>& drawn) const;
  [[nodiscard]] Tensor<float> rows(const Tensor<float>& table, const Tensor<float>& drawn) const;
  [[nodiscard]] Tensor<float> resized(NetworkRole role, const Tensor<float>& table,
                                      const Shape& shape) const;

  std::string path_;
  ModelFiles files_;
  ModelConfig model_;                     // of the recipe
  std::vector<std::string> class_names_;  // of the recipe
};

/// The model with whose weights the stages of a run begin; nothing without `run.init`. Throws as
/// above for each network that the stages train, and ConfigError when the bundle has none of them
/// or is the file that the run writes.
[[nodiscard]] std::optional<InitialModel> open_initial_model(
    const Recipe& recipe, const RecipeRun& run, const std::vector<std::string>& class_names);

}  // namespace rae::detail
