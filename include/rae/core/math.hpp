// The elementary functions that headers of core and kernels need, in place of <cmath>, which would
// add five thousand lines to each of them, and of <algorithm>.
#pragma once

namespace rae::math {

// As the functions of <cmath> of the same name.
#define RAE_MATH_FUNCTION(name)                                          \
  inline float name(float x) noexcept { return __builtin_##name##f(x); } \
  inline double name(double x) noexcept { return __builtin_##name(x); }
RAE_MATH_FUNCTION(exp)
RAE_MATH_FUNCTION(log)
RAE_MATH_FUNCTION(log1p)
RAE_MATH_FUNCTION(expm1)
RAE_MATH_FUNCTION(sqrt)
RAE_MATH_FUNCTION(sin)
RAE_MATH_FUNCTION(cos)
RAE_MATH_FUNCTION(tanh)
RAE_MATH_FUNCTION(erfc)
RAE_MATH_FUNCTION(fabs)
RAE_MATH_FUNCTION(floor)
RAE_MATH_FUNCTION(nearbyint)
#undef RAE_MATH_FUNCTION

/// x to the power of y.
inline float pow(float x, float y) noexcept { return __builtin_powf(x, y); }
inline double pow(double x, double y) noexcept { return __builtin_pow(x, y); }
/// The next representable number after x in the direction of y.
inline float nextafter(float x, float y) noexcept { return __builtin_nextafterf(x, y); }
inline double nextafter(double x, double y) noexcept { return __builtin_nextafter(x, y); }

/// True unless x is NaN or infinite.
template <class T>
constexpr bool is_finite(T x) noexcept {
  return x - x == T(0);  // x - x is NaN for infinities and NaN
}

/// True if x is NaN.
template <class T>
constexpr bool is_nan(T x) noexcept {
  return x != x;
}

/// The smaller number; a if they are equal.
template <class T>
constexpr T min(T a, T b) noexcept {
  return b < a ? b : a;
}
/// The larger number; a if they are equal.
template <class T>
constexpr T max(T a, T b) noexcept {
  return a < b ? b : a;
}
/// The number in [low, high] that is nearest to x.
template <class T>
constexpr T clamp(T x, T low, T high) noexcept {
  return x < low ? low : high < x ? high : x;
}

}  // namespace rae::math
