#include "rae/formats/model_files.hpp"

#include <map>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;

TEST(ModelFilesTest, OpensABundleWithoutReadingItsWeights) {
  const test::TempFolder folder;
  const Bundle bundle = test::tiny_bundle();
  bundle.save(folder / "m.safetensors");
  const ModelFiles files = ModelFiles::open(folder / "m.safetensors");
  EXPECT_EQ(files.origin, folder / "m.safetensors");
  EXPECT_EQ(to_config(files.config).to_json(), to_config(bundle.config).to_json());
  ASSERT_TRUE(files.encoder && files.decoder && files.dit);
  EXPECT_FALSE(files.guide.has_value());
  test::expect_close(files.latent_norm.mean, bundle.latent_norm().mean, 0.0);
  test::expect_close(files.latent_norm.var, bundle.latent_norm().var, 0.0);
  std::size_t count = 2;
  for (const auto& [prefix, part] :
       {std::pair{"encoder.", &files.encoder}, {"decoder.", &files.decoder}, {"dit.", &files.dit}})
    for (const std::string& name : (*part)->tensors.names()) {
      test::expect_close((*part)->tensors.read<float>(name), bundle.tensors.at(prefix + name), 0.0,
                         name);
      ++count;
    }
  EXPECT_EQ(count, bundle.tensors.size());
}

TEST(ModelFilesTest, NetworksMayBeAbsent) {
  const test::TempFolder folder;
  Bundle bundle = test::tiny_bundle();
  bundle.remove("encoder.");
  bundle.remove("latent_norm.");
  bundle.save(folder / "m.safetensors");
  const ModelFiles files = ModelFiles::open(folder / "m.safetensors");
  EXPECT_FALSE(files.encoder.has_value());
  EXPECT_TRUE(files.latent_norm.mean.empty() && files.latent_norm.var.empty());
}

TEST(ModelFilesTest, RefusesOtherFiles) {
  const test::TempFolder folder;
  const SafetensorsEntry entry{"dit.pos_embed", Tensor<float>(Shape{1, 4, 16}, 0.0f)};
  write_safetensors(folder / "w.safetensors", {&entry, 1}, {});
  std::string message =
      message_of<FormatError>([&] { (void)ModelFiles::open(folder / "w.safetensors"); });
  EXPECT_NE(message.find("is not a bundle"), std::string::npos) << message;
  const std::map<std::string, std::string> metadata{
      {"config", to_config(test::tiny_config()).to_json()}};
  write_safetensors(folder / "w.safetensors", {&entry, 1}, metadata);
  message = message_of<FormatError>([&] { (void)ModelFiles::open(folder / "w.safetensors"); });
  EXPECT_NE(message.find("elements, the configuration needs"), std::string::npos) << message;
  EXPECT_THROW((void)ModelFiles::open(folder / "no.safetensors"), FileError);
}

}  // namespace
}  // namespace rae
