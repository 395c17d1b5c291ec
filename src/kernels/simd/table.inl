// All functions that are compiled once per instruction set, and the tables of pointers to them. The
// including file defines kVectorBytes, kTileRows and kTileVectors in namespace rae::detail's
// anonymous namespace first. Plain pointers only: a shared inline function compiled here could be
// kept by the linker for the whole program and end it on an older CPU.

#include "kernels/simd/vector.inl"
//
#include "kernels/simd/math.inl"
//
#include "kernels/simd/rows.inl"
//
#include "kernels/simd/dot.inl"
//
#include "kernels/simd/gemm.inl"
//
#include "kernels/simd/grouped.inl"
//
#if defined(RAE_MULTIPLY_ADD_INT8)
#include "kernels/simd/int8_pairs.inl"
#endif
//
#include "kernels/simd/pack.inl"
//
#include "kernels/simd/quantize.inl"
//
#include "kernels/simd/attention.inl"
//
#include "kernels/simd/bf16_as_f32.inl"

template <class T>
constexpr KernelTable<T> make_table() {
  return {.tile_rows = kTileRows,
          .panel_width = kTileVectors * VectorOf<T>::lanes,
          .lanes = VectorOf<T>::lanes,
          .pack_panel = pack_panel<T>,
          .copy_runs = copy_runs<T>,
          .gemm_panel = gemm_panel<RealDot<T>, T>,
          .activate = activate<T>,
          .activate_backward = activate_backward<T>,
          .swiglu = swiglu<T>,
          .swiglu_backward = swiglu_backward<T>,
          .norm = norm_row<T>,
          .norm_backward = norm_backward_row<T>,
          .softmax = softmax_row<T>,
          .softmax_backward = softmax_backward_row<T>,
          .rotate = apply_rope_to_row<T>,
          .exp2_and_sum = exp2_and_sum<T>};
}
constinit const KernelTable<float> kTableF32 = make_table<float>();
constinit const KernelTable<double> kTableF64 = make_table<double>();
constexpr NarrowTable kTableNarrow = {
    .panel_width = kTileVectors * VectorOf<std::uint32_t>::lanes,
#if defined(RAE_MULTIPLY_ADD_INT8)
    .int8_range = kPairRange,
#else
    .int8_range = {},
#endif
    .pack_panel = pack_panel<std::uint32_t>,
    .convert_row_to_bf16 = convert_row_to_bf16,
    .quantize_row_to_int8 = quantize_row_to_int8,
    .quantize_row_to_int16 = quantize_row_to_int16,
    .interleave_rows_to_bf16 = interleave_rows_to_bf16,
    .interleave_bf16_rows = interleave_bf16_rows,
    .exp2_and_sum_to_bf16 = exp2_and_sum_to_bf16,
    .bf16_panel = multiply_bf16_panel,
    .bf16_as_f32 = {round_row_to_bf16_parts, widen_bf16_row, gemm_panel<Bf16WeightDot, float>},
#if defined(RAE_MULTIPLY_ADD_INT8)
    .int8_panel = gemm_panel<PairDot, float>,
    .int8_starts = write_int8_starts,
#else
    .int8_panel = gemm_panel<Int8Dot, float>,
    .int8_starts = nullptr,
#endif
    .int8_groups = {gemm_panel<GroupDot<8>, float>, widen_groups<8>, dequantize_groups<8>},
    .int4_groups = {gemm_panel<GroupDot<4>, float>, widen_groups<4>, dequantize_groups<4>},
    .int16_groups_panel = gemm_panel<GroupDot<16>, float>};

#undef RAE_UNROLL
