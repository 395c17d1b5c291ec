// Rectifiers, forward and backward: of VGG (slope 0) and of the discriminator's heads (slope 0.2).
//
// Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013);
// torch.nn.functional.leaky_relu.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out = x where x > 0, else slope * x. Any shape; both contiguous and of equal size; may be the
/// same memory. Throws ShapeError.
template <Real T>
void leaky_relu(View<const T> x, T slope, View<T> out);

/// dx = dout where x > 0, else slope * dout. All contiguous and of equal size. Throws ShapeError.
template <Real T>
void leaky_relu_backward(View<const T> x, T slope, View<const T> dout, View<T> dx);

extern template void leaky_relu<float>(View<const float>, float, View<float>);
extern template void leaky_relu<double>(View<const double>, double, View<double>);
extern template void leaky_relu_backward<float>(View<const float>, float, View<const float>,
                                                View<float>);
extern template void leaky_relu_backward<double>(View<const double>, double, View<const double>,
                                                 View<double>);

}  // namespace rae
