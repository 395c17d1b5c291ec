// Norms and softmax of one row. Included inside an anonymous namespace.
//
// Sums run in 16 independent lanes that are added in a fixed tree, so that they vectorise and do
// not depend on the vector width.

constexpr index_t kLanes = 16;

template <class T, class F>
inline T lane_sum(index_t n, F term) {
  T lanes[kLanes] = {};
  index_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (index_t l = 0; l < kLanes; ++l) lanes[l] += term(i + l);
  for (index_t l = 0; i + l < n; ++l) lanes[l] += term(i + l);
  for (index_t step = kLanes / 2; step > 0; step /= 2)
    for (index_t l = 0; l < step; ++l) lanes[l] += lanes[l + step];
  return lanes[0];
}

template <class T>
inline T row_max(index_t n, const T* x) {
  T lanes[kLanes];
  for (index_t l = 0; l < kLanes; ++l) lanes[l] = x[0];
  index_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (index_t l = 0; l < kLanes; ++l) lanes[l] = lanes[l] < x[i + l] ? x[i + l] : lanes[l];
  for (index_t l = 0; i + l < n; ++l) lanes[l] = lanes[l] < x[i + l] ? x[i + l] : lanes[l];
  for (index_t l = 1; l < kLanes; ++l) lanes[0] = lanes[0] < lanes[l] ? lanes[l] : lanes[0];
  return lanes[0];
}

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }

template <class T>
struct RowStatistics {
  T mean, inverse_std;  // normalised value = (x - mean) * inverse_std
};

template <class T>
inline RowStatistics<T> statistics(index_t d, const T* x, const NormRow<T>& row) {
  T mean = 0;
  if (row.kind == NormKind::layer) mean = lane_sum<T>(d, [=](index_t i) { return x[i]; }) / T(d);
  const T square = lane_sum<T>(d, [=](index_t i) { return (x[i] - mean) * (x[i] - mean); }) / T(d);
  return {mean, T(1) / square_root(square + row.eps)};
}

template <class T>
void norm_row(index_t d, const T* x, const NormRow<T>& row, T* out) {
  const auto [mean, inverse_std] = statistics(d, x, row);
  const T m = mean, r = inverse_std;
  for (index_t i = 0; i < d; ++i) out[i] = (x[i] - m) * r;
  if (row.weight)
    for (index_t i = 0; i < d; ++i) out[i] *= row.weight[i];
  if (row.bias)
    for (index_t i = 0; i < d; ++i) out[i] += row.bias[i];
  if (row.scale)
    for (index_t i = 0; i < d; ++i) out[i] = out[i] * (T(1) + row.scale[i]) + row.shift[i];
}

// With h = (x - mean) * inverse_std, n = h*w + b, y = n*(1 + scale) + shift:
//   dn = dy*(1 + scale), dh = dn*w, dx = inverse_std * (dh - [mean(dh)] - h*mean(dh*h)); the
//   bracket only for LayerNorm.
template <class T>
void norm_backward_row(index_t d, const T* x, const NormRow<T>& row, const T* dout, T* dx,
                       const NormRowGradients<T>& g) {
  const auto [mean, inverse_std] = statistics(d, x, row);
  const T m = mean, r = inverse_std;
  if (g.dshift)
    for (index_t i = 0; i < d; ++i) {
      const T h = (x[i] - m) * r;
      const T n = (row.weight ? h * row.weight[i] : h) + (row.bias ? row.bias[i] : T(0));
      g.dshift[i] += dout[i];
      g.dscale[i] += dout[i] * n;
    }
  // dx holds dn, then dh, then the result.
  for (index_t i = 0; i < d; ++i) dx[i] = row.scale ? dout[i] * (T(1) + row.scale[i]) : dout[i];
  if (g.dweight)
    for (index_t i = 0; i < d; ++i) g.dweight[i] += dx[i] * (x[i] - m) * r;
  if (g.dbias)
    for (index_t i = 0; i < d; ++i) g.dbias[i] += dx[i];
  if (row.weight)
    for (index_t i = 0; i < d; ++i) dx[i] *= row.weight[i];
  const T* dh = dx;
  const T average =
      row.kind == NormKind::layer ? lane_sum<T>(d, [=](index_t i) { return dh[i]; }) / T(d) : T(0);
  const T projection = lane_sum<T>(d, [=](index_t i) { return dh[i] * (x[i] - m) * r; }) / T(d);
  for (index_t i = 0; i < d; ++i) dx[i] = r * (dx[i] - average - (x[i] - m) * r * projection);
  if (g.add)
    for (index_t i = 0; i < d; ++i) dx[i] += g.add[i];
}

template <class T>
void softmax_row(index_t n, const T* x, T* out) {
  const T top = row_max(n, x);
  for_vectors<T>(n, [=](auto get, auto put) { put(exp_vector(get(x) - top), out); });
  const T* e = out;
  const T scale = T(1) / lane_sum<T>(n, [=](index_t i) { return e[i]; });
  for (index_t i = 0; i < n; ++i) out[i] *= scale;
}

template <class T>
void softmax_backward_row(index_t n, const T* p, const T* dp, T* ds) {
  const T projection = lane_sum<T>(n, [=](index_t i) { return p[i] * dp[i]; });
  for (index_t i = 0; i < n; ++i) ds[i] = p[i] * (dp[i] - projection);
}
