// The effect of narrower weights on results: velocities and latents of random, golden and trained
// models.
#include "rae/spec/weight_types.hpp"

#include <algorithm>
#include <cmath>

#include "rae/generate/generator.hpp"
#include "rae/load/model_search.hpp"
#include "support/relative_error.hpp"
#include "support/sampler_model.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

struct Narrow {
  DType dtype;
  // The error of one operand, relative to its root mean square. bf16: 2^-9 / sqrt(3). int8: 1 /
  // sqrt(12) of a step, which is 1 / 127 of a row's largest element, about three times the root
  // mean square. int8w and int4: the same of a step of 1 / 128 or 1 / 8 of the largest element of a
  // group of 32, about 2.2 times the root mean square, divided by sqrt(2), because only one of the
  // two operands is rounded.
  double rounding;
};
constexpr Narrow kNarrow[] = {
    {DType::bf16, 0.00113}, {DType::int8, 0.0068}, {DType::int8w, 0.0038}, {DType::int4, 0.061}};

/// The error of n products in sequence, if all contribute equally.
double estimate(const Narrow& type, int products) {
  return type.rounding * std::sqrt(2.0 * products);
}

/// A tiny random model with eleven products in sequence.
TEST(WeightTypes, ResultsAreCloseToThoseOfF32) {
  const ModelFiles files = test::tiny_bundle().files();
  const Generator exact(files);
  const Tensor<float> x = exact.noise(3, 6);  // (B, C, h, w)
  const std::vector<std::int64_t> labels{0, 1, 2, 0, 1, 2};
  const GenerateOptions options{.labels = labels, .seed = 3, .steps = 10};
  for (const Narrow& type : kNarrow) {
    const Generator generator(files, {.dtype = type.dtype});
    const double velocity =
        test::relative_error(generator.velocity(x, 0.5f, labels), exact.velocity(x, 0.5f, labels));
    EXPECT_GT(velocity, type.rounding / 4) << name_of(type.dtype);
    const double most = std::min(0.5, 4 * estimate(type, 11));
    EXPECT_LT(velocity, most) << name_of(type.dtype);
    EXPECT_LT(
        test::relative_error(generator.sample_latents(options), exact.sample_latents(options)),
        most)
        << name_of(type.dtype);
    EXPECT_EQ(generator.png_text(options, 0).at("dtype"), name_of(type.dtype));
  }
}

/// Latents at the end of sampling, compared with the official code: 50 steps without guidance, and
/// 8 steps with each kind of guidance.
TEST(WeightTypes, LatentsAreCloseToTheOfficialOnes) {
  const test::Golden golden("sample_ode/io.safetensors");
  const Tensor<std::int64_t> y = golden.get<std::int64_t>("y");  // (B)
  GenerateOptions options{.labels = {y.span().begin(), y.span().end()}, .noise = golden("z")};
  for (const Narrow& type : kNarrow) {
    const Generator generator(test::sampler_model(), {.dtype = type.dtype});
    const DitDhConfig& dit = generator.config().dit->get<DitDhConfig>();
    const auto expect_near = [&](const char* name, GenerateOptions o, double bound) {
      const double e = test::relative_error(generator.sample_latents(o), golden(name));
      EXPECT_LT(e, bound) << name_of(type.dtype) << ' ' << name;
      EXPECT_GT(e, type.rounding / 4) << name_of(type.dtype) << ' ' << name;
      RecordProperty(std::string(name_of(type.dtype)) + ' ' + name, std::to_string(e));
    };
    GenerateOptions plain = options, cfg = options, guided = options;
    plain.steps = 50;
    cfg.guidance = Cfg{.scale = 2};
    guided.autoguidance = AutoGuidance{.scale = 1.42f};
    // Guidance adds the errors of two evaluations with factors of at most 2 and -1.
    const int products = 4 * static_cast<int>(dit.depth[0] + dit.depth[1]) + 3;
    expect_near("final.euler_50", plain, estimate(type, products));
    expect_near("final.cfg2_full", cfg, std::sqrt(5.0) * estimate(type, products));
    expect_near("final.ag1.42_full", guided, std::sqrt(5.0) * estimate(type, products));
  }
}

/// The trained model. docs/09_data_types.md has its errors over more pictures and steps.
TEST(WeightTypes, LatentsOfTheBuiltInModelAreClose) {
  const ModelFiles files = ModelFiles::open(find_model("fashion-mnist"));
  const Generator exact(files);
  const GenerateOptions options{.labels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, .seed = 1, .steps = 20};
  const Tensor<float> expected = exact.sample_latents(options);  // (B, C, h, w)
  for (const auto& [dtype, bound] : {std::pair(DType::bf16, 0.006), std::pair(DType::int8, 0.04),
                                     std::pair(DType::int8w, 0.012), std::pair(DType::int4, 0.17)})
    EXPECT_LT(
        test::relative_error(Generator(files, {.dtype = dtype}).sample_latents(options), expected),
        bound)
        << name_of(dtype);
}

}  // namespace
}  // namespace rae
