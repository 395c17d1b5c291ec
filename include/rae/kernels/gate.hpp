// Gated residual: out = x + gate * y, the adaLN-zero gate of DiT and the LayerScale of DINOv2 in
// one kernel.
#pragma once

#include "rae/kernels/norm.hpp"

namespace rae {

/// out (R, D) = x + gate[group of row] * y. `out` may be x. Throws ShapeError.
template <Real T>
void gated_add(View<const T> x, Rows<const T> gate, View<const T> y, View<T> out);

/// dy (R, D) = gate * dout, overwritten; dgate[g] += sum over the rows of group g of dout * y. dx
/// is dout itself. Throws ShapeError.
template <Real T>
void gated_add_backward(Rows<const T> gate, View<const T> y, View<const T> dout, View<T> dy,
                        Rows<T> dgate);

extern template void gated_add<float>(View<const float>, Rows<const float>, View<const float>,
                                      View<float>);
extern template void gated_add<double>(View<const double>, Rows<const double>, View<const double>,
                                       View<double>);
extern template void gated_add_backward<float>(Rows<const float>, View<const float>,
                                               View<const float>, View<float>, Rows<float>);
extern template void gated_add_backward<double>(Rows<const double>, View<const double>,
                                                View<const double>, View<double>, Rows<double>);

}  // namespace rae
