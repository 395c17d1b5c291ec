// `rae info`: every kind of file, and the machine.
#include "rae/core/parallel.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Info : public ToolTest {};

TEST_F(Info, ShowsSizeAndSettingsOfAPicture) {
  Image(5, 4, 3).save_png(path("a.png"), {{"seed", "7"}, {"class", "caf\xC3\xA9"}});
  const auto result = rae({"info", "a.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "a.png: PNG, 5 x 4, RGB"));
  EXPECT_TRUE(contains(result.out, "  class  caf\xC3\xA9\n  seed   7\n"));
}

TEST_F(Info, TextOfAFileDoesNotSteerTheTerminal) {
  Image(5, 4, 1).save_png(path("a.png"), {{"note",
                                           "a\x1b[2Jb\xC2\x9B"
                                           "c"}});
  EXPECT_TRUE(contains(rae({"info", "a.png"}).out, "a?[2Jb?c"));
}

TEST_F(Info, ListsTensors) {
  const SafetensorsEntry entry{"latent", Tensor<float>({1, 2, 3, 4}, 1.0f), DType::bf16};
  write_safetensors(path("a.safetensors"), {&entry, 1}, {{"made by", "a test"}});
  const auto result = rae({"info", "a.safetensors"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "a.safetensors: safetensors, 1 tensor"));
  EXPECT_TRUE(contains(result.out, "bf16  (1, 2, 3, 4)"));
  EXPECT_TRUE(contains(result.out, "made by  a test"));
}

TEST_F(Info, ListsArrays) {
  write_npz(path("a.npz"), Tensor<std::uint8_t>({3, 2, 2, 1}, std::uint8_t{7}));
  const auto result = rae({"info", "a.npz"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "u8  (3, 2, 2, 1)  arr_0"));
}

TEST_F(Info, ShowsTheMachine) {
  const auto result = rae({"info", "--system"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "baseline"));
  EXPECT_TRUE(contains(result.out, parallel_backend()));
}

TEST_F(Info, RefusesWhatItDoesNotKnow) {
  write("text", "hello, world, this is text");
  write("short", "\x89");
  write("cut.png", "\x89PNG\r\n\x1a\n");
  write("cut.safetensors", std::string("\xFF\0\0\0\0\0\0\0{", 9));
  write("cut.npz", "PK\x03\x04");
  for (const std::string name : {"text", "short", "cut.png", "cut.safetensors", "cut.npz", "absent", "."}) {
    const auto result = rae({"info", name});
    EXPECT_EQ(result.status, 1) << name;
    EXPECT_EQ(result.out, "") << name;
    EXPECT_EQ(result.err.rfind("rae: error: ", 0), 0u) << result.err;
    EXPECT_TRUE(contains(result.err, name));
  }
}

}  // namespace
}  // namespace rae::test
