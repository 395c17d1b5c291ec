// Multi-head self-attention on a fused qkv tensor, with fused 2-D rotary position embedding of
// queries and keys.
//
// softmax(q k^T / sqrt(hd)) v per head (Vaswani et al. 2017, section 3.2); RoPE as in Su et al.
// 2021, on pairs of neighbouring channels or of channels half a head apart.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// The channels that are rotated together: 2k and 2k+1, or k and k + hd/2.
enum class RopePairs { neighbours, halves };

/// cos and sin of the rotation angles, (T, hd) each, equal for both channels of a pair; both or
/// neither empty.
template <class T>
struct RopeView {
  View<const T> cos{}, sin{};               // (T, hd)
  RopePairs pairs = RopePairs::neighbours;  ///< which channels form a pair
};

/// out (B, T, H*hd) from qkv (B, T, 3*H*hd), laid out (3, H, hd) per token. Scores of a few query
/// rows at a time are kept in cache, never all of them. `operands`: the type that both products
/// multiply, T itself or for float DType::bf16: queries (rotated, with the scale), keys, values and
/// exponentials of scores are rounded to bf16, sums and the softmax stay f32. Results do not depend
/// on the number of threads. Throws ShapeError, and ArgumentError for another type.
template <Real T>
void attention(View<const T> qkv, index_t heads, RopeView<T> rope, View<T> out,
               DType operands = dtype_of<T>());

/// dqkv (B, T, 3*H*hd), overwritten, for dout (B, T, H*hd); probabilities are recomputed for a few
/// rows at a time. With DType::bf16 the operands of all five products are rounded. Throws as
/// `attention` does.
template <Real T>
void attention_backward(View<const T> qkv, index_t heads, RopeView<T> rope, View<const T> dout,
                        View<T> dqkv, DType operands = dtype_of<T>());

extern template void attention<float>(View<const float>, index_t, RopeView<float>, View<float>,
                                      DType);
extern template void attention<double>(View<const double>, index_t, RopeView<double>, View<double>,
                                       DType);
extern template void attention_backward<float>(View<const float>, index_t, RopeView<float>,
                                               View<const float>, View<float>, DType);
extern template void attention_backward<double>(View<const double>, index_t, RopeView<double>,
                                                View<const double>, View<double>, DType);

}  // namespace rae
