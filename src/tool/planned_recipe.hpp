// Plans a recipe for a data set and this machine, for `rae init` and for `rae train` without
// --recipe.
#pragma once

#include <optional>
#include <string>

#include "rae/core/shape.hpp"
#include "tool/command.hpp"
#include "tool/data_source.hpp"

namespace rae::tool {

/// What a command line says about a recipe to plan.
struct PlanFlags {
  std::optional<index_t> size;    ///< absent: 32 for small pictures, else 64
  std::optional<double> minutes;  ///< absent: 30
  std::string pretrained;         ///< folder or bundle of an encoder; empty: train one
  std::optional<double> speed;    ///< 10^9 operations per second; absent: measured
};

/// Adds --size, --minutes, --pretrained and --speed.
void add_plan_flags(CLI::App& command, PlanFlags& flags);

/// Looks at the pictures in `data` and at this machine, plans a recipe, checks it as `rae train`
/// does, and returns it as YAML. The progress and notes go to stderr. Throws as `survey_dataset`,
/// `plan_recipe` and `check_recipe`, FormatError for broken pictures unless `data_flags` says to
/// skip them, and Cancelled.
[[nodiscard]] std::string planned_recipe(const std::string& data, const PlanFlags& flags,
                                         const DataFlags& data_flags);

}  // namespace rae::tool
