// Bad input: every row of the table ends with status 1 and a message that names file and field, and
// creates no file.
#include <cmath>

#include "rae/io/image.hpp"
#include "rae/io/safetensors.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

struct BadInput {
  std::string name;
  std::vector<std::string> arguments;  // "M" stands for "--model m.safetensors"
  std::vector<std::string> message;    // substrings of it
};

void PrintTo(const BadInput& row, std::ostream* out) { *out << row.name; }

void write_latent(const std::string& path, const std::string& name, const Tensor<float>& latent) {
  const SafetensorsEntry entry{name, latent};
  write_safetensors(path, {&entry, 1});
}

class BadInputTable : public ToolTest, public testing::WithParamInterface<BadInput> {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    const std::string model = slurp(path("m.safetensors"));
    write("cut.safetensors", model.substr(0, model.size() - 100));
    write("long.safetensors", model + "more");
    write("empty.safetensors", "");
    write("huge.safetensors", std::string(7, '\xFF') + "\x7F{}");
    write("text.safetensors", "this is a text and not a model");
    std::string other = model;
    other.replace(other.find("image_size"), 10, "image_sizf");
    write("config.safetensors", other);
    Image(8, 8, 1, 77).save_png(path("in.png"));
    const std::string png = slurp(path("in.png"));
    write("cut.png", png.substr(0, png.size() / 2));
    write("pointer.pt", "version https://git-lfs.github.com/spec/v1\nsize 99\n");
    write("byte.pt", "\x80");
    write("file", "not a folder");
    write("recipe.yaml", "model: [");
    Tensor<float> latent(Shape{2, 16, 2, 2}, 0.5f);  // (B, C, h, w)
    write_latent(path("good.safetensors"), "noise", latent);
    latent.data()[70] = NAN;
    write_latent(path("nan.safetensors"), "latent", latent);
    write_latent(path("nan_noise.safetensors"), "noise", latent);
    write_latent(path("shape.safetensors"), "latent", Tensor<float>(Shape{2, 16, 4}, 0.5f));
    write_latent(path("channels.safetensors"), "noise", Tensor<float>(Shape{2, 8, 2, 2}, 0.5f));
  }
};

TEST_P(BadInputTable, FailsWithStatusOneAndCreatesNoFile) {
  const auto before = files();
  std::vector<std::string> arguments;
  for (const auto& each : GetParam().arguments) {
    if (each == "M") arguments.push_back("--model");
    arguments.push_back(each == "M" ? "m.safetensors" : each);
  }
  const auto result = rae(arguments);
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err.rfind("rae: error: ", 0), 0u) << result.err;
  for (const auto& part : GetParam().message) EXPECT_TRUE(contains(result.err, part));
  EXPECT_EQ(files(), before);
}

