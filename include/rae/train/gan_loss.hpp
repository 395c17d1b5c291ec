// Adversarial losses of RAE's decoder training, and the weight that balances them with the
// reconstruction.
//
// Hinge: Lim and Ye, "Geometric GAN" (2017); vanilla: Goodfellow et al. 2014 in logits; weight:
// Esser et al., "Taming Transformers for High-Resolution Image Synthesis" (2021), equation 7.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/optimizer_step.hpp"
#include "rae/ops/elementwise.hpp"
#include "rae/ops/loss.hpp"

namespace rae {

/// Loss of the discriminator: 0.5 (mean max(0, 1 - real) + mean max(0, 1 + fake)), or the same with
/// softplus(-real) and softplus(fake).
enum class GanLoss { hinge, vanilla };

namespace detail {
/// Mean of f(x) over all elements, summed in double in their order; slope is f'.
template <Real T, class F, class Slope>
Var<T> mean_of(const Var<T>& x, F f, Slope slope) {
  const index_t n = x.empty() ? 0 : x.shape().numel();
  if (n == 0) raise<ShapeError>("gan_loss: the mean of no logits is undefined");
  double sum = 0;
  for (const T value : x.value().span()) sum += f(static_cast<double>(value));
  return make_result<T>(
      Tensor<T>(Shape{}, static_cast<T>(sum / static_cast<double>(n))),
      [x, slope, n](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (*)
        T* target = dx.data();
        const double factor = static_cast<double>(g[0]) / static_cast<double>(n);
        for (index_t i = 0; i < n; ++i)
          target[i] = static_cast<T>(factor * slope(static_cast<double>(x.value()[i])));
        x.accumulate(std::move(dx));
      },
      x);
}

/// Mean of max(0, 1 + sign x) or of softplus(sign x).
template <Real T>
Var<T> mean_margin(GanLoss kind, const Var<T>& x, double sign) {
  if (kind == GanLoss::hinge)
    return mean_of(
        x, [sign](double v) { return math::max(0.0, 1 + sign * v); },
        [sign](double v) { return 1 + sign * v > 0 ? sign : 0.0; });
  return mean_of(
      x,
      [sign](double v) {
        return math::max(sign * v, 0.0) + math::log1p(math::exp(-math::fabs(v)));
      },
      [sign](double v) { return sign / (1 + math::exp(-sign * v)); });
}
}  // namespace detail

/// Loss of the discriminator, a scalar, for its logits of real pictures and of reconstructions, of
/// any shapes. Throws ShapeError when either is empty.
template <Real T>
Var<T> discriminator_loss(GanLoss kind, const Var<T>& real, const Var<T>& fake) {
  return scale(add(detail::mean_margin(kind, real, -1.0), detail::mean_margin(kind, fake, 1.0)),
               T(0.5));
}

/// Loss of the generator, -mean(fake), a scalar, with either loss of the discriminator. Throws
/// ShapeError for no logits.
template <Real T>
Var<T> generator_loss(const Var<T>& fake) {
  return scale(mean(fake), T(-1));
}

/// ||g_rec|| / (||g_gan|| + 1e-6) in [0, `largest`]: how the generator's loss is weighted against
/// the reconstruction's, given the gradients of both at the weight of the decoder's last layer. The
/// official code calls `largest` max_d_weight. Throws ShapeError unless both have one shape.
template <Real T>
[[nodiscard]] double adaptive_gan_weight(const Tensor<T>& rec_gradient,
                                         const Tensor<T>& gan_gradient, double largest = 1e4) {
  require_shape("adaptive_gan_weight", gan_gradient.shape(), rec_gradient.shape());
  const double ratio = math::sqrt(sum_of_squares<T>(rec_gradient)) /
                       (math::sqrt(sum_of_squares<T>(gan_gradient)) + 1e-6);
  return math::clamp(ratio, 0.0, largest);
}

}  // namespace rae
