#include "train/data_split.hpp"

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

#include "io/deflate.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/file.hpp"
#include "rae/train/checkpoint.hpp"
#include "train/run_folder.hpp"
#include "train/stage_identity.hpp"
#include "train/stages.hpp"

namespace rae::detail {
namespace {

/// The same pictures without variation, for measurements.
DatasetOptions without_variation(DatasetOptions options) {
  options.random_crop = options.flip = false;
  return options;
}

/// The separate test part, if it has pictures of the same kind.
OwnedPointer<const ImageDataset> open_test_part(const Recipe& recipe, const RecipeRun& run,
                                                const ImageDataset& training) {
  OwnedPointer<const ImageDataset> test =
      survey_dataset(run.data, Split::test, without_variation(recipe.data))
          .data;  // without broken pictures
  if (!test || test->size() == 0 || test->channels() != training.channels() ||
      test->height() != training.height() || test->width() != training.width() ||
      test->class_names() != training.class_names())
    return nullptr;
  return test;
}

DataSplit with_test_part(const Recipe& recipe, const RecipeRun& run, const SurveyedDataset& found) {
  DataSplit out{found.data, nullptr, found.data->manifest(),
                "none: the test part has other pictures or classes"};
  try {
    out.held_out = open_test_part(recipe, run, *found.data);
    if (out.held_out)
      out.description = concat("the test part of ", out.held_out->size(), " pictures");
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {  // the training does not need it
    out.description = concat("none: ", error.what());
  }
  return out;
}

/// True when checkpoints or results in the folder of a run were trained on all pictures.
bool began_without(const std::string& out) {
  if (out.empty()) return false;
  const RunFolder folder(out, RunFolder::Access::look);
  bool any = false;
  for (const TrainingStage stage : kAllStages) {
    std::vector<ConfigNode> settings;
    if (folder.has_checkpoint(stage))
      settings.push_back(read_checkpoint_info(folder.checkpoint(stage)).settings);
    if (const StageRecord* record = folder.record(stage);
        record != nullptr && record->settings.is_map() && stage != TrainingStage::encoder)
      settings.push_back(record->settings);
    for (const ConfigNode& each : settings) {
      if (pictures_held_out(each) > 0) return false;
      any = true;
    }
  }
  return any;
}

std::string pictures(index_t count) { return concat(count, count == 1 ? " picture" : " pictures"); }

/// The data set of a picture folder in another form, without the pictures that could not be read.
OwnedPointer<const ImageDataset> open_again(const Recipe& recipe, const RecipeRun& run,
                                            const SurveyedDataset& found) {
  std::vector<std::string> left_out;
  for (const BrokenPicture& broken : found.survey.broken) left_out.push_back(broken.path);
  return open_dataset(run.data, Split::train, without_variation(recipe.data), left_out);
}

}  // namespace

std::vector<index_t> held_out_pictures(const ImageDataset& data, const DataManifest& manifest,
                                       double share, index_t most) {
  if (!(share > 0)) return {};
  // The pictures of each class as (checksum, index), with the checksum of the name.
  const std::size_t classes = manifest.classes.size();
  std::vector<std::vector<std::pair<std::uint32_t, index_t>>> members(classes);
  for (index_t i = 0; i < data.size(); ++i) {
    const auto label = static_cast<std::size_t>(data.label(i));
    const ManifestClass& c = manifest.classes[label];
    const bool named = static_cast<index_t>(c.files.size()) == c.pictures;
    const std::string name = named ? c.files[members[label].size()].name : std::to_string(i);
    members[label].emplace_back(crc32_of(as_byte_span(name)), i);
  }
  std::vector<index_t> wanted(classes, 0);
  index_t sum = 0, least = 0;  // pictures in all; classes of which one is held out
  for (std::size_t k = 0; k < classes; ++k) {
    const auto count = static_cast<index_t>(members[k].size());
    if (count < 2) continue;
    wanted[k] = std::max<index_t>(1, static_cast<index_t>(share * static_cast<double>(count)));
    sum += wanted[k];
    ++least;
  }
  if (sum > most) {
    index_t seen = 0;
    for (index_t& count : wanted) {
      if (count == 0) continue;
      if (least >= most)  // one picture of every n-th class
        count = (seen + 1) * most / least - seen * most / least;
      else
        count = 1 + (count - 1) * (most - least) / (sum - least);
      ++seen;
    }
  }
  std::vector<index_t> out;
  for (std::size_t k = 0; k < classes; ++k) {
    std::sort(members[k].begin(), members[k].end());
    for (index_t i = 0; i < wanted[k]; ++i)
      out.push_back(members[k][static_cast<std::size_t>(i)].second);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::pair<OwnedPointer<const ImageDataset>, OwnedPointer<const ImageDataset>> hold_out(
    OwnedPointer<const ImageDataset> data, const DataManifest& manifest, double share,
    const Function<OwnedPointer<const ImageDataset>()>& measured) {
  std::vector<index_t> chosen = held_out_pictures(*data, manifest, share), others;
  if (chosen.empty()) return {std::move(data), nullptr};
  for (index_t i = 0, next = 0; i < data->size(); ++i)
    if (next < static_cast<index_t>(chosen.size()) && chosen[static_cast<std::size_t>(next)] == i)
      ++next;
    else
      others.push_back(i);
  return {subset(std::move(data), std::move(others)), subset(measured(), std::move(chosen))};
}

DataSplit split_data(const Recipe& recipe, const RecipeRun& run, const SurveyedDataset& found) {
  if (found.survey.test > 0) return with_test_part(recipe, run, found);
  DataSplit out{found.data, nullptr, found.data->manifest(),
                "none: the data have no test part, and data.held_out is 0"};
  if (!(recipe.held_out > 0)) return out;
  if (began_without(run.out) ||
      (!run.base.empty() &&
       began_without(std::filesystem::path(run.base).parent_path().string()))) {
    out.description = "none: the data have no test part, and the run began on all pictures";
    return out;
  }
  std::tie(out.training, out.held_out) = hold_out(found.data, out.manifest, recipe.held_out,
                                                  [&] { return open_again(recipe, run, found); });
  if (!out.held_out) {
    out.description = "none: no class has two pictures";
    return out;
  }
  const index_t all = found.data->size(), count = out.held_out->size();
  out.manifest.held_out = count;
  out.description = concat(pictures(count), " of ", all,
                           ", which the training does not see, because the data have no test part "
                           "(data.held_out: 0 trains on all)");
  return out;
}

}  // namespace rae::detail
