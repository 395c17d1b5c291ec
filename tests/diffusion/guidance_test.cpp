#include "rae/diffusion/guidance.hpp"

#include <functional>

#include "rae/core/random.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::expect_close;

static_assert(Guidance<Cfg> && Guidance<AutoGuidance>);

TEST(GuidanceTest, IntervalIncludesBothEnds) {
  const Cfg cfg{.scale = 2.0f, .t_min = 0.25f, .t_max = 0.75f};
  EXPECT_TRUE(cfg.active(0.25));
  EXPECT_TRUE(cfg.active(0.5));
  EXPECT_TRUE(cfg.active(0.75));
  EXPECT_FALSE(cfg.active(0.2499));
  EXPECT_FALSE(cfg.active(0.7501));
  const AutoGuidance all{.scale = 1.5f};
  EXPECT_TRUE(all.active(0.0));
  EXPECT_TRUE(all.active(1.0));
  EXPECT_FALSE(AutoGuidance{}.active(0.5));
  EXPECT_FALSE(Cfg{}.active(0.5));
}

TEST(GuidanceTest, ExtrapolatesFromOtherThroughMain) {
  Tensor<float> main(Shape{2, 2}, {1.0f, 2.0f, 3.0f, 4.0f});         // (2, 2)
  const Tensor<float> other(Shape{2, 2}, {0.0f, 2.0f, 5.0f, 4.0f});  // (2, 2)
  guide(main, other, 2.0);
  expect_close(main, Tensor<float>(Shape{2, 2}, {2.0f, 2.0f, 1.0f, 4.0f}), 0.0);
  guide(main, other, 0.0);
  expect_close(main, other, 0.0);
}

TEST(GuidanceTest, LargeTensorsOnManyThreads) {
  Tensor<double> main(Shape{3, 40000}), other(Shape{3, 40000});  // (3, 40000) each
  for (index_t i = 0; i < main.numel(); ++i) {
    main.data()[i] = static_cast<double>(i % 97);
    other.data()[i] = static_cast<double>(i % 89);
  }
  const Tensor<double> before = main;  // main's shape
  set_num_threads(4);
  guide(main, other, 1.5);
  set_num_threads(0);
  for (index_t i = 0; i < main.numel(); ++i)
    ASSERT_DOUBLE_EQ(main[i], other[i] + 1.5 * (before[i] - other[i])) << i;
}

TEST(GuidanceTest, GuidesHalvesOfADoubledBatch) {
  Tensor<float> both(Shape{4, 1}, {1.0f, 2.0f, 0.0f, 1.0f});  // (4, 1)
  const Tensor<float> copy = both;                            // both's shape
  guide(both.view().slice(0, 0, 2), copy.view().slice(0, 2, 2), 3.0);
  expect_close(both, Tensor<float>(Shape{4, 1}, {3.0f, 4.0f, 0.0f, 1.0f}), 0.0);
}

TEST(GuidanceTest, GuidesEachSampleAtItsOwnTime) {
  Tensor<float> main(Shape{4, 2}, 1.0f);  // (4, 2)
  const Tensor<float> other(Shape{4, 2}, 0.0f),
      t(Shape{4}, {0.0f, 0.25f, 0.5f, 0.75f});  // (4, 2), (4)
  guide(main, other, t, Cfg{.scale = 3.0f, .t_min = 0.25f, .t_max = 0.5f});
  expect_close(main, Tensor<float>(Shape{4, 2}, {1, 1, 3, 3, 3, 3, 1, 1}), 0.0);
  EXPECT_THROW(guide(main, other, Tensor<float>(Shape{3}, 0.5f), Cfg{.scale = 3.0f}), ShapeError);
}

TEST(GuidanceTest, EvaluatesOtherOnlyWhereGuidanceIsActive) {
  int main_calls = 0, other_calls = 0;
  const auto main = [&](const Tensor<float>& x, float) {
    ++main_calls;
    return Tensor<float>(x.shape(), 2.0f);
  };
  const auto other = [&](const Tensor<float>& x, float) {
    ++other_calls;
    return Tensor<float>(x.shape(), 1.0f);
  };
  const Tensor<float> x(Shape{1, 3}, 0.0f);  // (1, 3)
  auto velocity = guided(main, other, AutoGuidance{.scale = 1.5f, .t_min = 0.1f, .t_max = 0.6f});
  expect_close(velocity(x, 0.9f), Tensor<float>(x.shape(), 2.0f), 0.0);
  EXPECT_EQ(other_calls, 0);
  expect_close(velocity(x, 0.6f), Tensor<float>(x.shape(), 2.5f), 0.0);
  EXPECT_EQ(other_calls, 1);
  EXPECT_EQ(main_calls, 2);
  auto plain = guided(main, other, Cfg{.scale = 1.0f});
  expect_close(plain(x, 0.5f), Tensor<float>(x.shape(), 2.0f), 0.0);
  EXPECT_EQ(other_calls, 1);
}

TEST(GuidanceTest, DoesNotChangeATensorThatTheModelKeeps) {
  const Tensor<float> cached(Shape{2}, 2.0f), zero(Shape{2}, 0.0f);  // (2)
  auto velocity = guided([&](const Tensor<float>&, float) { return cached; },
                         [&](const Tensor<float>&, float) { return zero; }, Cfg{.scale = 2.0f});
  expect_close(velocity(zero, 0.5f), Tensor<float>(Shape{2}, 4.0f), 0.0);
  expect_close(cached, Tensor<float>(Shape{2}, 2.0f), 0.0);
}

TEST(GuidanceTest, RejectsInvalidArguments) {
  const auto velocity = [](const Tensor<float>& x, float) { return x; };
  for (const Cfg& bad : {Cfg{.scale = NAN}, Cfg{.scale = -1.0f}, Cfg{.scale = INFINITY},
                         Cfg{.t_min = 0.6f, .t_max = 0.5f}, Cfg{.t_min = -0.1f}, Cfg{.t_max = 1.1f},
                         Cfg{.t_min = NAN}})
    EXPECT_THROW((void)guided(velocity, velocity, bad), ArgumentError);
  Tensor<float> main(Shape{2, 2}, 1.0f);  // (2, 2)
  EXPECT_THROW(guide(main, Tensor<float>(Shape{4}, 1.0f), 2.0), ShapeError);
  Tensor<float> empty;
  EXPECT_THROW(guide(empty, empty, 2.0), ShapeError);
  EXPECT_THROW(guide(main.view().transposed(), std::as_const(main).view(), 2.0), ShapeError);
}

}  // namespace
}  // namespace rae
