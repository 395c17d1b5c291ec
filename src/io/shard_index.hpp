// The index of weights that are split into several files (NAME.index.json), as save_pretrained() of
// huggingface/transformers writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rae/io/config.hpp"

namespace rae::detail {

/// Limit of the number of files of one index.
inline constexpr std::size_t kMaxShards = 1000;

/// The files of an index, and the file of each tensor.
struct ShardIndex {
  std::vector<std::string> files;  // names of files in the folder of the index
  std::vector<std::pair<std::string, std::size_t>> tensors;  // name, and index into `files`
  std::optional<std::int64_t> total_size;  // bytes of all tensors, if the index has it
};

/// Parses and checks an index. Throws ConfigError, also for names of files with a separator or
/// "..".
[[nodiscard]] ShardIndex parse_shard_index(const ConfigNode& node);

}  // namespace rae::detail
