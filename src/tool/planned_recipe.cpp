#include "tool/planned_recipe.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "rae/io/dataset.hpp"
#include "rae/train/recipe_check.hpp"
#include "rae/train/recipe_plan.hpp"
#include "rae/train/step_time.hpp"
#include "tool/interrupt.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

namespace fs = std::filesystem;

constexpr index_t kSmallSide = 40;     // pixels; larger pictures are planned at 64 x 64
constexpr double kMediumSide = 512;    // pixels; of larger pictures fewer are read
constexpr index_t kFirstSample = 100;  // pictures
constexpr double kMostSample = 2000;   // pictures

void say(const std::string& text) { std::fprintf(stderr, "%s\n", printable(text).c_str()); }

/// The training part of a data set without its broken pictures.
SurveyedDataset surveyed(const std::string& folder, const DatasetOptions& options,
                         const DataFlags& flags) {
  SurveyedDataset found = survey_dataset(folder, Split::train, options, SurveyDepth::headers,
                                         [](index_t, index_t) { return !interrupted(); });
  if (!flags.skip_broken || !found.data) found.survey.require_unbroken();
  return found;
}

/// The side of the stored pictures: IDX pictures of a given size have a black border.
index_t stored_side(const std::string& folder, const ImageDataset& data,
                    const PixelSample& sample) {
  const bool idx = data.channels() == 1;  // folders are read in colour unless told otherwise
  return idx ? open_dataset(folder, Split::train, {})->height() : sample.side;
}

std::string name_of_folder(const std::string& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

void add_plan_flags(CLI::App& command, PlanFlags& flags) {
  command
      .add_option("--size", flags.size,
                  "height and width of the model's pictures: 32, 64, 128 or 256 (default: 32 for "
                  "pictures of at most 40 pixels, else 64)")
      ->type_name("N")
      ->check(
          CLI::IsMember(std::vector<index_t>(std::begin(kPlannedSizes), std::end(kPlannedSizes))));
  command
      .add_option("--minutes", flags.minutes, "time for all stages of the training (default: 30)")
      ->type_name("N")
      ->check(CLI::Range(0.1, 100000.0));
  command
      .add_option("--pretrained", flags.pretrained,
                  "encoder to use instead of training one: a folder of Hugging Face, or a bundle")
      ->type_name("PATH");
  command
      .add_option("--speed", flags.speed,
                  "10^9 operations per second of a training on this machine, instead of measuring "
                  "it: the recipe is then always the same")
      ->type_name("N")
      ->check(CLI::Range(1e-3, 1e9));
}

std::string planned_recipe(const std::string& data, const PlanFlags& flags,
                           const DataFlags& data_flags) {
  DatasetOptions options{.size = flags.size.value_or(64), .ignore_exif = data_flags.ignore_exif};
  SurveyedDataset found = surveyed(data, options, data_flags);
  const auto stop = [] { return interrupted(); };
  PlanRequest request;
  const PixelSample first = sample_pixels(*found.data, kFirstSample, stop);
  if (!flags.size && stored_side(data, *found.data, first) <= kSmallSide) {
    options.size = 32;
    found = surveyed(data, options, data_flags);
  }
  // Large pictures take long to decode.
  const double large = std::max(1.0, static_cast<double>(first.side) / kMediumSide);
  const auto start = std::chrono::steady_clock::now();
  request.sample = sample_pixels(
      *found.data, std::max(kFirstSample, static_cast<index_t>(kMostSample / (large * large))),
      stop);
  if (!flags.speed)
    request.read_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
        static_cast<double>(request.sample.pictures);
  say(found.survey.summary());
  for (const std::string& note : found.survey.notes) say("note: " + note);
  request.name = name_of_folder(data);
  request.size = options.size;
  request.minutes = flags.minutes.value_or(request.minutes);
  request.pretrained = flags.pretrained;
  request.classes = found.survey.classes;
  request.ignore_exif = data_flags.ignore_exif;
  request.measured = !flags.speed;
  request.photographs = !request.sample.gray;
  if (!flags.speed) say("measuring the speed of this machine by a few training steps ...");
  std::vector<std::string> left_out;
  for (const BrokenPicture& picture : found.survey.broken) left_out.push_back(picture.path);
  const RecipePlan plan =
      plan_recipe(request, [&](const Recipe& recipe, TrainingStage stage, DType dtype) {
        if (flags.speed) return training_operations(recipe, stage) / (1e9 * *flags.speed);
        return measure_step(recipe, open_dataset(data, Split::train, recipe.data, left_out), stage,
                            dtype, stop);
      });
  RecipeRun run;
  run.data = data;
  run.skip_broken = data_flags.skip_broken;
  run.should_stop = stop;
  (void)check_recipe(plan.recipe, run);
  for (const std::string& note : plan.notes) say("note: " + note);
  say(concat("planned: ", plan.recipe.model.image_size, " x ", plan.recipe.model.image_size,
             " pixels, ", plan.recipe.model.num_classes(),
             plan.recipe.model.num_classes() == 1 ? " class" : " classes", ", about ",
             format_number(plan.minutes, 2), " minutes"));
  return plan.yaml;
}

}  // namespace rae::tool
