#include "rae/interop/eigen.hpp"

#include <gtest/gtest.h>

#include "rae/kernels/gemm.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

template <class A>
concept Mappable = requires(A&& a) {
  eigen_map(std::forward<A>(a));
};
template <class A>
concept Viewable = requires(A&& a) {
  view_of(std::forward<A>(a));
};
static_assert(Mappable<Tensor<float>&> && Mappable<const Tensor<float>&>);
static_assert(!Mappable<Tensor<float>>, "a map of a temporary tensor would dangle");
static_assert(!Mappable<Tensor<bf16>&>, "Eigen does not know bf16");
static_assert(Viewable<Eigen::MatrixXf&> && Viewable<const Eigen::MatrixXf&> &&
              Viewable<Eigen::Map<Eigen::MatrixXf>>);
static_assert(!Viewable<Eigen::MatrixXf>, "a view of a temporary matrix would dangle");

TEST(EigenTest, TensorsAreMatricesOfRows) {
  Tensor<float> t(Shape{2, 2, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});  // (2, 2, 3)
  auto m = eigen_map(t);
  EXPECT_EQ(m.rows(), 4);
  EXPECT_EQ(m.cols(), 3);
  EXPECT_EQ(m(2, 1), 7.0f);
  EXPECT_EQ(m.data(), std::as_const(t).data());
  m *= 2.0f;
  EXPECT_EQ(t[7], 14.0f);
  const Tensor<float>& constant = t;  // (2, 2, 3)
  EXPECT_EQ(eigen_map(constant).sum(), 132.0f);
  static_assert(std::is_same_v<decltype(eigen_map(constant).data()), const float*>);
}

TEST(EigenTest, MutableMapsDoNotChangeCopies) {
  Tensor<double> t(Shape{2, 2}, 1.0);  // (2, 2)
  const Tensor<double> copy = t;       // (2, 2)
  eigen_map(t).setZero();
  EXPECT_EQ(copy[0], 1.0);
  EXPECT_EQ(t[0], 0.0);
}

TEST(EigenTest, VectorsAndOneRow) {
  Tensor<std::int64_t> t(Shape{3}, {1, 2, 3});  // (3)
  EXPECT_EQ(eigen_map(t).rows(), 1);
  EXPECT_EQ(eigen_vector(t).size(), 3);
  eigen_vector(t)(1) = 7;
  EXPECT_EQ(t[1], 7);
  EXPECT_EQ(eigen_vector(std::as_const(t)).sum(), 11);
  const Tensor<std::int64_t> matrix(Shape{3, 1}, {1, 2, 3});  // (3, 1)
  EXPECT_THROW((void)eigen_vector(matrix), ShapeError);
}

TEST(EigenTest, StridedViewsKeepTheirStrides) {
  Tensor<float> t(Shape{3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});  // (3, 4)
  const auto transposed = eigen_map(t.view().transposed());
  EXPECT_EQ(transposed.rows(), 4);
  EXPECT_EQ(transposed(3, 1), 7.0f);
  eigen_map(t.view().slice(1, 1, 2)).setConstant(-1.0f);
  EXPECT_EQ(t[4], 4.0f);
  EXPECT_EQ(t[5], -1.0f);
  EXPECT_EQ(t[7], 7.0f);
  const View<const float> row = std::as_const(t).view();
  EXPECT_EQ(eigen_map(row)(2, 3), 11.0f);
  const Tensor<float> cube(Shape{2, 3, 4}, 1.0f);  // (2, 3, 4)
  EXPECT_EQ(eigen_map(cube.view()).rows(), 6);
  EXPECT_THROW((void)eigen_map(cube.view().slice(1, 0, 2)), ShapeError);
}

TEST(EigenTest, ViewsMatricesOfBothOrders) {
  Eigen::MatrixXf columns(2, 3);
  columns << 1, 2, 3, 4, 5, 6;
  const View<float> view = view_of(columns);
  EXPECT_EQ(view.shape(), (Shape{2, 3}));
  EXPECT_EQ(view(1, 0), 4.0f);
  EXPECT_EQ(view.stride(0), 1);
  view(0, 2) = 9.0f;
  EXPECT_EQ(columns(0, 2), 9.0f);
  const Eigen::Matrix<double, 2, 3, Eigen::RowMajor> rows = columns.cast<double>();
  const View<const double> constant = view_of(rows);
  EXPECT_EQ(constant(1, 2), 6.0);
  EXPECT_EQ(constant.stride(0), 3);
  EXPECT_EQ(view_of(columns.block(0, 1, 2, 2))(1, 1), 6.0f);
  const Eigen::VectorXf vector = Eigen::VectorXf::LinSpaced(4, 0.0f, 3.0f);
  EXPECT_EQ(view_of(vector).shape(), Shape{4});
  EXPECT_EQ(view_of(columns.row(1)).shape(), Shape{3});
  EXPECT_EQ(view_of(columns.row(1))(2), 6.0f);
}

TEST(EigenTest, KernelsWorkOnEigenMemory) {
  const Eigen::MatrixXf a = Eigen::MatrixXf::Random(5, 7), b = Eigen::MatrixXf::Random(7, 4);
  Tensor<float> out(Shape{5, 4});  // (5, 4)
  gemm(view_of(a), view_of(b), out.view());
  EXPECT_LT((eigen_map(out) - a * b).cwiseAbs().maxCoeff(), 1e-5f);
}

TEST(EigenTest, RefusesTensorsWithoutRows) {
  const Tensor<float> empty, scalar(Shape{}, 1.0f);  // empty, ()
  EXPECT_THROW((void)eigen_map(empty), ShapeError);
  EXPECT_THROW((void)eigen_map(scalar), ShapeError);
  EXPECT_THROW((void)eigen_map(scalar.view()), ShapeError);
  EXPECT_THROW((void)eigen_vector(empty), ShapeError);
}

}  // namespace
}  // namespace rae
