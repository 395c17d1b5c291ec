// Models by name: `rae info builtin`, and options that take a model.
#include <cstdlib>

#include "rae/load/model_search.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// With the models "second", and, if `with_default`, the default one in a folder of RAE_MODELS.
class ModelNames : public ToolTest {
 protected:
  ModelNames() {
    Bundle second = tiny_bundle();
    second.config.name = "second";
    second.notes = {{"subject", "three shapes"}, {"data", "drawn shapes"}};
    second.save(models_ / "second.safetensors");
    if (const char* before = std::getenv("RAE_MODELS")) before_ = before;
    ::setenv("RAE_MODELS", models_.path().c_str(), 1);
  }
  ~ModelNames() override {
    if (before_)
      ::setenv("RAE_MODELS", before_->c_str(), 1);
    else
      ::unsetenv("RAE_MODELS");
  }

  /// Draws with the model; the text of the picture has the name of its configuration.
  [[nodiscard]] ToolResult draw(const std::string& model) const {
    return rae({"generate", "--model", model, "--class", "0", "--out", "a.png"});
  }
  [[nodiscard]] bool drew_with(const std::string& name) const {
    return contains(rae({"info", "a.png"}).out, name) == true;
  }

  TempFolder models_;

 private:
  std::optional<std::string> before_;
};

TEST_F(ModelNames, InfoListsAllModels) {
  (void)models_.write("broken.safetensors", "not a model");
  const auto result = rae({"info", "builtin"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, std::string(kBuiltinModel) + "  (the default, 'builtin')\n"));
  EXPECT_TRUE(contains(result.out,
                       "\nsecond\n  subject     three shapes\n"
                       "  pictures    8 x 8, gray\n  classes     3\n  parameters  "));
  EXPECT_TRUE(contains(result.out, "  size        "));
  EXPECT_TRUE(contains(result.out, "  file        " + models_ / "second.safetensors"));
  EXPECT_TRUE(contains(result.out, "\nbroken\n  unusable    "));
}

TEST_F(ModelNames, NamesSelectModels) {
  EXPECT_EQ(draw("second").status, 0);
  EXPECT_TRUE(drew_with("second"));
  tiny_bundle().save(models_ / (std::string(kBuiltinModel) + ".safetensors"));
  EXPECT_EQ(draw("builtin").status, 0);
  EXPECT_TRUE(drew_with("tiny"));
  EXPECT_EQ(draw(kBuiltinModel).status, 0);
  EXPECT_TRUE(drew_with("tiny"));
  const auto info = rae({"info", "second"});
  EXPECT_TRUE(contains(info.out, "second.safetensors: bundle, ")) << info.err;
  EXPECT_EQ(rae({"convert", "second", "copy.safetensors"}).status, 0);
  EXPECT_TRUE(exists("copy.safetensors"));
}

TEST_F(ModelNames, AFileOfTheSameNameIsPreferred) {
  Bundle here = tiny_bundle();
  here.config.name = "here";
  for (const char* name : {"second", "builtin"}) {
    here.save(path(name));
    const auto result = draw(name);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(result.err, std::string("rae: note: '") + name +
                                         "' is the file or folder of this name, not the"));
    EXPECT_TRUE(drew_with("here"));
    EXPECT_TRUE(contains(rae({"info", name}).out, std::string(name) + ": bundle, "));
  }
}

TEST_F(ModelNames, UnknownNamesGetTheListAndASuggestion) {
  const auto result = draw("secnd");
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "the model 'secnd' was not found; did you mean 'second'?"));
  EXPECT_TRUE(contains(result.err, "found models: "));
  // A path is not looked up by name.
  EXPECT_TRUE(contains(draw("absent/secnd").err, "absent/secnd"));
  EXPECT_FALSE(contains(draw("./secnd").err, "found models"));
  EXPECT_FALSE(exists("a.png"));
}

}  // namespace
}  // namespace rae::test
