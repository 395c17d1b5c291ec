// exp and the Gauss error function as branch-free polynomials that the compiler vectorises, and their use in activations.
// Errors against double, measured by tests/kernels/activation_test.cpp: exp 2 ULP, erf 3 ULP. Included inside an anonymous namespace.

inline float exp_poly(float x) {
  // Beyond these the result would not be a normal float; the callers only need 0 and "very large" there.
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // adding 1.5*2^23 rounds to an integer
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;    // ln 2 in two parts, so that n*ln 2 is exact enough
  float p = 1.394858994e-03f;
  p = p * r + 8.375135275e-03f;
  p = p * r + 4.166621814e-02f;
  p = p * r + 1.666641540e-01f;
  p = p * r + 5.000000108e-01f;
  p = p * r + 1.000000038e+00f;
  p = p * r + 1.0f;
  const int exponent = (static_cast<int>(n) + 127) << 23;
  float power;
  __builtin_memcpy(&power, &exponent, sizeof power);
  return p * power;
}
inline double exp_poly(double x) { return __builtin_exp(x); }

inline float erf_poly(float x) {
  const float z = x < 0 ? -x : x;
  const float u = z * z;
  float p = -9.673590254e-06f;  // erf(z) / z in z^2, on [0, 1]
  p = p * u + 1.126825371e-04f;
  p = p * u - 8.484396527e-04f;
  p = p * u + 5.221053411e-03f;
  p = p * u - 2.686543831e-02f;
  p = p * u + 1.128378262e-01f;
  p = p * u - 3.761263848e-01f;
  p = p * u + 1.128379167e+00f;
  const float w = z > 4.0f ? 4.0f : z;  // erf(4) rounds to 1
  float q = -6.524700375e-08f;          // log(erfc(z)), on [0.95, 4.1]
  q = q * w + 3.059844563e-06f;
  q = q * w - 5.949298939e-05f;
  q = q * w + 6.687776467e-04f;
  q = q * w - 5.000145870e-03f;
  q = q * w + 2.694027291e-02f;
  q = q * w - 1.108021690e-01f;
  q = q * w - 6.312028202e-01f;
  q = q * w - 1.130535967e+00f;
  q = q * w + 3.830313166e-04f;
  const float e = z < 1.0f ? z * p : 1.0f - exp_poly(q);
  return x < 0 ? -e : e;
}
inline double erf_poly(double x) { return __builtin_erf(x); }

template <class T>
inline T sigmoid(T x) {
  return T(1) / (T(1) + exp_poly(-x));
}

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInvSqrt2Pi = 0.39894228040143267794;
constexpr double kSqrt2OverPi = 0.79788456080286535588;
constexpr double kGeluCubic = 0.044715;

template <class T>
inline T gelu(T x) {
  return T(0.5) * x * (T(1) + erf_poly(x * T(kSqrtHalf)));
}
template <class T>
inline T gelu_slope(T x) {
  return T(0.5) * (T(1) + erf_poly(x * T(kSqrtHalf))) + x * T(kInvSqrt2Pi) * exp_poly(T(-0.5) * x * x);
}
// 0.5*(1 + tanh(u)) is the logistic function of 2u, which loses no digits near zero.
template <class T>
inline T gelu_tanh(T x) {
  return x * sigmoid(T(2 * kSqrt2OverPi) * x * (T(1) + T(kGeluCubic) * x * x));
}
template <class T>
inline T gelu_tanh_slope(T x) {
  const T s = sigmoid(T(2 * kSqrt2OverPi) * x * (T(1) + T(kGeluCubic) * x * x));
  return s + x * s * (T(1) - s) * T(2 * kSqrt2OverPi) * (T(1) + T(3 * kGeluCubic) * x * x);
}
template <class T>
inline T silu(T x) {
  return x * sigmoid(x);
}
template <class T>
inline T silu_slope(T x) {
  const T s = sigmoid(x);
  return s * (T(1) + x * (T(1) - s));
}

template <class T, class F>
inline void map(index_t n, const T* x, T* out, F f) {
  for (index_t i = 0; i < n; ++i) out[i] = f(x[i]);
}

template <class T>
void activate(Activation f, index_t n, const T* x, T* out) {
  switch (f) {
    case Activation::none: map(n, x, out, [](T v) { return v; }); break;
    case Activation::gelu: map(n, x, out, [](T v) { return gelu(v); }); break;
    case Activation::gelu_tanh: map(n, x, out, [](T v) { return gelu_tanh(v); }); break;
    case Activation::silu: map(n, x, out, [](T v) { return silu(v); }); break;
    case Activation::swiglu: break;  // of whole rows, never asked for here
  }
}

template <class T>
void activate_backward(Activation f, index_t n, const T* x, const T* dout, T* dx) {
  switch (f) {
    case Activation::none:
      for (index_t i = 0; i < n; ++i) dx[i] = dout[i];
      break;
    case Activation::gelu:
      for (index_t i = 0; i < n; ++i) dx[i] = dout[i] * gelu_slope(x[i]);
      break;
    case Activation::gelu_tanh:
      for (index_t i = 0; i < n; ++i) dx[i] = dout[i] * gelu_tanh_slope(x[i]);
      break;
    case Activation::silu:
      for (index_t i = 0; i < n; ++i) dx[i] = dout[i] * silu_slope(x[i]);
      break;
    case Activation::swiglu: break;
  }
}

template <class T>
void swiglu(index_t f, const T* x, T* out) {
  for (index_t i = 0; i < f; ++i) out[i] = silu(x[i]) * x[f + i];
}

template <class T>
void swiglu_backward(index_t f, const T* x, const T* dout, T* dx) {
  for (index_t i = 0; i < f; ++i) {
    const T gate = x[i], up = x[f + i], d = dout[i];
    dx[i] = d * up * silu_slope(gate);
    dx[f + i] = d * silu(gate);
  }
}
