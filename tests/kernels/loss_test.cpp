#include "rae/kernels/loss.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "rae/kernels/reference/loss.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
constexpr double kTolerance =
    sizeof(T) == 4 ? 1e-6 : 1e-13;  // the plain sum of 50 000 doubles has an error of about 1e-14

template <class T>
void compare_differences() {
  for (const Shape& shape :
       {Shape{1}, Shape{3, 5}, Shape{7, 1, 3}, Shape{2, 4096}, Shape{3, 5, 77, 41}}) {
    // each of `shape`
    const Tensor<T> a = random_tensor<T>(shape, 1), b = random_tensor<T>(shape, 2);
    Tensor<T> da(shape), expected(shape);  // each of `shape`
    EXPECT_NEAR(mse<T>(a, b), reference::mse<T>(a, b), kTolerance<T>) << shape.to_string();
    EXPECT_NEAR(l1<T>(a, b), reference::l1<T>(a, b), kTolerance<T>) << shape.to_string();
    mse_backward<T>(a, b, T(1.5), da);
    reference::mse_backward<T>(a, b, T(1.5), expected);
    EXPECT_TRUE(close(da, expected, kTolerance<T>)) << shape.to_string();
    l1_backward<T>(a, b, T(1.5), da);
    reference::l1_backward<T>(a, b, T(1.5), expected);
    EXPECT_TRUE(close(da, expected, kTolerance<T>)) << shape.to_string();
  }
}

template <class T>
void compare_cross_entropy() {
  for (const auto& [n, k] : {std::pair<index_t, index_t>{1, 1}, {3, 7}, {130, 10}, {5, 1001}}) {
    const Tensor<T> logits = random_tensor<T>({n, k}, 3);  // (N, K)
    std::vector<std::int64_t> labels;
    for (index_t i = 0; i < n; ++i) labels.push_back(i * 7 % k);
    Tensor<T> dlogits(Shape{n, k}), expected(Shape{n, k});  // (N, K) each
    const T loss = cross_entropy<T>(logits, labels, dlogits);
    EXPECT_NEAR(loss, reference::cross_entropy<T>(logits, labels, expected), kTolerance<T> * 10)
        << n << " rows of " << k;
    EXPECT_TRUE(close(dlogits, expected, kTolerance<T>));
    EXPECT_EQ(loss, cross_entropy<T>(logits, labels));
    const T smooth = cross_entropy<T>(logits, labels, dlogits, 0.1);
    EXPECT_NEAR(smooth, reference::cross_entropy<T>(logits, labels, expected, 0.1),
                kTolerance<T> * 10)
        << n << " rows of " << k;
    EXPECT_TRUE(close(dlogits, expected, kTolerance<T>));
  }
}

template <class T>
void compare_soft_cross_entropy() {
  for (const auto& [n, k] : {std::pair<index_t, index_t>{1, 1}, {3, 7}, {130, 10}, {5, 1001}}) {
    const Tensor<T> logits = random_tensor<T>({n, k}, 3);  // (N, K)
    Tensor<T> targets = random_tensor<T>({n, k}, 4);       // (N, K)
    for (index_t i = 0; i < n * k; ++i) targets[i] = std::abs(targets[i]) / static_cast<T>(k);
    Tensor<T> dlogits(Shape{n, k}), expected(Shape{n, k});  // (N, K) each
    const T loss = soft_cross_entropy<T>(logits, targets, dlogits);
    EXPECT_NEAR(loss, reference::soft_cross_entropy<T>(logits, targets, expected),
                kTolerance<T> * 10)
        << n << " rows of " << k;
    EXPECT_TRUE(close(dlogits, expected, kTolerance<T>));
    EXPECT_EQ(loss, soft_cross_entropy<T>(logits, targets));
    // The shares of one label.
    std::vector<std::int64_t> labels;
    Tensor<T> shares = Tensor<T>::zeros(Shape{n, k});  // (N, K)
    for (index_t i = 0; i < n; ++i) {
      labels.push_back(i * 7 % k);
      shares[i * k + labels.back()] = 1;
    }
    EXPECT_NEAR(soft_cross_entropy<T>(logits, shares), cross_entropy<T>(logits, labels),
                kTolerance<T>);
  }
}

TEST(Loss, AgreesWithReference) {
  compare_differences<float>();
  compare_differences<double>();
}

TEST(CrossEntropy, AgreesWithReference) {
  compare_cross_entropy<float>();
  compare_cross_entropy<double>();
  compare_soft_cross_entropy<float>();
  compare_soft_cross_entropy<double>();
  const Tensor<float> logits(Shape{2, 3}), targets(Shape{2, 2});  // (N, K) each
  EXPECT_THROW((void)soft_cross_entropy<float>(logits, targets), ShapeError);
}

TEST(Loss, BackwardAgreesWithFiniteDifferences) {
  // (3, 5) each
  const Tensor<double> a = random_tensor<double>({3, 5}, 4), b = random_tensor<double>({3, 5}, 5);
  Tensor<double> da(a.shape());  // (3, 5)
  mse_backward<double>(a, b, 2.0, da);
  EXPECT_TRUE(close(
      da, test::numeric_gradient([&](const Tensor<double>& x) { return 2 * mse<double>(x, b); }, a),
      1e-9));
  l1_backward<double>(a, b, 2.0, da);
  EXPECT_TRUE(close(
      da, test::numeric_gradient([&](const Tensor<double>& x) { return 2 * l1<double>(x, b); }, a),
      1e-9));
}

