#include "shard_index.hpp"

#include <unordered_map>

namespace rae::detail {
namespace {

const std::string& shard_name(const ConfigNode& node) {
  const std::string& name = node.as_string();
  if (name.empty() || name == "." || name.size() > 255 ||
      name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos ||
      name.find("..") != std::string::npos)
    node.fail_expected("the name of a file in the same folder");
  return name;
}

}  // namespace

ShardIndex parse_shard_index(const ConfigNode& node) {
  ShardIndex out;
  std::unordered_map<std::string, std::size_t> known;
  const ConfigNode& map = node.at("weight_map");
  for (const auto& [name, file] : map.members()) {
    const auto [found, is_new] = known.emplace(shard_name(file), out.files.size());
    if (is_new) out.files.push_back(found->first);
    if (out.files.size() > kMaxShards)
      raise<ConfigError>(map.where(), ": more than ", kMaxShards, " files");
    out.tensors.emplace_back(name, found->second);
  }
  if (out.files.empty()) raise<ConfigError>(map.where(), ": is empty");
  if (const ConfigNode* metadata = node.find("metadata"); metadata != nullptr && metadata->is_map())
    if (const ConfigNode* size = metadata->find("total_size"); size != nullptr && !size->is_null())
      out.total_size = size->as_integer(0);
  return out;
}

}  // namespace rae::detail
