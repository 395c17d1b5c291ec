#include "rae/generate/interpolation.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace rae {
namespace {

/// The weights of a and b at a share of b.
struct Weights {
  double a, b;
};

/// The points weights(share).a * a + weights(share).b * b.
template <class WeightsOf>
Tensor<float> path_between(std::string_view where, const Tensor<float>& a, const Tensor<float>& b,
                           std::span<const double> shares, WeightsOf weights_of) {
  require_shape(where, b.shape(), a.shape());
  if (a.rank() < 1 || a.extent(0) != 1)
    raise<ShapeError>(where, ": expected ends of shape (1, ...), got ", a.shape());
  if (shares.empty()) raise<ArgumentError>(where, ": no shares");
  for (const double share : shares)
    if (!(share >= 0 && share <= 1))
      raise<ArgumentError>(where, ": expected shares in [0, 1], got ", share);
  Tensor<float> out(a.shape().with(0, static_cast<index_t>(shares.size())));  // (n, ...)
  float* target = out.data();
  for (const double share : shares) {
    const Weights w = share == 0 ? Weights{1, 0} : share == 1 ? Weights{0, 1} : weights_of(share);
    for (index_t i = 0; i < a.numel(); ++i)
      *target++ =
          static_cast<float>(w.a * static_cast<double>(a[i]) + w.b * static_cast<double>(b[i]));
  }
  return out;
}

}  // namespace

Tensor<float> spherical_path(const Tensor<float>& a, const Tensor<float>& b,
                             std::span<const double> shares) {
  require_shape("spherical_path", b.shape(), a.shape());
  double aa = 0, bb = 0, ab = 0;
  for (index_t i = 0; i < a.numel(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  const double lengths = std::sqrt(aa * bb);
  const double cosine = lengths > 0 ? std::clamp(ab / lengths, -1.0, 1.0) : 1.0;
  const double angle = std::acos(cosine), sine = std::sin(angle);
  return path_between("spherical_path", a, b, shares, [&](double share) {
    if (sine < 1e-6) return Weights{1 - share, share};
    return Weights{std::sin((1 - share) * angle) / sine, std::sin(share * angle) / sine};
  });
}

Tensor<float> linear_path(const Tensor<float>& a, const Tensor<float>& b,
                          std::span<const double> shares) {
  return path_between("linear_path", a, b, shares, [](double share) {
    return Weights{1 - share, share};
  });
}

}  // namespace rae
