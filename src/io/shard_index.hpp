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

/// Most files of one index.
inline constexpr std::size_t kMaxShards = 1000;

/// Which file has which tensor.
struct ShardIndex {
  std::vector<std::string> files;  // names of files in the folder of the index
  std::vector<std::pair<std::string, std::size_t>> tensors;  // name, and which of `files`
  std::optional<std::int64_t> total_size;  // bytes of all tensors, when the index names it
};

/// Parses and checks: names of files are names, without separators and without "..". Throws
/// ConfigError.
[[nodiscard]] ShardIndex parse_shard_index(const ConfigNode& node);

}  // namespace rae::detail
