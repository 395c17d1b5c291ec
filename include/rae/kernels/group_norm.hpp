// Group normalisation of pictures, forward and backward: it needs no statistics of a batch, so that
// training and inference are the same.
//
// Wu and He, "Group Normalization" (2018), equations 1 to 6; torch.nn.functional.group_norm.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out (B, C, ...) = n * weight + bias, with n = (x - mean) / sqrt(variance + eps) over the C /
/// groups channels of a group and all positions, for x (B, C, ...), weight (C) and bias (C). All
/// contiguous. Throws ShapeError, ArgumentError when `groups` does not divide C.
template <Real T>
void group_norm(View<const T> x, View<const T> weight, View<const T> bias, index_t groups,
                double eps, View<T> out);

/// dx (B, C, ...) from dout (B, C, ...); dweight (C) += and dbias (C) +=, which may be empty.
/// Statistics are recomputed from x. Throws as group_norm.
template <Real T>
void group_norm_backward(View<const T> x, View<const T> weight, index_t groups, double eps,
                         View<const T> dout, View<T> dx, View<T> dweight, View<T> dbias);

extern template void group_norm<float>(View<const float>, View<const float>, View<const float>,
                                       index_t, double, View<float>);
extern template void group_norm<double>(View<const double>, View<const double>, View<const double>,
                                        index_t, double, View<double>);
extern template void group_norm_backward<float>(View<const float>, View<const float>, index_t,
                                                double, View<const float>, View<float>, View<float>,
                                                View<float>);
extern template void group_norm_backward<double>(View<const double>, View<const double>, index_t,
                                                 double, View<const double>, View<double>,
                                                 View<double>, View<double>);

}  // namespace rae
