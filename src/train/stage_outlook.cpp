#include "rae/train/stage_outlook.hpp"

#include "train/data_split.hpp"
#include "train/initial_model.hpp"
#include "train/run_state.hpp"
#include "train/stages.hpp"

namespace rae {

std::vector<StageOutlook> outlook_of_stages(const Recipe& recipe, const RecipeRun& run,
                                            const CheckedRecipe& checked) {
  if (run.out.empty()) raise<ArgumentError>("outlook_of_stages: expected an output folder");
  const std::vector<std::string> names = class_names_for(recipe, *checked.data.data);
  const std::optional<detail::InitialModel> initial =
      detail::open_initial_model(recipe, run, names);
  const std::vector<TrainingStage> stages = detail::stages_of(recipe, run);
  const detail::DataSplit split = detail::split_data(recipe, run, checked.data);
  const detail::RunState state(recipe, run, stages, split.manifest, names,
                               initial ? &*initial : nullptr, detail::RunFolder::Access::look);
  std::vector<StageOutlook> out;
  for (const TrainingStage stage : stages) out.push_back(state.outlook(stage));
  return out;
}

}  // namespace rae