TEST(CrossEntropy, BackwardAgreesWithFiniteDifferences) {
  const Tensor<double> logits = random_tensor<double>({4, 6}, 6);  // (4, 6)
  const std::vector<std::int64_t> labels = {0, 5, 2, 2};
  Tensor<double> dlogits(logits.shape());  // (4, 6)
  EXPECT_GT(cross_entropy<double>(logits, labels, dlogits), 0);
  const auto loss = [&](const Tensor<double>& x) { return cross_entropy<double>(x, labels); };
  EXPECT_TRUE(close(dlogits, test::numeric_gradient(loss, logits), 1e-9));
}

TEST(Loss, SignOfZeroIsZero) {
  const Tensor<float> a(Shape{3}, {1, 2, 3}), b(Shape{3}, {1, 3, 2});  // (3) each
  Tensor<float> da(Shape{3});                                          // (3)
  l1_backward<float>(a, b, 3.0f, da);
  EXPECT_TRUE(close(da, Tensor<float>(Shape{3}, {0, -1, 1}), 0.0));
}

// Summed in float, a million equal terms would lose about four digits.
TEST(Loss, LargeSumsKeepTheirDigits) {
  const Tensor<float> a(Shape{1 << 20}, 0.1f), b(Shape{1 << 20}, 0.0f);  // (2^20) each
  EXPECT_EQ((l1<float>(a, b)), 0.1f);
  EXPECT_EQ((mse<float>(a, b)), static_cast<float>(double(0.1f) * double(0.1f)));
}

TEST(CrossEntropy, HugeLogitsAreStable) {
  const Tensor<float> logits(Shape{2, 3}, {1e30f, -1e30f, 0.0f, -1e30f, -1e30f, -1e30f});  // (2, 3)
  const std::vector<std::int64_t> labels = {0, 1};
  Tensor<float> dlogits(Shape{2, 3});  // (2, 3)
  EXPECT_NEAR(cross_entropy<float>(logits, labels, dlogits), 0.5 * std::log(3.0), 1e-7);
  EXPECT_TRUE(close(dlogits,
                    Tensor<float>(Shape{2, 3}, {0.0f, 0.0f, 0.0f, 1.0f / 6, -1.0f / 3, 1.0f / 6}),
                    1e-7));
}

TEST(Loss, NanIsNotLost) {
  const Tensor<float> a(Shape{2}, {1.0f, std::numeric_limits<float>::quiet_NaN()}),
      b(Shape{2}, 0.0f);  // (2) each
  EXPECT_TRUE(std::isnan(mse<float>(a, b)));
  EXPECT_TRUE(std::isnan(l1<float>(a, b)));
  const std::vector<std::int64_t> labels = {0};
  EXPECT_TRUE(std::isnan(cross_entropy<float>(a.reshaped({1, 2}), labels)));
}

TEST(Loss, ThreadCountDoesNotChangeABit) {
  const Tensor<float> a = random_tensor<float>({300, 333}, 7),
                      b = random_tensor<float>({300, 333}, 8);  // (300, 333) each
  const std::vector<std::int64_t> labels(300, 17);
  EXPECT_TRUE(
      test::same_on_every_thread_count([&] { return Tensor<float>(Shape{1}, mse<float>(a, b)); }));
  EXPECT_TRUE(
      test::same_on_every_thread_count([&] { return Tensor<float>(Shape{1}, l1<float>(a, b)); }));
  EXPECT_TRUE(test::same_on_every_thread_count(
      [&] { return Tensor<float>(Shape{1}, cross_entropy<float>(a, labels)); }));
}

TEST(Loss, RejectsShapes) {
  // (2, 3), (3, 2), (0, 3)
  const Tensor<float> a(Shape{2, 3}, 1.0f), b(Shape{3, 2}, 1.0f), none(Shape{0, 3});
  Tensor<float> da(Shape{5}, 5.0f);  // (5)
  EXPECT_THROW((void)mse<float>(a, b), ShapeError);
  EXPECT_THROW((void)l1<float>(a, b.view().transposed()), ShapeError);
  EXPECT_THROW((void)mse<float>(none, none), ShapeError);
  EXPECT_THROW(mse_backward<float>(a, a, 1.0f, da), ShapeError);
  EXPECT_THROW(l1_backward<float>(a, a, 1.0f, da), ShapeError);
  EXPECT_EQ(da[0], 5.0f);
}

TEST(CrossEntropy, RejectsLabelsAndShapesBeforeWriting) {
  const Tensor<float> logits(Shape{2, 3}, 1.0f), none(Shape{0, 3});    // (2, 3), (0, 3)
  Tensor<float> dlogits(Shape{2, 3}, 5.0f), wrong(Shape{2, 2}, 5.0f);  // (2, 3), (2, 2)
  const std::vector<std::int64_t> good = {0, 2}, large = {0, 3}, negative = {-1, 0}, one = {0};
  EXPECT_THROW((void)cross_entropy<float>(logits, large, dlogits), ArgumentError);
  EXPECT_THROW((void)cross_entropy<float>(logits, negative, dlogits), ArgumentError);
  EXPECT_THROW((void)cross_entropy<float>(logits, one, dlogits), ShapeError);
  EXPECT_THROW((void)cross_entropy<float>(logits, good, wrong), ShapeError);
  EXPECT_THROW((void)cross_entropy<float>(none, {}), ShapeError);
  EXPECT_TRUE(close(dlogits, Tensor<float>(Shape{2, 3}, 5.0f), 0.0));
}

}  // namespace
}  // namespace rae
