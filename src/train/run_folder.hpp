// The output folder of a recipe: its lock, its files, and stages.json, which says to what the
// results in model.safetensors belong.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/file_lock.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// The result of a complete stage.
struct StageRecord {
  ConfigNode settings{};  ///< everything that the result depends on; null when it is not known
  ConfigNode inputs{};    ///< checksums of the earlier results that it depends on, by stage
  std::string result{};   ///< its checksum in model.safetensors; empty when it is not complete
};

/// Makes and locks the folder, and removes the temporary files of runs that were killed.
class RunFolder {
 public:
  /// To train in the folder, or only to look at it, whether or not another process trains there.
  enum class Access { train, look };

  /// With `look` nothing is made, locked, removed or written; a missing folder is an empty one.
  /// Throws FileError when the folder cannot be made or another process trains in it, ConfigError
  /// for a damaged stages.json.
  explicit RunFolder(const std::string& path, Access access = Access::train);

  /// "model.safetensors" in the folder.
  [[nodiscard]] std::string model() const { return in("model.safetensors"); }
  /// "latents.safetensors" in the folder: the latents that the statistics and stage 2 share.
  [[nodiscard]] std::string latents() const { return in("latents.safetensors"); }
  /// The folder of a stage; it is made when it is missing, unless this only looks.
  [[nodiscard]] std::string stage(TrainingStage stage) const;
  /// The checkpoint of a stage, which may be missing.
  [[nodiscard]] std::string checkpoint(TrainingStage stage) const;
  /// True when the stage has a checkpoint.
  [[nodiscard]] bool has_checkpoint(TrainingStage stage) const;
  /// The file for the pictures that are drawn after a step of stage 2.
  [[nodiscard]] std::string samples(index_t step) const;

  /// The file for the bundle that is kept after a step of stage 2.
  [[nodiscard]] std::string history(index_t step) const;

  /// The file for the pictures that are reconstructed after a step of stage 1.
  [[nodiscard]] std::string reconstructions(index_t step) const;
  /// True for a picture or bundle that was written for the checkpoint of a stage: older ones are
  /// those of a training that this one replaces.
  [[nodiscard]] bool is_written(const std::string& file, TrainingStage stage) const;

  /// Gives the checkpoint of a stage another name, with its log, its pictures and its
  /// history; returns the new
  /// name, "checkpoint-stale-1.safetensors" for the first. Throws FileError.
  std::string set_aside(TrainingStage stage) const;

  /// Temporary files that were removed.
  [[nodiscard]] const std::vector<std::string>& removed() const noexcept { return removed_; }

  /// True when an earlier version of the library, which wrote no stages.json, trained here, or
  /// nothing did.
  [[nodiscard]] bool without_records() const noexcept { return without_records_; }
  /// The result of a stage; nullptr when there is none.
  [[nodiscard]] const StageRecord* record(TrainingStage stage) const;
  /// Adds or replaces a result and, unless this only looks, writes stages.json. Throws FileError.
  void set_record(TrainingStage stage, StageRecord record);
  /// Writes stages.json as it is, unless this only looks. Throws FileError.
  void save_records() const;

 private:
  [[nodiscard]] std::string in(const std::string& name) const;
  [[nodiscard]] std::string of_step(const std::string& kind, index_t step,
                                    const char* ending) const;
  void read_records();

  [[nodiscard]] std::string made(const std::string& folder) const;

  std::string path_;
  std::optional<FolderLock> lock_;  // absent: this only looks
  std::vector<std::string> removed_;
  bool without_records_ = true;
  std::map<TrainingStage, StageRecord> records_;
};

}  // namespace rae::detail
