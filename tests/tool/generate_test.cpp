// `rae generate`: output formats, settings, and independence of threads, batch and count.
#include "rae/generate/generator.hpp"

#include <algorithm>
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Generate : public ToolTest {
 protected:
  void SetUp() override { tiny_bundle().save(path("m.safetensors")); }

  /// Runs `rae generate --model m.safetensors` with more arguments; it must succeed.
  ToolResult generate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"generate", "--model", "m.safetensors"});
    auto result = rae(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }
  [[nodiscard]] std::vector<Image> expected(const GenerateOptions& options,
                                            const LoadOptions& load = {}) const {
    return Generator::load(path("m.safetensors"), load).sample(options);
  }
};

TEST_F(Generate, GeneratesThePicturesOfTheLibrary) {
  generate({"--class", "star,0", "--count", "3", "--seed", "7", "--steps", "3", "--sampler", "heun",
            "--cfg", "2", "--cfg-interval", "0.5,1", "--out", "a.npz"});
  const auto images = expected({.labels = {2, 0, 2},
                                .seed = 7,
                                .steps = 3,
                                .solver = Solver::heun,
                                .guidance = Cfg{.scale = 2, .t_min = 0.5f, .t_max = 1}});
  const auto file = NpzFile::open(path("a.npz"));
  const auto pixels = file.read<std::uint8_t>("arr_0");  // (N, H, W, channels)
  ASSERT_EQ(pixels.shape(), (Shape{3, 8, 8, 1}));
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_TRUE(
        std::equal(images[i].pixels().begin(), images[i].pixels().end(), pixels.data() + i * 64))
        << i;
  const auto labels = file.read<std::int64_t>("arr_1");  // (N)
  EXPECT_EQ((std::vector<std::int64_t>(labels.span().begin(), labels.span().end())),
            (std::vector<std::int64_t>{2, 0, 2}));
}

TEST_F(Generate, WritesOnePictureAloneAndSeveralAsAGrid) {
  const auto result = generate({"--class", "1", "--out", "one.png"});
  EXPECT_TRUE(contains(result.out, "one.png: 1 picture, 8 x 8"));
  EXPECT_EQ(Image::open(path("one.png")), expected({.labels = {1}})[0]);
  generate({});  // one of each class
  const Image grid = Image::open(path("samples.png"));
  EXPECT_EQ(grid, Image::grid(expected({.labels = {0, 1, 2}}), 3));
  generate({"--class", "0", "--count", "4", "--out", "four.png"});
  EXPECT_EQ(Image::open(path("four.png")), Image::grid(expected({.labels = {0, 0, 0, 0}}), 2));
  EXPECT_EQ(files(),
            (std::vector<std::string>{"four.png", "m.safetensors", "one.png", "samples.png"}));
}

TEST_F(Generate, UsesTheRequestedDtypeAndReuse) {
  const auto result = generate({"--class", "1", "--steps", "20", "--dtype", "int8", "--reuse-error",
                                "0.3", "--out", "one.png"});
  EXPECT_EQ(Image::open(path("one.png")),
            expected({.labels = {1}, .steps = 20, .reuse_error = 0.3}, {.dtype = DType::int8})[0]);
  EXPECT_TRUE(contains(result.out, "% of 30 evaluations of the model"));
  const auto wrong = rae({"generate", "--model", "m.safetensors", "--dtype", "f16"});
  EXPECT_NE(wrong.status, 0);
  EXPECT_TRUE(contains(wrong.err, "--dtype"));
}

TEST_F(Generate, TakesTheFastestTypeOnRequest) {
  generate({"--class", "1", "--steps", "3", "--dtype", "auto", "--out", "one.png"});
  EXPECT_EQ(Image::open(path("one.png")),
            expected({.labels = {1}, .steps = 3}, {.dtype = fastest_dtype()})[0]);
  // Models that are no published ones are exact without it.
  generate({"--class", "1", "--steps", "3", "--out", "exact.png"});
  EXPECT_EQ(read_png_text(path("exact.png")).count("dtype"), 0u);
}

TEST_F(Generate, WritesAFolder) {
  generate({"--count", "4", "--grid", "--out", "d"});
  for (const std::string name : {"000000-circle.png", "000001-square.png", "000002-star.png",
                                 "000003-circle.png", "grid.png"})
    EXPECT_TRUE(exists("d/" + name)) << name;
  const auto images = expected({.labels = {0, 1, 2, 0}});
  EXPECT_EQ(Image::open(path("d/000003-circle.png")), images[3]);
  EXPECT_EQ(Image::open(path("d/grid.png")), Image::grid(images, 3));
}

TEST_F(Generate, WritesSettingsIntoPictures) {
  generate({"--class", "star", "--count", "2", "--seed", "5", "--steps", "2", "--cfg", "3", "--out",
            "d/"});
  const auto text = read_png_text(path("d/000001-star.png"));
  EXPECT_EQ(text.at("seed"), "5");
  EXPECT_EQ(text.at("index"), "1");
  EXPECT_EQ(text.at("class"), "star");
  const auto shown = rae({"info", "d/000001-star.png"});
  for (const std::string line : {"seed          5\n", "index         1\n", "steps         2\n",
                                 "cfg           3\n", "class         star\n"})
    EXPECT_TRUE(contains(shown.out, line));
  generate({"--count", "4", "--out", "grid.png"});
  EXPECT_EQ(read_png_text(path("grid.png")).at("class"), "circle, square, star, in turn");
  EXPECT_EQ(read_png_text(path("grid.png")).at("index"), "0 to 3");
}

