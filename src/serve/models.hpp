// The models of a server, which requests choose by name, and their description in JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"

namespace rae::serve {

/// No model of the server has this name.
class UnknownModel : public Error {
 public:
  using Error::Error;
};

/// A model whose weights are in memory.
struct ServedModel {
  std::string name;
  Generator generator;
  std::optional<Autoencoder> encoder{};  ///< without a decoder; absent if the model cannot encode
};

/// Models by name. They do not change while the server runs.
class Models {
 public:
  /// Loads a model, whose type follows from `load`. The first one is the default of requests.
  /// Throws ArgumentError for a name that is empty, has a character other than letters, digits,
  /// '.', '_' and '-', or is used already; and as the constructors of Generator and Autoencoder.
  void add(const std::string& name, ModelFiles files, const LoadOptions& load = {});

  /// The model of this name, or the first one for an empty name. Throws UnknownModel, which lists
  /// the names.
  [[nodiscard]] const ServedModel& find(std::string_view name) const;

  [[nodiscard]] const std::vector<ServedModel>& all() const noexcept { return models_; }

  /// For each model: its name, classes, sizes, defaults of sampling, and presets.
  [[nodiscard]] ConfigNode description() const;

 private:
  std::vector<ServedModel> models_;
};

}  // namespace rae::serve
