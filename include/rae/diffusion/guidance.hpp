// Guidance: other + scale * (main - other), inside an interval of flow times.
//
// Source: section 4 of the paper (AutoGuidance with a guidance interval) and classifier-free
// guidance, as in the official `forward_with_cfg` and `forward_with_autoguidance` of the DDT model:
// outside of the interval only the main velocity is used. Internal guidance: RAEv2 (arXiv
// 2605.18324), `forward_with_internalguidance` and `forward_with_ig_and_cfg`.
#pragma once

#include <concepts>
#include <optional>
#include <utility>

#include "rae/core/math.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {

/// Classifier-free guidance: the other velocity is that of the same model without its label.
struct Cfg {
  float scale = 1.0f;  ///< 1: no guidance
  float t_min = 0.0f;  ///< guided for t_min <= t <= t_max, both ends included; t = 1 is noise
  float t_max = 1.0f;  ///< see t_min

  /// True if the other velocity is needed at time t.
  [[nodiscard]] constexpr bool active(double t) const noexcept {
    return scale != 1.0f && t >= static_cast<double>(t_min) && t <= static_cast<double>(t_max);
  }
};

/// AutoGuidance: the other velocity is that of a weaker model with the same label.
struct AutoGuidance {
  float scale = 1.0f;  ///< 1: no guidance
  float t_min = 0.0f;  ///< guided for t_min <= t <= t_max, both ends included; t = 1 is noise
  float t_max = 1.0f;  ///< see t_min

  /// True if the other velocity is needed at time t.
  [[nodiscard]] constexpr bool active(double t) const noexcept {
    return scale != 1.0f && t >= static_cast<double>(t_min) && t <= static_cast<double>(t_max);
  }
};

/// Internal guidance: the other output is that of a head on an intermediate layer of the same
/// network, for the same label. It may be combined with classifier-free guidance, for which it
/// guides the outputs with and without the label first.
struct InternalGuidance {
  float scale = 1.0f;  ///< of the outputs with the label; 1: no guidance
  float t_min = 0.0f;  ///< guided for t_min <= t <= t_max, both ends included; t = 1 is noise
  float t_max = 1.0f;  ///< see t_min
  std::optional<float> unconditional_scale{};  ///< of the outputs without a label; absent: `scale`

  /// The scale of the outputs without a label.
  [[nodiscard]] constexpr float without_label() const noexcept {
    return unconditional_scale.value_or(scale);
  }
  /// True unless both scales are 1.
  [[nodiscard]] constexpr bool enabled() const noexcept {
    return scale != 1.0f || without_label() != 1.0f;
  }
  /// True if the output of the head is needed at time t.
  [[nodiscard]] constexpr bool active(double t) const noexcept {
    return enabled() && t >= static_cast<double>(t_min) && t <= static_cast<double>(t_max);
  }
};

/// The requirements of `guided`: a scale and an interval of flow times.
template <class G>
concept Guidance = requires(const G& guidance, double t) {
  { guidance.scale } -> std::convertible_to<float>;
  { guidance.t_min } -> std::convertible_to<float>;
  { guidance.t_max } -> std::convertible_to<float>;
  { guidance.active(t) } -> std::same_as<bool>;
};

/// Throws ArgumentError unless scale is finite and not negative, and 0 <= t_min <= t_max <= 1.
template <Guidance G>
void require_guidance(const G& guidance) {
  if (!(guidance.scale >= 0.0f && math::is_finite(guidance.scale)))
    raise<ArgumentError>("guidance: expected a finite scale >= 0, got ", guidance.scale);
  if (!(guidance.t_min >= 0.0f && guidance.t_min <= guidance.t_max && guidance.t_max <= 1.0f))
    raise<ArgumentError>("guidance: expected 0 <= t_min <= t_max <= 1, got ", guidance.t_min,
                         " and ", guidance.t_max);
}

/// The same, for both scales.
inline void require_internal_guidance(const InternalGuidance& guidance) {
  require_guidance(guidance);
  if (!(guidance.without_label() >= 0.0f && math::is_finite(guidance.without_label())))
    raise<ArgumentError>("internal guidance: expected a finite unconditional scale >= 0, got ",
                         guidance.without_label());
}

/// main = other + scale * (main - other), in place. Both are contiguous, with equal shapes. Throws
/// ShapeError.
template <Real T>
void guide(View<T> main, View<const std::type_identity_t<T>> other, double scale) {
  if (main.empty() || other.empty()) raise<ShapeError>("guide: a tensor is empty");
  require_shape("guide", other.shape(), main.shape());
  if (!main.is_contiguous() || !other.is_contiguous())
    raise<ShapeError>("guide: expected contiguous views");
  const T s = static_cast<T>(scale);
  T* out = main.data();
  const T* base = other.data();
  parallel_elements(main.numel(), index_t{16384}, [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) out[i] = base[i] + s * (out[i] - base[i]);
  });
}

/// main = other + scale * (main - other), in place, for tensors of equal shape. Throws ShapeError.
template <Real T>
void guide(Tensor<T>& main, const Tensor<T>& other, double scale) {
  require_shape("guide", other.shape(), main.shape());
  guide(main.view(), other.view(), scale);
}

/// Guides each sample at its own time: main and other (B, ...), t (B). Samples outside of the
/// interval are not changed. Throws ShapeError.
template <Real T, Guidance G>
void guide(Tensor<T>& main, const Tensor<T>& other, const Tensor<T>& t, const G& guidance) {
  require_shape("guide", other.shape(), main.shape());
  if (main.rank() < 1 || t.numel() != main.extent(0))
    raise<ShapeError>("guide: ", t.numel(), " values of t do not fit samples of shape ",
                      main.shape());
  const View<T> samples = main.view();  // (B, ...)
  for (index_t b = 0; b < t.numel(); ++b)
    if (guidance.active(static_cast<double>(t[b])))
      guide(samples.slice(0, b, 1), other.view().slice(0, b, 1), guidance.scale);
}

/// Returns a velocity, callable (x, t), that guides `main` by `other`, which are callables (x, t)
/// -> Tensor of x's shape. `other` is evaluated only at times at which the guidance is active.
/// Throws ArgumentError for a guidance out of range.
template <class Main, class Other, Guidance G>
[[nodiscard]] auto guided(Main main, Other other, G guidance) {
  require_guidance(guidance);
  return [main = std::move(main), other = std::move(other), guidance]<Real T>(const Tensor<T>& x,
                                                                              T t) mutable {
    Tensor<T> velocity = main(x, t);  // x's shape
    if (guidance.active(static_cast<double>(t)))
      guide(velocity, Tensor<T>(other(x, t)), static_cast<double>(guidance.scale));
    return velocity;
  };
}

}  // namespace rae
