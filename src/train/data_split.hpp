// The pictures that a run trains on, and those by which it measures its stages (Diffusion
// Transformers with Representation Autoencoders, sections 3 and 4, on pictures that the networks
// have not seen).
#pragma once

#include <string>
#include <utility>

#include "rae/core/function.hpp"
#include "rae/io/data_survey.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// The pictures of a data set, in two parts.
struct DataSplit {
  OwnedPointer<const ImageDataset> training;
  OwnedPointer<const ImageDataset> held_out;  ///< without crops and flips that vary; may be null
  DataManifest manifest;    ///< of the pictures of the training part before any are split off, with
                            ///< the number of those that are
  std::string description;  ///< of the held-out part, for people
};

/// At most this many pictures are split off.
inline constexpr index_t kMostHeldOut = 2000;

/// The indices of pictures to hold out, in order: `share` of each class, rounded down, at least one
/// of each class with two pictures or more, but not more than `most` in all. They are chosen by
/// checksums of the names of the files, so that most stay the same when pictures are added or
/// removed, or by numbers where the pictures are no files. `manifest` is that of `data`.
[[nodiscard]] std::vector<index_t> held_out_pictures(const ImageDataset& data,
                                                     const DataManifest& manifest, double share,
                                                     index_t most = kMostHeldOut);

/// The note of a bundle with the share that its training has held out.
inline constexpr const char* kHeldOutNote = "held_out";

/// The pictures of `data` but for `held_out_pictures`; and those, from `measured`, the same data
/// set without variation. The second is null when no class has two pictures.
[[nodiscard]] std::pair<OwnedPointer<const ImageDataset>, OwnedPointer<const ImageDataset>>
hold_out(OwnedPointer<const ImageDataset> data, const DataManifest& manifest, double share,
         const Function<OwnedPointer<const ImageDataset>()>& measured);

/// Holds out the separate test part of the data, where there is one; else `recipe.held_out` of the
/// training part, unless the run in `run.out` began without held-out pictures. Throws as
/// `survey_dataset`.
[[nodiscard]] DataSplit split_data(const Recipe& recipe, const RecipeRun& run,
                                   const SurveyedDataset& found);

}  // namespace rae::detail
