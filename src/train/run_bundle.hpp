// model.safetensors of a run: assembled from the results of the stages, and usable at every moment.
//
// Its networks always belong to each other: a new encoder removes the results that depend on it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "rae/formats/bundle.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// The prefix of the tensors of a stage's result: "encoder.", ..., "latent_norm.", "dit.".
[[nodiscard]] std::string prefix_of(TrainingStage stage);

/// The bundle in memory and its file.
class RunBundle {
 public:
  /// Reads the file if there is one and keeps the networks that the recipe describes in the same
  /// way. `stored_as` is the type of the weights in the file. `base`: the file of a run whose
  /// encoder, decoder and statistics this run takes, as RecipeRun::base; or empty. Throws as
  /// Bundle::load, and ConfigError when `base` does not have them or they are not those of the
  /// file.
  RunBundle(const Recipe& recipe, std::vector<std::string> class_names, std::string path,
            DType stored_as, const std::string& base = {});

  /// The bundle; its results are rounded as in the file, except the one that is being trained.
  [[nodiscard]] Bundle& bundle() noexcept { return bundle_; }
  /// See above.
  [[nodiscard]] const Bundle& bundle() const noexcept { return bundle_; }
  /// The name of the file.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// A checksum of a stage's result as the file stores it; empty when the bundle has none.
  [[nodiscard]] std::string checksum(TrainingStage stage) const;

  /// Adds the weights of a stage that is not complete, and writes the file.
  template <class M>
  void publish(TrainingStage stage, M& network) {
    set(stage, network);
    remove_dependents(stage);
    checksums_.erase(stage);
    write();
  }
  /// Adds the weights of a stage that is not complete, only in memory.
  template <class M>
  void set(TrainingStage stage, M& network) {
    describe(stage);
    bundle_.store(prefix_of(stage), network);
  }
  /// Adds the result of a stage.
  template <class M>
  void finish(TrainingStage stage, M& network) {
    set(stage, network);
    finish(stage);
  }
  /// Adds the statistics of the latents.
  void finish(const LatentNorm<float>& statistics);

  /// Writes the file if it differs from the bundle; returns true when it was written. Throws as
  /// Bundle::save.
  bool save();
  /// Writes the bundle to another file, in the same form. Throws as Bundle::save.
  void save_copy(const std::string& path) const { bundle_.save(path, stored_as_); }

 private:
  void describe(TrainingStage stage);
  void finish(TrainingStage stage);
  void remove(TrainingStage stage);
  void remove_dependents(TrainingStage stage);
  void keep_fitting(const Bundle& file);
  void take_base(const std::string& base, bool has_file);
  void write();
  [[nodiscard]] std::string compute_checksum(TrainingStage stage) const;

  const Recipe& recipe_;
  std::string path_;
  DType stored_as_;
  Bundle bundle_;
  std::map<TrainingStage, std::string> checksums_;       // of complete results in the bundle
  std::map<TrainingStage, std::string> file_checksums_;  // of the results in the file
  std::string file_metadata_;
};

}  // namespace rae::detail
