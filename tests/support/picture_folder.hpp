// Folders of small pictures, one sub-folder per class, and a recipe for them, for tests of training
// on changed data.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>

#include "rae/io/image.hpp"
#include "rae/train/recipe.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {

/// Writes a gray picture of 8 x 8 whose pixels depend on `seed`.
inline void write_picture(const std::string& path, int seed) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  Image picture(8, 8, 1);
  for (int i = 0; i < 64; ++i)
    picture.pixels()[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>((seed * 37 + i * (5 + seed % 7)) & 0xff);
  picture.save_png(path);
}

/// The tiny recipe for three classes, with changed values.
inline Recipe three_class_recipe(std::initializer_list<const char*> changes = {}) {
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  node.apply_override("model.dit.num_classes=3");
  for (const char* change : changes) node.apply_override(change);
  return parse_recipe(node);
}

/// Six pictures in each of the classes "large", "medium" and "small".
inline void write_picture_folder(const TempFolder& folder) {
  int seed = 1;
  for (const std::string name : {"large", "medium", "small"})
    for (int i = 0; i < 6; ++i)
      write_picture(folder / (name + "/" + std::to_string(i) + ".png"), seed++);
}

}  // namespace rae::test
