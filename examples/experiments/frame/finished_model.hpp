// The finished model of an experiment, the pictures that it is compared with, and its samples.
#pragma once

#include <string>

#include "frame/judge.hpp"
#include "frame/options.hpp"
#include "rae/formats/bundle.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/dataset.hpp"

namespace rae::experiments {

/// A model that the experiment does not train, and a data set of its classes, whose pictures have
/// its size and channels.
struct FinishedModel {
  Bundle bundle;         ///< with diffusion network and decoder
  std::string identity;  ///< of the file, for the settings of the points
  OwnedPointer<const ImageDataset> train{}, test{};
};

/// The model in the file of --model, else the built-in one, or in the reduced version `tiny_model`.
/// Throws ArgumentError for several --model, ConfigError for a model that has no samples or other
/// classes than the data set, and as `find_model`, `Bundle::load` and `open_dataset`.
[[nodiscard]] FinishedModel finished_model(const Options& options);

/// Checksum of a file, for the settings of the points. Throws FileError.
[[nodiscard]] std::string identity_of(const std::string& path);

/// Draws samples with these settings, apart from labels and first index. `generator`, and the
/// report of `how`, must outlive the result.
[[nodiscard]] DrawPictures drawn_by(const Generator& generator, GenerateOptions how);

/// The settings of points that depend on a model and its judge.
[[nodiscard]] ConfigNode settings_of(const FinishedModel& model, const Judge& judge);

}  // namespace rae::experiments
