#include "rae/kernels/rope.hpp"

#include <cmath>
#include <numbers>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

void check(std::string_view where, index_t grid_h, index_t grid_w, index_t dim) {
  if (grid_h < 1 || grid_w < 1) raise<ArgumentError>(where, ": empty grid ", grid_h, " x ", grid_w);
  if (dim < 4 || dim % 4 != 0)
    raise<ArgumentError>(where, ": expected a width that is a multiple of 4, got ", dim);
  (void)Shape{grid_h, grid_w, dim};  // throws when the product overflows
}

}  // namespace

template <Real T>
RopeTable<T> make_rope_table(index_t grid_h, index_t grid_w, index_t head_dim) {
  check("make_rope_table", grid_h, grid_w, head_dim);
  const index_t half = head_dim / 2, tokens = grid_h * grid_w;
  RopeTable<T> table{Tensor<T>(Shape{tokens, head_dim}), Tensor<T>(Shape{tokens, head_dim})};
  T *cos = table.cos.data(), *sin = table.sin.data();
  for (index_t t = 0; t < tokens; ++t)
    for (index_t i = 0; i < head_dim; ++i) {
      const auto position = static_cast<double>(i < half ? t / grid_w : t % grid_w);
      const double frequency =
          std::pow(10000.0, -2.0 * static_cast<double>(i % half / 2) / static_cast<double>(half));
      cos[t * head_dim + i] = static_cast<T>(std::cos(position * frequency));
      sin[t * head_dim + i] = static_cast<T>(std::sin(position * frequency));
    }
  return table;
}

template <Real T>
RopeTable<T> make_centred_rope_table(index_t grid_h, index_t grid_w, index_t head_dim,
                                     double theta) {
  check("make_centred_rope_table", grid_h, grid_w, head_dim);
  if (!(theta > 0)) raise<ArgumentError>("make_centred_rope_table: theta is ", theta);
  const index_t half = head_dim / 2, quarter = head_dim / 4, tokens = grid_h * grid_w;
  RopeTable<T> table{Tensor<T>(Shape{tokens, head_dim}), Tensor<T>(Shape{tokens, head_dim}),
                     RopePairs::halves};
  T *cos = table.cos.data(), *sin = table.sin.data();
  for (index_t t = 0; t < tokens; ++t)
    for (index_t i = 0; i < head_dim; ++i) {
      const bool row = i % half < quarter;
      const index_t place = row ? t / grid_w : t % grid_w, side = row ? grid_h : grid_w;
      const double coordinate =
          2 * (static_cast<double>(place) + 0.5) / static_cast<double>(side) - 1;
      const double period =
          std::pow(theta, 2 * static_cast<double>(i % quarter) / static_cast<double>(half));
      const double angle = 2 * std::numbers::pi * coordinate / period;
      cos[t * head_dim + i] = static_cast<T>(std::cos(angle));
      sin[t * head_dim + i] = static_cast<T>(std::sin(angle));
    }
  return table;
}

template <Real T>
RopeTable<T> with_unrotated_tokens(const RopeTable<T>& table, index_t before, index_t after) {
  if (before < 0 || after < 0)
    raise<ArgumentError>("with_unrotated_tokens: ", before, " and ", after, " tokens");
  const index_t rows = table.cos.extent(0), width = table.cos.extent(1);
  const Shape shape{before + rows + after, width};
  RopeTable<T> out{Tensor<T>(shape, T(1)), Tensor<T>(shape, T(0)), table.pairs};
  copy_elements(table.cos.data(), rows * width, out.cos.data() + before * width);
  copy_elements(table.sin.data(), rows * width, out.sin.data() + before * width);
  return out;
}

template <Real T>
void apply_rope(View<const T> x, RopeView<T> rope, View<T> out, bool inverse) {
  const detail::ProfiledKernel profiled(detail::KernelKind::rotation,
                                        [&] { return detail::cost_of_bytes(x, out); });
  const Shape &shape = x.shape(), &table = rope.cos.shape();
  if (rope.pairs != RopePairs::neighbours)
    raise<ArgumentError>("apply_rope: expected a table for pairs of neighbours");
  if (shape.rank() != 4 || shape[3] % 2 != 0)
    raise<ShapeError>("apply_rope: expected (B, T, H, hd) with an even hd, got ", shape);
  if (table.rank() != 2 || table[1] != shape[3] || table[0] < 1 || shape[1] % table[0] != 0)
    raise<ShapeError>("apply_rope: a table ", table, " does not fit x ", shape,
                      "; expected (T, hd) or a divisor of T");
  require_shape("apply_rope: sin", rope.sin.shape(), table);
  require_shape("apply_rope: out", out.shape(), shape);
  detail::require_elements("apply_rope", x.numel(), x, out);
  detail::require_elements("apply_rope: table", table.numel(), rope.cos, rope.sin);
  const index_t tokens = shape[1], heads = shape[2], d = shape[3], repeats = tokens / table[0];
  const auto rotate = detail::kernel_table<T>().rotate;
  parallel_for(shape[0] * tokens, detail::row_grain(heads * d), [&](index_t token) {
    const index_t row = token % tokens / repeats * d;
    for (index_t h = 0; h < heads; ++h) {
      const index_t at = (token * heads + h) * d;
      rotate(d, x.data() + at, rope.cos.data() + row, rope.sin.data() + row, inverse, T(1),
             out.data() + at);
    }
  });
}

template <Real T>
Tensor<T> sincos_position_table(index_t grid_h, index_t grid_w, index_t dim) {
  check("sincos_position_table", grid_h, grid_w, dim);
  const index_t quarter = dim / 4;
  Tensor<T> table(Shape{grid_h * grid_w, dim});  // (h*w, D)
  T* out = table.data();
  for (index_t t = 0; t < grid_h * grid_w; ++t)
    for (index_t i = 0; i < dim; ++i) {
      const auto position = static_cast<double>(i < dim / 2 ? t % grid_w : t / grid_w);
      const double angle = position * std::pow(10000.0, -static_cast<double>(i % quarter) /
                                                            static_cast<double>(quarter));
      out[t * dim + i] = static_cast<T>(i / quarter % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  return table;
}

template RopeTable<float> make_rope_table<float>(index_t, index_t, index_t);
template RopeTable<double> make_rope_table<double>(index_t, index_t, index_t);
template RopeTable<float> make_centred_rope_table<float>(index_t, index_t, index_t, double);
template RopeTable<double> make_centred_rope_table<double>(index_t, index_t, index_t, double);
template RopeTable<float> with_unrotated_tokens<float>(const RopeTable<float>&, index_t, index_t);
template RopeTable<double> with_unrotated_tokens<double>(const RopeTable<double>&, index_t,
                                                         index_t);
template void apply_rope<float>(View<const float>, RopeView<float>, View<float>, bool);
template void apply_rope<double>(View<const double>, RopeView<double>, View<double>, bool);
template Tensor<float> sincos_position_table<float>(index_t, index_t, index_t);
template Tensor<double> sincos_position_table<double>(index_t, index_t, index_t);

}  // namespace rae
