#include "rae/formats/loss_networks.hpp"

#include <gtest/gtest.h>

#include "rae/io/tensor_source.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_loss_networks.hpp"

namespace rae::test {
namespace {

/// Writes the tensors of a file under the names that `name` returns for them; a tensor whose new
/// name is "" is left out.
template <class Name>
std::string rewritten(const TempFolder& folder, const std::string& from, const std::string& to,
                      Name name) {
  const TensorSource source = TensorSource::open(from);
  std::vector<SafetensorsEntry> entries;
  for (const std::string& old : source.names())
    if (const std::string fresh = name(old); !fresh.empty())
      entries.push_back({fresh, source.read<float>(old)});
  write_safetensors(folder / to, entries);
  return folder / to;
}

bool is_head(const std::string& name) { return name.rfind("lin", 0) == 0; }

float distance(const Lpips<Var<float>>& model) {
  Tensor<float> x(Shape{1, 3, 16, 16}), y(Shape{1, 3, 16, 16});  // (1, 3, 16, 16) each
  for (index_t i = 0; i < x.numel(); ++i) {
    x[i] = Philox(1, 1).uniform(static_cast<std::uint64_t>(i));
    y[i] = Philox(1, 2).uniform(static_cast<std::uint64_t>(i));
  }
  return model(Var<float>(x), Var<float>(y)).value()[0];
}

TEST(LossNetworks, LpipsIsReadFromOneFileOrTwo) {
  const TempFolder folder;
  write_tiny_lpips(folder / "all.safetensors");
  const Lpips<Var<float>> whole = open_lpips({folder / "all.safetensors"});
  EXPECT_EQ(whole.config().channels, (std::vector<index_t>{2, 2, 3, 3, 4}));
  EXPECT_GT(distance(whole), 0);
  const std::string vgg = rewritten(folder, folder / "all.safetensors", "vgg.safetensors",
                                    [](const std::string& n) { return is_head(n) ? "" : n; });
  const std::string heads = rewritten(folder, folder / "all.safetensors", "heads.safetensors",
                                      [](const std::string& n) { return is_head(n) ? n : ""; });
  EXPECT_EQ(distance(open_lpips({vgg, heads})), distance(whole));
  EXPECT_EQ(distance(open_lpips({heads, vgg})), distance(whole));
  EXPECT_NE(message_of<FormatError>([&] { (void)open_lpips({vgg}); }).find("lin0.model.1.weight"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] { (void)open_lpips({heads}); }).find("features.2.weight"),
            std::string::npos);
  EXPECT_THROW((void)open_lpips({}), FormatError);
  EXPECT_THROW((void)open_lpips({folder / "none.pth"}), FileError);
}

TEST(LossNetworks, LpipsIsTheSameUnderAllItsNames) {
  const TempFolder folder;
  // The layers of each slice are numbered from 0.
  const std::string official = data_path("golden/lpips_narrow/weights.safetensors");
  const float expected = distance(open_lpips({official}));
  EXPECT_GT(expected, 0);
  // The names of the lpips package: slices with the numbers of torchvision, heads without dropout.
  const int first[] = {0, 4, 9, 16, 23};
  const auto package = [&](const std::string& name) {
    if (is_head(name)) return name.substr(0, 11) + "0.weight";
    if (name.rfind("net.slice", 0) != 0) return name;
    const int slice = name[9] - '1';
    return concat("net.slice", slice + 1, ".", first[slice] + (name[11] - '0'), name.substr(12));
  };
  EXPECT_EQ(distance(open_lpips({rewritten(folder, official, "package.safetensors", package)})),
            expected);
}

TEST(LossNetworks, DiscriminatorSizesAreReadFromItsFile) {
  const TempFolder folder;
  const std::string path = folder / "dino.safetensors";
  write_tiny_dino(path);
  const DinoDiscConfig sizes{.num_heads = 2, .key_layers = {0}, .kernel_size = 3};
  const DinoDiscConfig config = open_dino_discriminator(path, sizes).config();
  EXPECT_EQ(config.image_size, 16);
  EXPECT_EQ(config.patch_size, 8);
  EXPECT_EQ(config.hidden_size, 8);
  EXPECT_EQ(config.num_layers, 2);
  EXPECT_EQ(config.intermediate_size, 16);
  EXPECT_THROW((void)open_dino_discriminator(path),
               ConfigError);  // by default six heads, and key layers that this file does not have
  const auto without = [&](const std::string& part) {
    return rewritten(folder, path, "part.safetensors", [&](const std::string& n) {
      return n.find(part) == std::string::npos ? n : "";
    });
  };
  EXPECT_THROW((void)open_dino_discriminator(without("cls_token"), sizes), FormatError);
  EXPECT_THROW((void)open_dino_discriminator(without("blocks.1.norm2.bias"), sizes), FormatError);
}

}  // namespace
}  // namespace rae::test
