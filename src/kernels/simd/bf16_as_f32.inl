// Products of bf16 for processors without an instruction for them: as f32, with the same bits.
// Included inside an anonymous namespace, after gemm.inl, quantize.inl and attention.inl.
//
// Widening a bf16 takes an instruction. A tile of 6 rows and 2 vectors would widen 12 numbers of
// the left operand and 4 vectors of the panel for 24 multiply-adds. So the left operand is widened
// in memory: once for all panels where the caller can (`NarrowTable::bf16_as_f32`), else a few rows
// for each panel (`multiply_bf16_panel`). The panel is widened in registers, so that it takes half
// the memory of f32.

// The parts of bf16 words as f32, as Bf16WeightDot reads them: of two neighbours along k the second
// comes first. `out` has 2 ceil(n / 2) numbers; the last word is padded with zero.
void round_row_to_bf16_parts(index_t n, const float* x, float* out) {
  using Bits = Vector<std::uint32_t>;
  constexpr index_t kLanesPerVector = VectorOf<float>::lanes;
  index_t i = 0;
  for (; i + kLanesPerVector <= n; i += kLanesPerVector) {
    const auto bits = reinterpret_cast<Bits>(load(x + i));
    const Bits rounded = bits + 0x7fffu + ((bits >> 16) & 1u),
               number = (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : rounded;
    store<float>(reinterpret_cast<Vector<float>>(
                     swap_pairs(number & 0xffff0000u, LaneIndices<std::uint32_t>())),
                 out + i);
  }
  const auto rounded_at = [x, n](index_t at) {
    return at < n ? float_of(bf16_in_high_bits(x[at]) & 0xffff0000u) : 0.0f;
  };
  for (; i < n; i += 2) {
    out[i] = rounded_at(i + 1);
    out[i + 1] = rounded_at(i);
  }
}

// The bits of the same numbers, of words (n) that are bf16 already.
void widen_bf16_row(index_t n, const std::uint32_t* words, std::uint32_t* out) {
  for (index_t i = 0; i < n; ++i) {
    out[2 * i] = words[i] & 0xffff0000u;
    out[2 * i + 1] = words[i] << 16;
  }
}

// The product of bf16 words of both operands, whose rows are widened tile by tile.
void multiply_bf16_panel(const PanelProduct<std::uint32_t, float>& product) {
  constexpr index_t kWords = 128;  // along k, of a piece that stays in the level-1 cache
  const bool needs_whole_sums = product.activation == Activation::swiglu;
  if (product.column_stride != 1 || product.k == 0 || (needs_whole_sums && product.k > kWords))
    return gemm_panel<Bf16Dot, float>(product);
  alignas(64) Array<std::uint32_t, kTileRows * 2 * kWords> rows;
  for (index_t row = 0; row < product.rows; row += kTileRows) {
    PanelProduct<std::uint32_t, float> part = product;
    part.rows = product.rows - row < kTileRows ? product.rows - row : kTileRows;
    part.row = product.row + row;
    part.out = product.out + row * product.out_stride;
    part.a = rows;
    part.row_stride = 2 * kWords;
    part.column_stride = 2;
    // The rows of this tile prefetch their share of what comes next.
    const index_t share = product.next_bytes * part.rows / product.rows;
    part.next_bytes = 0;
    for (index_t done = 0; done < product.k; done += kWords) {
      const index_t words = product.k - done < kWords ? product.k - done : kWords;
      const bool ends = done + words == product.k;
      for (index_t r = 0; r < part.rows; ++r)
        widen_bf16_row(words, product.a + (row + r) * product.row_stride + done,
                       rows + r * 2 * kWords);
      part.k = words;
      part.panel = product.panel + done * kTileVectors * VectorOf<float>::lanes;
      part.accumulate = product.accumulate || done > 0;
      part.bias = ends ? product.bias : nullptr;
      part.activation = ends ? product.activation : Activation::none;
      part.residual =
          ends && product.residual ? product.residual + row * product.residual_stride : nullptr;
      part.gate = ends ? product.gate : nullptr;
      if (ends && share > 0) {
        part.next = product.next + product.next_bytes * row / product.rows / 64 * 16;
        part.next_bytes = share;
      }
      gemm_panel<Bf16WeightDot, float>(part);
    }
  }
}
