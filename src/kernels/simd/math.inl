// exp and the tail of the normal distribution as branch-free polynomials on vectors, and their use
// in activations, whose errors against double are measured by tests/kernels/activation_test.cpp.
// Included inside an anonymous namespace.

// Calls body(get, put) for every vector of rows of n elements: get(p) loads that vector of a row,
// put(v, p) stores it. The tail is padded with zeros, which are not
// stored, so that every element is computed in the same way.
template <class T, class Body>
inline void for_vectors(index_t n, Body body) {
  constexpr index_t kStep = VectorOf<T>::lanes;
  index_t i = 0;
  for (; i + kStep <= n; i += kStep)
    body([=](const T* p) { return load(p + i); }, [=](Vector<T> v, T* p) { store<T>(v, p + i); });
  if (i == n) return;
  const std::size_t bytes = static_cast<std::size_t>(n - i) * sizeof(T);
  body(
      [=](const T* p) {
        Vector<T> v{};
        __builtin_memcpy(&v, p + i, bytes);
        return v;
      },
      [=](Vector<T> v, T* p) { __builtin_memcpy(p + i, &v, bytes); });
}

template <class T>
inline Vector<T> at_least(T limit, Vector<T> x) {
  return x < limit ? broadcast(limit) : x;
}
template <class T>
inline Vector<T> at_most(T limit, Vector<T> x) {
  return x > limit ? broadcast(limit) : x;
}

// The error is at most 2 ULP.
inline Vector<float> exp_vector(Vector<float> x) {
  constexpr float kRound =
      12582912.0f +
      127.0f;  // 1.5 * 2^23: a sum with it is an integer; 127: the bias of an exponent
  // Outside of this range the result is no normal float; callers only need 0 or a very large number
  // there.
  x = at_most(88.0f, at_least(-87.0f, x));
  const Vector<float> whole = x * 1.44269504f + kRound, n = whole - kRound;
  const Vector<float> r = (x - n * 0.693359375f) +
                          n * 2.12194440e-4f;  // ln 2 in two parts, so that n*ln 2 is exact enough
  Vector<float> p = r * 1.394858994e-03f + 8.375135275e-03f;
  p = p * r + 4.166621814e-02f;
  p = p * r + 1.666641540e-01f;
  p = p * r + 5.000000108e-01f;
  p = p * r + 1.000000038e+00f;
  p = p * r + 1.0f;
  return p * reinterpret_cast<Vector<float>>(reinterpret_cast<Vector<std::uint32_t>>(whole) << 23);
}
inline Vector<double> exp_vector(Vector<double> x) {
  for (index_t l = 0; l < VectorOf<double>::lanes; ++l) x[l] = __builtin_exp(x[l]);
  return x;
}

// P(N(0, 1) > z) for z >= 0, given e = exp(-z^2 / 2): the rest is a polynomial in 1 / (1 + z/4),
// fitted to a relative error of 2e-8 near zero, which grows to 2e-5 where the tail itself is below
// 1e-4.
inline Vector<float> normal_tail(Vector<float> z, Vector<float> e) {
  const Vector<float> t = 1.0f / (z * 0.25f + 1.0f);
  Vector<float> p = t * -9.131534974e-02f + 3.403447851e-01f;
  p = p * t - 2.646990526e-01f;
  p = p * t + 2.790007787e-01f;
  p = p * t + 2.590351163e-02f;
  p = p * t + 1.119240085e-01f;
  p = p * t + 9.884132740e-02f;
  return e * (p * t);
}
inline Vector<double> normal_tail(Vector<double> z, Vector<double>) {
  for (index_t l = 0; l < VectorOf<double>::lanes; ++l)
    z[l] = 0.5 * __builtin_erfc(z[l] * 0.70710678118654752440);
  return z;
}

constexpr double kInvSqrt2Pi = 0.39894228040143267794;
constexpr double kSqrt2OverPi = 0.79788456080286535588;
constexpr double kGeluCubic = 0.044715;

