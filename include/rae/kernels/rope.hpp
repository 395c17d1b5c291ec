// The two position embeddings: 2-D rotary angles for attention (Su et al. 2021), and 2-D sin-cos
// vectors that are added to tokens.
#pragma once

#include "rae/core/tensor.hpp"
#include "rae/kernels/attention.hpp"

namespace rae {

/// cos and sin of the rotation angles of a grid, (T, hd) each.
template <Real T>
struct RopeTable {
  Tensor<T> cos, sin;                       // (T, hd)
  RopePairs pairs = RopePairs::neighbours;  ///< the channels that are rotated together
  [[nodiscard]] RopeView<T> view() const { return {cos.view(), sin.view(), pairs}; }
};

/// Angles of token (y, x): the first half of the channels is rotated by y*f, the second by x*f,
/// with f = 10000^(-2k/half) shared by the pair of channels 2k, 2k+1 (official
/// VisionRotaryEmbedding). Throws ArgumentError unless head_dim is a positive multiple of 4 and the
/// grid is not empty.
template <Real T>
[[nodiscard]] RopeTable<T> make_rope_table(index_t grid_h, index_t grid_w, index_t head_dim);

/// Angles of token (y, x) of DINOv3 (Simeoni et al. 2025, section 3.2; class
/// RopePositionEmbedding): the coordinates 2 (y + 1/2) / grid_h - 1 and 2 (x + 1/2) / grid_w - 1,
/// in (-1, 1) along either side, times 2 pi / theta^(2j/half) for j < half/2 with half = head_dim
/// / 2. The angles of y, then of x, belong to the channels [0, half), and again to [half,
/// head_dim): the pairs are halves. Throws ArgumentError unless head_dim is a positive multiple of
/// 4, the grid is not empty and theta is above 0.
template <Real T>
[[nodiscard]] RopeTable<T> make_centred_rope_table(index_t grid_h, index_t grid_w, index_t head_dim,
                                                   double theta = 100.0);

/// The table with rows of angle 0 for `before` tokens before its own and `after` tokens after them.
template <Real T>
[[nodiscard]] RopeTable<T> with_unrotated_tokens(const RopeTable<T>& table, index_t before,
                                                 index_t after);

/// out (B, T, H, hd): every pair of channels (a, b) of x (B, T, H, hd) becomes (a cos - b sin, b
/// cos + a sin), with the angles of its token; `inverse` rotates by the opposite angles, which is
/// also the backward. Only for pairs of neighbours. With r times as many tokens as the table has
/// rows, r neighbours share a row. `out` may be x. `attention` does this itself. Throws ShapeError.
template <Real T>
void apply_rope(View<const T> x, RopeView<T> rope, View<T> out, bool inverse = false);

/// (h*w, D): the first half of the channels encodes the column x, the second the row y, each as
/// [sin(v*w), cos(v*w)] with w_k = 10000^(-k/(D/4)) (MAE, He et al. 2022, appendix A.1). Throws
/// ArgumentError unless D is a positive multiple of 4 and the grid is not empty.
template <Real T>
[[nodiscard]] Tensor<T> sincos_position_table(index_t grid_h, index_t grid_w, index_t dim);

extern template RopeTable<float> make_rope_table<float>(index_t, index_t, index_t);
extern template RopeTable<double> make_rope_table<double>(index_t, index_t, index_t);
extern template RopeTable<float> make_centred_rope_table<float>(index_t, index_t, index_t, double);
extern template RopeTable<double> make_centred_rope_table<double>(index_t, index_t, index_t,
                                                                  double);
extern template RopeTable<float> with_unrotated_tokens<float>(const RopeTable<float>&, index_t,
                                                              index_t);
extern template RopeTable<double> with_unrotated_tokens<double>(const RopeTable<double>&, index_t,
                                                                index_t);
extern template void apply_rope<float>(View<const float>, RopeView<float>, View<float>, bool);
extern template void apply_rope<double>(View<const double>, RopeView<double>, View<double>, bool);
extern template Tensor<float> sincos_position_table<float>(index_t, index_t, index_t);
extern template Tensor<double> sincos_position_table<double>(index_t, index_t, index_t);

}  // namespace rae