TEST_F(Generate, PicturesDependOnNeitherThreadsNorBatchNorCount) {
  generate({"--count", "5", "--out", "a.npz", "--threads", "1"});
  generate({"--count", "5", "--out", "b.npz", "--threads", "3", "--batch", "2"});
  EXPECT_EQ(slurp(path("a.npz")), slurp(path("b.npz")));
  generate({"--count", "2", "--out", "c.npz"});
  const auto five = NpzFile::open(path("a.npz")).read<std::uint8_t>("arr_0"),
             two = NpzFile::open(path("c.npz")).read<std::uint8_t>("arr_0");  // (N, H, W, channels)
  EXPECT_TRUE(std::equal(two.span().begin(), two.span().end(), five.span().begin()));
}

TEST_F(Generate, WritesLatentsAndReadsNoise) {
  const auto generator = Generator::load(path("m.safetensors"));
  const SafetensorsEntry noise{"noise", generator.noise(9, 2)};
  write_safetensors(path("noise.safetensors"), {&noise, 1});
  generate({"--noise-in", "noise.safetensors", "--latent-out", "l.safetensors", "--out", "a.npz"});
  const auto latents =
      SafetensorsFile::open(path("l.safetensors")).read<float>("sample_latent", Shape{2, 16, 2, 2});
  const auto wanted = generator.sample_latents({.labels = {0, 1}, .seed = 9});  // (B, C, h, w)
  EXPECT_TRUE(std::equal(wanted.span().begin(), wanted.span().end(), latents.data()));
  // Decoding the latents gives the same pictures.
  EXPECT_EQ(rae({"decode", "--model", "m.safetensors", "l.safetensors", "b.npz"}).status, 0);
  const auto a = NpzFile::open(path("a.npz")).read<std::uint8_t>("arr_0"),
             b = NpzFile::open(path("b.npz")).read<std::uint8_t>("arr_0");  // (N, H, W, channels)
  EXPECT_TRUE(std::equal(a.span().begin(), a.span().end(), b.span().begin(), b.span().end()));
}

TEST_F(Generate, AcceptsEverySamplingOption) {
  ModelConfig config = tiny_config();
  config.guide = config.dit;
  config.sampling.autoguidance = AutoGuidance{.scale = 1.5f};
  config.sampling.guidance = {};
  random_bundle(config).save(path("m.safetensors"));
  const auto same = [&](const std::vector<std::string>& arguments, const GenerateOptions& options) {
    generate(arguments);
    EXPECT_EQ(Image::open(path("one.png")), expected(options)[0]);
  };
  same({"--class", "1", "--out", "one.png"}, {.labels = {1}});
  same({"--class", "1", "--autoguidance", "2", "--cfg-interval", "0.2,0.9", "--sampler", "bosh3",
        "--official-grid", "--out", "one.png"},
       {.labels = {1},
        .grid = TimeGridKind::official,
        .solver = AdaptiveSolver::bosh3,
        .autoguidance = AutoGuidance{.scale = 2, .t_min = 0.2f, .t_max = 0.9f}});
  same({"--class", "1", "--cfg", "2", "--sampler", "sde_heun", "--rng", "torch-cpu",
        "--keep-loaded", "--out", "one.png"},
       {.labels = {1},
        .kind = SamplerKind::sde,
        .sde = SdeOptions{.solver = SdeSolver::heun},
        .guidance = Cfg{.scale = 2},
        .rng = Rng::torch_cpu});
  EXPECT_EQ(read_png_text(path("one.png")).at("rng"), "torch-cpu");
  EXPECT_EQ(
      rae({"generate", "--model", "m.safetensors", "--cfg", "2", "--autoguidance", "2"}).status, 2);
  EXPECT_EQ(rae({"generate", "--model", "m.safetensors", "--rng", "dice"}).status, 2);
}

TEST_F(Generate, AGridThatIsTooLargeIsRefusedBeforeSampling) {
  // 3 columns of 8 + 2 pixels; 1639 rows have 16388 pixels, 1638 have 16378.
  const auto before = files();
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--count", "4915", "--out", "x.png"},
        {"--count", "4915", "--out", "-"},
        {"--count", "1000000", "--class", "0,1,2", "--out", "x.png"},
        {"--count", "4915", "--grid", "--out", "folder"}}) {
    std::vector<std::string> arguments{"generate", "--model", "m.safetensors", "--steps", "100000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_TRUE(contains(result.err, "3 in a row, exceeds the largest PNG"));
    EXPECT_TRUE(contains(result.err, more.size() == 5 ? "leave out --grid" : ".npz"));
  }
  EXPECT_EQ(files(), before);
  generate({"--count", "4914", "--steps", "1", "--out", "x.png"});
  EXPECT_EQ(Image::open(path("x.png")).height(), 16378);
}

TEST_F(Generate, ReplacesAnOldFile) {
  write("samples.png", "old");
  generate({});
  EXPECT_EQ(Image::open(path("samples.png")).height(), 8);
}

TEST_F(Generate, ClassNamesMayContainCommas) {
  Bundle bundle = tiny_bundle();
  bundle.config.class_names = {"tench, Tinca tinca", "goldfish", "great white shark"};
  bundle.save(path("m.safetensors"));
  generate({"--class", "tench, Tinca tinca", "--class", "2,goldfish", "--out", "a.npz"});
  EXPECT_EQ(NpzFile::open(path("a.npz")).read<std::int64_t>("arr_1").numel(), 3);
}

}  // namespace
}  // namespace rae::test