template <class T>
struct NormalTail {
  Vector<T> z, density, above;  // |x|, exp(-z^2 / 2), P(N(0, 1) > z)
};
template <class T>
inline NormalTail<T> normal_tail_at(Vector<T> x) {
  const Vector<T> z = at_most(T(40), x < T(0) ? -x : x);  // the tail is 0 there, in double too
  const Vector<T> e = exp_vector(z * z * T(-0.5));
  return {z, e, normal_tail(z, e)};
}
// x P(N(0, 1) < x): for a positive x, x minus the tail above |x|; for a negative x, the tail alone.
template <class T>
inline Vector<T> gelu(Vector<T> x) {
  const NormalTail<T> tail = normal_tail_at<T>(x);
  return at_least(T(0), x) - tail.z * tail.above;
}
template <class T>
inline Vector<T> gelu_derivative(Vector<T> x) {
  const NormalTail<T> tail = normal_tail_at<T>(x);
  return (x > T(0) ? T(1) - tail.above : tail.above) + x * T(kInvSqrt2Pi) * tail.density;
}

template <class T>
inline Vector<T> sigmoid(Vector<T> x) {
  return T(1) / (exp_vector(-x) + T(1));
}
// 0.5*(1 + tanh(u)) is the logistic function of 2u, which loses no digits near zero.
template <class T>
inline Vector<T> gelu_tanh(Vector<T> x) {
  return x * sigmoid<T>(x * T(2 * kSqrt2OverPi) * (x * x * T(kGeluCubic) + T(1)));
}
template <class T>
inline Vector<T> gelu_tanh_derivative(Vector<T> x) {
  const Vector<T> s = sigmoid<T>(x * T(2 * kSqrt2OverPi) * (x * x * T(kGeluCubic) + T(1)));
  return s + x * s * (T(1) - s) * T(2 * kSqrt2OverPi) * (x * x * T(3 * kGeluCubic) + T(1));
}
template <class T>
inline Vector<T> silu(Vector<T> x) {
  return x * sigmoid<T>(x);
}
template <class T>
inline Vector<T> silu_derivative(Vector<T> x) {
  const Vector<T> s = sigmoid<T>(x);
  return s * (x * (T(1) - s) + T(1));
}

template <class T>
void activate(Activation f, index_t n, const T* x, T* out) {
  switch (f) {
    case Activation::none: return for_vectors<T>(n, [=](auto get, auto put) { put(get(x), out); });
    case Activation::gelu:
      return for_vectors<T>(n, [=](auto get, auto put) { put(gelu<T>(get(x)), out); });
    case Activation::gelu_tanh:
      return for_vectors<T>(n, [=](auto get, auto put) { put(gelu_tanh<T>(get(x)), out); });
    case Activation::silu:
      return for_vectors<T>(n, [=](auto get, auto put) { put(silu<T>(get(x)), out); });
    case Activation::swiglu: return;  // a function of whole rows, see swiglu below
  }
}

template <class T>
void activate_backward(Activation f, index_t n, const T* x, const T* dout, T* dx) {
  switch (f) {
    case Activation::none:
      return for_vectors<T>(n, [=](auto get, auto put) { put(get(dout), dx); });
    case Activation::gelu:
      return for_vectors<T>(
          n, [=](auto get, auto put) { put(get(dout) * gelu_derivative<T>(get(x)), dx); });
    case Activation::gelu_tanh:
      return for_vectors<T>(
          n, [=](auto get, auto put) { put(get(dout) * gelu_tanh_derivative<T>(get(x)), dx); });
    case Activation::silu:
      return for_vectors<T>(
          n, [=](auto get, auto put) { put(get(dout) * silu_derivative<T>(get(x)), dx); });
    case Activation::swiglu: return;
  }
}

// out (f) = silu(gates) * up for x (2f): gates (f), then up (f).
template <class T>
inline void swiglu(index_t f, const T* x, T* out) {
  for_vectors<T>(f, [=](auto get, auto put) { put(silu<T>(get(x)) * get(x + f), out); });
}

template <class T>
void swiglu_backward(index_t f, const T* x, const T* dout, T* dx) {
  for_vectors<T>(f, [=](auto get, auto put) {
    const Vector<T> gate = get(x), up = get(x + f), d = get(dout);
    put(d * up * silu_derivative<T>(gate), dx);
    put(d * silu<T>(gate), dx + f);
  });
}
