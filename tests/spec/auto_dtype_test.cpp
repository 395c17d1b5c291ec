#include "rae/spec/auto_dtype.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "rae/generate/generator.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/load/model_search.hpp"
#include "support/relative_error.hpp"

namespace rae {
namespace {

TEST(FastestDType, IsTheFirstWhoseErrorIsWithinTheLimit) {
  EXPECT_EQ(fastest_dtype(Isa::avx512_amx), DType::int8);
  EXPECT_EQ(fastest_dtype(Isa::avx512_bf16), DType::int8);
  EXPECT_EQ(fastest_dtype(Isa::avx512_vnni), DType::int8);
  EXPECT_EQ(fastest_dtype(Isa::avx2_vnni), DType::int8);
  EXPECT_EQ(fastest_dtype(Isa::neon_dot), DType::int8);
  EXPECT_EQ(fastest_dtype(Isa::avx2), DType::f32);  // int8 has 7 bits there
  EXPECT_EQ(fastest_dtype(Isa::avx512), DType::f32);
  EXPECT_EQ(fastest_dtype(Isa::neon), DType::f32);
  EXPECT_EQ(fastest_dtype(Isa::baseline), DType::f32);
  EXPECT_EQ(fastest_dtype(), fastest_dtype(active_isa()));
}

TEST(FastestDType, FiguresEndWithF32AndNameEachTypeOnce) {
  for (const Isa isa : kIsas) {
    SCOPED_TRACE(name_of(isa));
    const auto figures = dtype_figures(isa);
    ASSERT_FALSE(figures.empty());
    EXPECT_EQ(figures.back().type, DType::f32);
    EXPECT_EQ(figures.back().error, 0);
    for (std::size_t i = 0; i + 1 < figures.size(); ++i) {
      EXPECT_NE(figures[i].type, DType::f32);
      EXPECT_GT(figures[i].error, figures[i + 1].error);  // the faster type is less exact
      const bool measured = figures[i].speed > 0;
      EXPECT_TRUE(!measured || figures[i].speed > figures[i + 1].speed);
    }
  }
}

TEST(FastestDType, TheErrorOfTheBuiltInModelIsWithinTheLimit) {
  const ModelFiles files = ModelFiles::open(find_model());
  const auto latents = [&](const LoadOptions& load) {
    GenerateOptions options{.labels = {0, 3, 5, 8}, .seed = 1, .steps = 50};
    options.guidance = Cfg{.scale = 1.5f};
    return Generator(files, load).sample_latents(options);  // (4, C, h, w)
  };
  EXPECT_LE(test::relative_error(latents({.auto_dtype = true}), latents({})), kFastestDtypeError);
}

}  // namespace
}  // namespace rae
