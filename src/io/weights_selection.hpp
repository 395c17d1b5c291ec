// Which part of a training checkpoint is the model: the order in which programs' names for weights
// are searched.
//
// Source: save_checkpoint() of the official code; the checkpoints of PyTorch Lightning
// (state_dict), DeepSpeed (module), timm (state_dict_ema) and DINO (teacher, student).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rae::detail {

/// Keys of averaged weights. They are preferred to those of the weights that were trained.
inline constexpr std::string_view kAverageKeys[] = {"ema", "ema_model", "model_ema",
                                                    "state_dict_ema", "teacher"};
/// Keys of the weights that were trained.
inline constexpr std::string_view kWeightKeys[] = {"model", "model_state_dict", "state_dict",
                                                   "module", "student"};

/// A part of a file: the keys that lead to it, outermost first; empty for the whole file.
using WeightsPath = std::vector<std::string>;

/// "ema.module" for the keys "ema" and "module".
[[nodiscard]] std::string to_string(const WeightsPath& path);

/// A name without leading "module." and "_orig_mod.", which DistributedDataParallel and
/// torch.compile add.
[[nodiscard]] std::string without_wrappers(std::string_view name);

/// Searches names of tensors, in which keys are followed by dots. The first average key that any
/// name begins with is selected; else the first weight key, if all names begin with one of them.
/// Repeated within the selected part. Wrappers are ignored.
[[nodiscard]] WeightsPath select_weights(const std::vector<std::string>& names);

/// The name in the part `path` of a tensor of the file, without wrappers; absent if the tensor
/// belongs to another part.
[[nodiscard]] std::optional<std::string> name_in_part(const WeightsPath& path,
                                                      std::string_view name);

}  // namespace rae::detail
