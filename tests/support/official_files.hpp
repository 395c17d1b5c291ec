// The official files of the golden model, linked into a folder where tests may change the
// configuration.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {

/// The folder of the golden end-to-end model: config.yaml, encoder, decoder, dit, guide, stats,
/// expected.safetensors and input.png.
inline std::string golden_model_path(const std::string& file) {
  return data_path("golden/e2e_dinov2_ag/" + file);
}

/// The golden configuration with changes, each of the form "key.path=YAML".
inline ConfigNode changed_golden_config(const std::vector<std::string>& changes) {
  ConfigNode node = ConfigNode::load(golden_model_path("config.yaml"));
  for (const auto& change : changes) node.apply_override(change);
  return node;
}

/// A folder with links to the golden files and with configurations next to them.
class OfficialFolder {
 public:
  OfficialFolder() {
    for (const char* part : {"encoder", "decoder", "dit", "guide", "stats"})
      std::filesystem::create_directory_symlink(golden_model_path(part), folder_ / part);
  }

  /// Path of a file in the folder.
  [[nodiscard]] std::string operator/(const std::string& name) const { return folder_ / name; }

  /// Writes a changed configuration and returns its path.
  [[nodiscard]] std::string config(const std::vector<std::string>& changes = {},
                                   const std::string& name = "config.yaml") const {
    return folder_.write(name, changed_golden_config(changes).to_json(1));
  }

 private:
  TempFolder folder_;
};

}  // namespace rae::test
