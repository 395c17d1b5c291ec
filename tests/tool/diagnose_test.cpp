// `rae diagnose`.
#include "support/picture_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class DiagnoseTest : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    for (const std::string part : {"train", "test"})
      for (const std::string name : {"dark", "light"})
        for (int i = 0; i < 8; ++i)
          write_picture(path("data/" + part + "/" + name + "/" + std::to_string(i) + ".png"),
                        name == "dark" ? 5 + 3 * i : 160 + 5 * i);
  }
};

TEST_F(DiagnoseTest, PrintsAndWritesLayersAndSettings) {
  const auto result = rae({"diagnose", "--encoder", "m.safetensors", "-d", "data"});
  EXPECT_EQ(result.status, 0) << result.err;
  for (const char* words :
       {"16 pictures in 2 classes, 16 test pictures", "layer 1 ", "linear probe",
        "model.time_shift: 1\n", "model.dit.hidden_size: [any, 32 or more]",
        "decoder.loss.noise_tau: ", "(Theorem 1, from these tokens)", "diagnosis.html: the same"})
    EXPECT_TRUE(contains(result.out, words)) << words << "\n" << result.out;
  const std::string page = slurp(path("diagnosis.html"));
  EXPECT_TRUE(contains(page, "<svg"));
  EXPECT_TRUE(contains(page, "<td>layer 1</td>"));
  EXPECT_TRUE(contains(page, "Diagnosis of m.safetensors"));
}

TEST_F(DiagnoseTest, HoldsPicturesOutWhereThereIsNoTestPart) {
  const auto result =
      rae({"diagnose", "--encoder", "m.safetensors", "-d", "data/train", "-o", "-"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "<!DOCTYPE html>"));
  // A third of 8 pictures of each class, rounded down.
  EXPECT_TRUE(contains(result.out, "12 pictures in 2 classes, 4 test pictures")) << result.out;
}

TEST_F(DiagnoseTest, RefusesWhatItCannotMeasure) {
  const auto size = rae({"diagnose", "--encoder", "m.safetensors", "-d", "data", "--size", "9"});
  EXPECT_EQ(size.status, 2);
  EXPECT_TRUE(contains(size.err, "expected a multiple of the encoder's patch size")) << size.err;
  const auto none = rae({"diagnose", "--encoder", "none", "-d", "data"});
  EXPECT_EQ(none.status, 1);
  EXPECT_TRUE(contains(none.err, "none")) << none.err;
  write("broken.safetensors", "not a bundle");
  EXPECT_EQ(rae({"diagnose", "--encoder", "broken.safetensors", "-d", "data"}).status, 1);
  EXPECT_EQ(rae({"diagnose", "--encoder", "m.safetensors", "-d", "nowhere"}).status, 1);
  EXPECT_EQ(rae({"diagnose", "-d", "data"}).status, 2);
  EXPECT_FALSE(exists("diagnosis.html"));
}

}  // namespace
}  // namespace rae::test
