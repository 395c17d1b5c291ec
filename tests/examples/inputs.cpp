// Writes the inputs of the examples and of the tutorial's programs for their tests: a tiny random
// model in place of the built-in one, and a few pictures in folders of two classes.
#include <cstdio>
#include <filesystem>

#include "rae/io/image.hpp"
#include "rae/load/model_search.hpp"
#include "support/tiny_bundle.hpp"

namespace {

// The geometry of the built-in model with small networks.
rae::ModelConfig model_config() {
  rae::ModelConfig c = rae::test::tiny_config();
  rae::EncoderConfig& encoder = rae::test::vit_of(c);
  encoder.patch_size = c.decoder->patch_size = 7;
  rae::DitDhConfig& dit = rae::test::dit_of(c);
  encoder.table_h = encoder.table_w = c.decoder->grid_h = c.decoder->grid_w = dit.grid_h =
      dit.grid_w = 4;
  c.image_size = 28;
  dit.num_classes = 10;
  c.class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                   "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  return c;
}

// A gray disc of this radius.
rae::Image disc(rae::index_t radius) {
  rae::Image image(28, 28, 1);
  for (rae::index_t y = 0; y < 28; ++y)
    for (rae::index_t x = 0; x < 28; ++x)
      if ((x - 14) * (x - 14) + (y - 14) * (y - 14) < radius * radius)
        image.pixels()[static_cast<std::size_t>(28 * y + x)] = 200;
  return image;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    namespace fs = std::filesystem;
    const fs::path folder = argv[1];
    fs::remove_all(folder /
                   "run");  // of the tutorial's training, which would otherwise be continued
    for (const char* name : {"models", "pictures/small", "pictures/large"})
      fs::create_directories(folder / name);
    rae::test::random_bundle(model_config())
        .save((folder / "models" / (std::string(rae::kBuiltinModel) + ".safetensors")).string());
    for (rae::index_t i = 0; i < 4; ++i) {
      const std::string name = std::to_string(i) + ".png";
      disc(4 + i).save_png((folder / "pictures/small" / name).string());
      disc(10 + i).save_png((folder / "pictures/large" / name).string());
    }
    disc(9).save_png((folder / "shirt.png").string());
    disc(12).save_png((folder / "boot.png").string());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
