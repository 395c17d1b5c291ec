#include "rae/load/model_search.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;
using test::TempFolder;

/// Sets an environment variable until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    if (before_)
      ::setenv(name_, before_->c_str(), 1);
    else
      ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(ModelSearchTest, TheEnvironmentIsSearchedFirst) {
  const TempFolder folder;
  const std::string builtin = std::string(kBuiltinModel) + ".safetensors";
  test::tiny_bundle().save(folder / builtin);
  Bundle other = test::tiny_bundle();
  other.config.name = "second";
  other.save(folder / "other.safetensors");
  const Environment models("RAE_MODELS", folder.path());
  EXPECT_EQ(find_model(), folder / builtin);
  EXPECT_EQ(find_model("other"), folder / "other.safetensors");
  EXPECT_EQ(Generator::builtin().config().name, "tiny");
  EXPECT_EQ(Generator::builtin({.dtype = DType::bf16}).dtype(), DType::bf16);
  EXPECT_EQ(Autoencoder::builtin().config().name, "tiny");
  EXPECT_EQ(Generator::builtin("other").config().name, "second");
  EXPECT_EQ(Generator::builtin("other", {.dtype = DType::bf16}).dtype(), DType::bf16);
  EXPECT_EQ(Autoencoder::builtin("other").config().name, "second");
  EXPECT_THROW((void)Generator::builtin("absent"), FileError);
}

TEST(ModelSearchTest, AllModelsAreListedByName) {
  const TempFolder folder;
  test::tiny_bundle().save(folder / "other.safetensors");
  (void)folder.write("a.safetensors", "listed without being opened");
  (void)folder.write("a.safetensors.sensitivities.json", "{}");
  (void)folder.write("notes.md", "no model");
  std::filesystem::create_directory(folder / "folder.safetensors");
  const Environment models("RAE_MODELS", folder.path());
  std::vector<std::string> names;
  const std::vector<NamedModel> found = named_models();
  for (const NamedModel& model : found) names.push_back(model.name);
  // The built-in model of the source tree is the first; others of that tree may follow.
  ASSERT_GE(names.size(), 3u);
  EXPECT_EQ(names.front(), kBuiltinModel);
  EXPECT_EQ(names[1], "a");
  EXPECT_EQ(std::count(names.begin(), names.end(), "other"), 1);
  for (const NamedModel& model : found) EXPECT_EQ(find_model(model.name), model.path);

  test::tiny_bundle().save(folder / (std::string(kBuiltinModel) + ".safetensors"));
  EXPECT_EQ(named_models().size(), found.size());
  EXPECT_EQ(named_models().front().path, folder / (std::string(kBuiltinModel) + ".safetensors"));
}

TEST(ModelSearchTest, AMissingFolderIsNoError) {
  const TempFolder folder;
  const Environment models("RAE_MODELS", folder / "absent");
  EXPECT_NO_THROW((void)named_models());
  EXPECT_NO_THROW((void)find_model());
}

TEST(ModelSearchTest, TheSourceTreeIsSearchedLast) {
  const Environment models("RAE_MODELS", "");
  const auto folders = model_folders();
  ASSERT_EQ(folders.size(), 2u);
  EXPECT_EQ(folders[1], std::string(RAE_SOURCE_DIR) + "/examples/models");
}

TEST(ModelSearchTest, AMissingModelIsReportedWithTheFoldersAndAHint) {
  const TempFolder folder;
  const Environment models("RAE_MODELS", folder.path());
  const std::string message = message_of<FileError>([] { (void)find_model("no-such-model"); });
  EXPECT_NE(message.find(folder / "no-such-model.safetensors"), std::string::npos) << message;
  EXPECT_NE(message.find("/examples/models/no-such-model.safetensors"), std::string::npos)
      << message;
  EXPECT_NE(message.find("RAE_MODELS"), std::string::npos) << message;
  EXPECT_NE(message.find("rae train"), std::string::npos) << message;
  EXPECT_EQ(message.find("did you mean"), std::string::npos) << message;
}

TEST(ModelSearchTest, AMisspeltNameGetsTheListAndASuggestion) {
  const TempFolder folder;
  test::tiny_bundle().save(folder / "cifar-ten.safetensors");
  const Environment models("RAE_MODELS", folder.path());
  const std::string message = message_of<FileError>([] { (void)find_model("cifar-tem"); });
  EXPECT_NE(message.find("'cifar-tem' was not found; did you mean 'cifar-ten'?"), std::string::npos)
      << message;
  EXPECT_NE(message.find(std::string("found models: ") + kBuiltinModel + ", "), std::string::npos)
      << message;
}

}  // namespace
}  // namespace rae
