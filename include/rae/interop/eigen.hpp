// Views between rae and Eigen, without copies. The only public header that includes a third-party
// library.
#pragma once

#include <Eigen/Core>
#include <type_traits>

#include "rae/core/tensor.hpp"

namespace rae {

/// Element types that both libraries support.
template <class T>
concept EigenScalar = std::is_arithmetic_v<std::remove_const_t<T>>;

/// A row-major Eigen matrix; `const T` gives a const matrix.
template <class T>
using EigenMatrix = std::conditional_t<
    std::is_const_v<T>,
    const Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
    Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

/// An Eigen column vector; `const T` gives a const vector.
template <class T>
using EigenVector =
    std::conditional_t<std::is_const_v<T>,
                       const Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, 1>,
                       Eigen::Matrix<T, Eigen::Dynamic, 1>>;

/// Result of `eigen_map` for a tensor, whose rows are contiguous.
template <class T>
using EigenMap = Eigen::Map<EigenMatrix<T>>;
/// Result of `eigen_map` for a view, which has strides of its own.
template <class T>
using EigenStridedMap =
    Eigen::Map<EigenMatrix<T>, Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

/// A tensor as a matrix of rows() x last extent; rank 1 is one row. The map is valid as long as the
/// tensor lives and is not assigned. Throws ShapeError for rank 0.
template <EigenScalar T>
[[nodiscard]] EigenMap<const T> eigen_map(const Tensor<T>& tensor) {
  if (tensor.empty() || tensor.rank() < 1)
    raise<ShapeError>("eigen_map: expected a tensor of rank 1 or more, got ", tensor.shape());
  return {tensor.data(), tensor.shape().rows(), tensor.extent(-1)};
}
template <EigenScalar T>
[[nodiscard]] EigenMap<T> eigen_map(Tensor<T>& tensor) {
  if (tensor.empty() || tensor.rank() < 1)
    raise<ShapeError>("eigen_map: expected a tensor of rank 1 or more, got ", tensor.shape());
  return {tensor.data(), tensor.shape().rows(), tensor.extent(-1)};
}
/// A map of a temporary would dangle.
template <EigenScalar T>
void eigen_map(const Tensor<T>&&) = delete;

/// A view as a matrix of rows() x last extent with any strides, so transposed views work. Throws
/// ShapeError for rank 0, and when the leading dimensions cannot be merged into rows with one
/// stride.
template <EigenScalar T>
[[nodiscard]] EigenStridedMap<T> eigen_map(const View<T>& view) {
  const int rank = view.shape().rank();
  if (view.empty() || rank < 1)
    raise<ShapeError>("eigen_map: expected a view of rank 1 or more, got ", view.shape());
  for (int i = 0; i + 2 < rank; ++i)
    if (view.extent(i) != 1 && view.stride(i) != view.stride(i + 1) * view.extent(i + 1))
      raise<ShapeError>("eigen_map: the leading dimensions of ", view.shape(),
                        " cannot be merged into rows with one stride");
  const index_t row_stride = rank > 1 ? view.stride(rank - 2) : view.extent(0) * view.stride(0);
  return {view.data(), view.shape().rows(), view.extent(-1),
          Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(row_stride, view.stride(-1))};
}

/// A tensor of rank 1 as a column vector. Throws ShapeError for another rank.
template <EigenScalar T>
[[nodiscard]] Eigen::Map<EigenVector<const T>> eigen_vector(const Tensor<T>& tensor) {
  if (tensor.rank() != 1) raise<ShapeError>("eigen_vector: expected rank 1, got ", tensor.shape());
  return {tensor.data(), tensor.numel()};
}
template <EigenScalar T>
[[nodiscard]] Eigen::Map<EigenVector<T>> eigen_vector(Tensor<T>& tensor) {
  if (tensor.rank() != 1) raise<ShapeError>("eigen_vector: expected rank 1, got ", tensor.shape());
  return {tensor.data(), tensor.numel()};
}
template <EigenScalar T>
void eigen_vector(const Tensor<T>&&) = delete;

/// An Eigen matrix, map or block as a view (rows, columns), a vector as a view (size); column-major
/// storage becomes strides. A matrix must be an lvalue, since a view of a temporary would dangle;
/// maps and blocks may be temporaries.
template <class M>
requires(
    bool(std::remove_cvref_t<M>::Flags& Eigen::DirectAccessBit) &&
    (std::is_lvalue_reference_v<M> ||
     !std::is_base_of_v<Eigen::PlainObjectBase<std::remove_cvref_t<M>>, std::remove_cvref_t<M>>))
    [[nodiscard]] auto view_of(M&& matrix) {
  using T = std::remove_pointer_t<decltype(matrix.data())>;
  using Plain = std::remove_cvref_t<M>;
  if constexpr (Plain::IsVectorAtCompileTime)
    return View<T>(matrix.data(), Shape{static_cast<index_t>(matrix.size())},
                   {static_cast<index_t>(matrix.innerStride())});
  else
    return View<T>(
        matrix.data(),
        Shape{static_cast<index_t>(matrix.rows()), static_cast<index_t>(matrix.cols())},
        {static_cast<index_t>(matrix.rowStride()), static_cast<index_t>(matrix.colStride())});
}

}  // namespace rae
