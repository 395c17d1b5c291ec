#include "rae/load/model_search.hpp"

#include <cstdlib>

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
  test::tiny_bundle().save(folder / "fashion-mnist.safetensors");
  test::tiny_bundle().save(folder / "other.safetensors");
  const Environment models("RAE_MODELS", folder.path());
  EXPECT_EQ(find_model(), folder / "fashion-mnist.safetensors");
  EXPECT_EQ(find_model("other"), folder / "other.safetensors");
  EXPECT_EQ(Generator::builtin().config().name, "tiny");
  EXPECT_EQ(Autoencoder::builtin().config().name, "tiny");
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
}

}  // namespace
}  // namespace rae