const BadInput kBadInputs[] = {
    {"ModelIsMissing",
     {"generate", "--model", "no.safetensors"},
     {"no.safetensors", "No such file"}},
    {"ModelIsTruncated", {"generate", "--model", "cut.safetensors"}, {"cut.safetensors"}},
    {"ModelIsTooLong", {"generate", "--model", "long.safetensors"}, {"long.safetensors"}},
    {"InfoOfAGitLfsPointer", {"info", "pointer.pt"}, {"pointer.pt", "git-lfs pointer", "99"}},
    {"InfoOfOneByte", {"info", "byte.pt"}, {"byte.pt", "torch checkpoint", "has only 1 byte"}},
    {"ModelIsEmpty", {"generate", "--model", "empty.safetensors"}, {"empty.safetensors"}},
    {"ModelHasAHostileHeader", {"generate", "--model", "huge.safetensors"}, {"huge.safetensors"}},
    {"ModelIsText", {"generate", "--model", "text.safetensors"}, {"text.safetensors"}},
    {"ModelIsNotABundle",
     {"generate", "--model", "good.safetensors"},
     {"good.safetensors", "config"}},
    {"ModelIsAPicture", {"generate", "--model", "in.png"}, {"in.png"}},
    {"ModelIsAFolder", {"generate", "--model", "."}, {"'.'"}},
    {"ConfigHasAnUnknownKey",
     {"generate", "--model", "config.safetensors"},
     {"config.safetensors", "image_sizf"}},
    {"EncodeWithATruncatedModel",
     {"encode", "--model", "cut.safetensors", "in.png", "z.safetensors"},
     {"cut.safetensors"}},
    {"UnknownClass", {"generate", "M", "--class", "sta"}, {"'sta'", "did you mean 'star'?"}},
    {"ClassOutOfRange", {"generate", "M", "--class", "0,3"}, {"'3'", "0 to 2"}},
    {"NegativeClass", {"generate", "M", "--class=-1"}, {"'-1'", "0 to 2"}},
    {"NoClass", {"generate", "M", "--class", ","}, {"--class"}},
    {"IntervalIsReversed", {"generate", "M", "--cfg-interval", "0.9,0.1"}, {"t_min", "0.9"}},
    {"NoiseHasNoSuchTensor",
     {"generate", "M", "--noise-in", "nan.safetensors"},
     {"nan.safetensors", "'noise'"}},
    {"NoiseHasAnotherShape",
     {"generate", "M", "--noise-in", "channels.safetensors"},
     {"channels.safetensors", "(B, 16, 2, 2)", "(2, 8, 2, 2)"}},
    {"NoiseIsNotANumber",
     {"generate", "M", "--noise-in", "nan_noise.safetensors"},
     {"nan_noise.safetensors", "value 70", "NaN"}},
    {"NoiseForAnotherCount",
     {"generate", "M", "--noise-in", "good.safetensors", "--count", "3"},
     {"good.safetensors", "--count"}},
    {"LatentIsNotANumber",
     {"decode", "M", "nan.safetensors", "x.png"},
     {"nan.safetensors", "'latent'", "NaN"}},
    {"LatentHasAnotherShape",
     {"decode", "M", "shape.safetensors", "x.png"},
     {"shape.safetensors", "(2, 16, 4)"}},
    {"LatentIsMissing",
     {"decode", "M", "good.safetensors", "x.png"},
     {"good.safetensors", "'latent'", "'noise'"}},
    {"PictureIsTruncated", {"encode", "M", "cut.png", "z.safetensors"}, {"cut.png"}},
    {"PictureIsAnotherFile", {"reconstruct", "M", "file", "x.png"}, {"file"}},
    {"PictureIsMissing", {"reconstruct", "M", "no.png", "x.png"}, {"no.png"}},
    {"OutputFolderIsMissing",
     {"generate", "M", "--out", "no/x.png"},
     {"no/x.png", "'no' does not exist"}},
    {"OutputFolderIsAFile", {"generate", "M", "--out", "file/x.png"}, {"file/x.png"}},
    {"OutputParentIsMissing",
     {"generate", "M", "--out", "no/folder"},
     {"no/folder", "'no' does not exist"}},
    {"OutputFolderIsInsideAFile",
     {"generate", "M", "--out", "file/folder"},
     {"file/folder", "is not a folder"}},
    {"LatentFolderIsMissing",
     {"generate", "M", "--latent-out", "no/l.safetensors"},
     {"no/l.safetensors"}},
    {"LatentOfEncodeHasNoFolder",
     {"encode", "M", "in.png", "no/z.safetensors"},
     {"no/z.safetensors"}},
    {"DiskIsFull", {"generate", "M", "--out", "/dev/full"}, {"/dev/full", "No space left"}},
    {"DiskIsFullForTheSecondFile",
     {"generate", "M", "--latent-out", "l.safetensors", "--out", "/dev/full"},
     {"/dev/full"}},
    {"DiskIsFullForLatents", {"generate", "M", "--latent-out", "/dev/full"}, {"/dev/full"}},
    {"DiskIsFullForAPicture", {"reconstruct", "M", "in.png", "/dev/full"}, {"/dev/full"}},
    {"DataAreMissing", {"stats", "M", "--data", "no", "--out", "s.safetensors"}, {"no"}},
    {"DataHaveNoPictures", {"stats", "M", "--data", "empty", "--out", "s.safetensors"}, {"empty"}},
    {"StatisticsAreAnotherFile",
     {"stats", "--merge", "nan.safetensors", "--out", "s.safetensors"},
     {"nan.safetensors", "count"}},
};

INSTANTIATE_TEST_SUITE_P(Table, BadInputTable, testing::ValuesIn(kBadInputs),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace rae::test
