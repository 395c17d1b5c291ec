#include "rae/kernels/linear_product.hpp"

#include <algorithm>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/norm_rows.hpp"
#include "kernels/row_loop.hpp"

namespace rae {

namespace detail {

/// Makes a PackedMatrix of a shape, and writes its panels.
struct PackedRows {
  template <Real T>
  static PackedMatrix<T> empty(index_t k, index_t n, DType stored) {
    const index_t width = kernel_table<T>().panel_width,
                  words = stored == DType::bf16 ? ceil_div(k, 2) : k;
    PackedMatrix<T> out;
    out.panels_ = Tensor<std::uint8_t>(
        Shape{ceil_div(n, width), words, width, stored == DType::bf16 ? 4 : index_t{sizeof(T)}});
    out.k_ = k;
    out.n_ = n;
    out.panel_width_ = width;
    out.stored_ = stored;
    return out;
  }
  template <class Word, Real T>
  static Word* words(PackedMatrix<T>& matrix) {
    return reinterpret_cast<Word*>(matrix.panels_.data());
  }
  template <class Word, Real T>
  static const Word* words(const PackedMatrix<T>& matrix) {
    return reinterpret_cast<const Word*>(matrix.panels_.data());
  }
};

}  // namespace detail

namespace {

using detail::ceil_div;
using detail::kRowBlock;
using detail::PackedRows;
using detail::PanelProduct;

template <class Word, class T>
inline constexpr bool kNarrow = !std::same_as<Word, T>;

template <class Word, class T>
auto panel_kernel() {
  if constexpr (kNarrow<Word, T>)
    return detail::narrow_table().bf16_panel;
  else
    return detail::kernel_table<T>().gemm_panel;
}

/// Reads a left operand block by block: applies its prologue and writes its side outputs.
template <class Word, class T>
class OperandReader {
 public:
  static constexpr index_t kPerWord = kNarrow<Word, T> ? 2 : 1;

  /// `units`: how many are held at a time, one for each slot of the loop or all.
  OperandReader(const LinearOperand<T>& rows, index_t units)
      : rows_(rows),
        m_(rows.a.extent(0)),
        k_(rows.gates.empty() ? rows.a.extent(1) : rows.gates.extent(1)) {
    if (rows.norm) rows_per_group_ = detail::rows_per_group(m_, *rows.norm);
    if (rows.norm || !rows.gates.empty()) made_memory_ = Tensor<T>(Shape{units, kRowBlock, k_});
    made_ = made_memory_.data();
    if constexpr (kNarrow<Word, T>) {
      word_memory_ = Tensor<std::int32_t>(Shape{units, kRowBlock, stride()});
      words_ = reinterpret_cast<Word*>(word_memory_.data());
    }
    if (rows.packed) {
      *rows.packed = PackedRows::empty<T>(m_, k_, kNarrow<Word, T> ? DType::bf16 : dtype_of<T>());
      packed_ = PackedRows::words<Word>(*rows.packed);
    }
    if (!rows.column_sums.empty()) {
      sum_memory_ = Tensor<T>(Shape{ceil_div(m_, kRowBlock), k_}, T(0));
      sums_ = sum_memory_.data();
    }
  }

  [[nodiscard]] index_t words() const { return ceil_div(k_, kPerWord); }
  /// Words between the rows that `read` returns.
  [[nodiscard]] index_t stride() const {
    if constexpr (kNarrow<Word, T>) return detail::padded_row_words(words());
    return made_memory_.empty() ? rows_.a.stride(0) : k_;
  }

  /// The rows [first, first + count), a unit at most, in the memory of `slot`.
  const Word* read(index_t first, index_t count, index_t slot) const {
    const T* rows = rows_.a.data() + first * rows_.a.stride(0);
    index_t row_stride = rows_.a.stride(0);
    if (!made_memory_.empty()) {
      rows = make(first, count, rows, row_stride, made_ + slot * kRowBlock * k_);
      row_stride = k_;
    }
    if (sums_) add_sums(count, rows, row_stride, sums_ + first / kRowBlock * k_);
    if constexpr (kNarrow<Word, T>) {
      Word* const target = words_ + slot * kRowBlock * stride();
      for (index_t r = 0; r < count; ++r) {
        target[r * stride() + words() - 1] = 0;  // the padding of the last word when K is odd
        detail::narrow_table().convert_row_to_bf16(
            k_, rows + r * row_stride, reinterpret_cast<std::uint16_t*>(target + r * stride()));
      }
      if (packed_) pack_pairs(first, count, target);
      return target;
    } else {
      if (packed_) pack(first, count, rows, row_stride);
      return rows;
    }
  }

  /// After the last block: adds the sums of the blocks, in order.
  void end() const {
    if (!sums_) return;
    T* const out = rows_.column_sums.data();
    for (index_t unit = 0; unit < ceil_div(m_, kRowBlock); ++unit)
      for (index_t j = 0; j < k_; ++j) out[j] += sums_[unit * k_ + j];
  }

 private:
  const T* make(index_t first, index_t count, const T* rows, index_t row_stride, T* made) const {
    const auto& table = detail::kernel_table<T>();
    for (index_t r = 0; r < count; ++r) {
      const T* const row = rows + r * row_stride;
      if (rows_.norm)
        table.norm(k_, row, detail::norm_row_inputs(*rows_.norm, (first + r) / rows_per_group_),
                   made + r * k_);
      else
        table.swiglu_backward(k_ / 2, rows_.gates.data() + (first + r) * rows_.gates.stride(0), row,
                              made + r * k_);
    }
    return made;
  }

  void add_sums(index_t count, const T* rows, index_t row_stride, T* sums) const {
    for (index_t r = 0; r < count; ++r)
      for (index_t j = 0; j < k_; ++j) sums[j] += rows[r * row_stride + j];
  }

  void pack(index_t first, index_t count, const T* rows, index_t row_stride) const {
    const auto& table = detail::kernel_table<T>();
    const index_t width = table.panel_width;
    for (index_t column = 0; column < k_; column += width)
      table.pack_panel(rows + column, row_stride, 1, count, std::min(width, k_ - column),
                       packed_ + column * m_ + first * width);
  }

  // Of two rows of bf16 the words that hold both: the pairs of a product that sums along the rows.
  void pack_pairs(index_t first, index_t count, const Word* rows) const {
    static constexpr std::uint16_t kZeros[kMostWidth] = {};
    const auto interleave = detail::narrow_table().interleave_bf16_rows;
    const index_t width = detail::narrow_table().panel_width, depth = ceil_div(m_, 2);
    for (index_t column = 0; column < k_; column += width) {
      const index_t columns = std::min(width, k_ - column);
      Word* target = packed_ + column * depth + first / 2 * width;
      for (index_t r = 0; r < count; r += 2, target += width) {
        const auto* row = reinterpret_cast<const std::uint16_t*>(rows + r * stride()) + column;
        interleave(columns, row, r + 1 < count ? row + 2 * stride() : kZeros, target);
        std::fill(target + columns, target + width, Word{0});
      }
    }
  }

  static constexpr index_t kMostWidth = 64;
  LinearOperand<T> rows_;
  index_t m_, k_, rows_per_group_ = 1;
  Tensor<T> made_memory_, sum_memory_;  // (units, kRowBlock, K); (all units, K)
  Tensor<std::int32_t> word_memory_;    // (units, kRowBlock, stride) of Word
  T *made_ = nullptr, *sums_ = nullptr;
  Word *words_ = nullptr, *packed_ = nullptr;
};

template <class T>
void check(std::string_view where, const LinearOperand<T>& rows) {
  const View<const T>& a = rows.a;  // (M, K)
  if (a.shape().rank() != 2 || a.extent(1) == 0 || (a.extent(1) > 1 && a.stride(1) != 1))
    raise<ShapeError>(where, ": expected a (M, K) of contiguous rows, got ", a.shape());
  if (rows.norm && !rows.gates.empty())
    raise<ArgumentError>(where, ": the prologue is a norm or the gradient of SwiGLU, not both");
  if (rows.norm) detail::check_norm(where, a.extent(0), a.extent(1), *rows.norm);
  if (!rows.gates.empty() &&
      (rows.gates.shape() != Shape{a.extent(0), 2 * a.extent(1)} || rows.gates.stride(1) != 1))
    raise<ShapeError>(where, ": expected gates ", Shape{a.extent(0), 2 * a.extent(1)},
                      " of contiguous rows, got ", rows.gates.shape());
  if (!rows.column_sums.empty())
    detail::require_elements(where, rows.gates.empty() ? a.extent(1) : rows.gates.extent(1),
                             rows.column_sums);
}

template <class Word, class T>
void multiply(const LinearOperand<T>& rows, const PackedMatrix<T>& b, const View<T>& out,
              const View<const T>& bias) {
  const auto& table = detail::kernel_table<T>();
  const index_t m = out.extent(0), n = out.extent(1), half = n / 2;
  PanelProduct<Word, T> whole = detail::epilogue_of<Word>(out, BasicEpilogue<T>{.bias = bias});
  const auto finish = [&](index_t first, index_t count) {
    for (index_t r = first; r < first + count && !rows.swiglu.empty(); ++r)
      table.swiglu(half, out.data() + r * out.stride(0),
                   rows.swiglu.data() + r * rows.swiglu.stride(0));
  };
  const Word* const panels = PackedRows::words<Word>(b);
  const bool by_rows = detail::suits_row_blocks(m, b.k());
  const detail::RowUnits units(m);
  const OperandReader<Word, T> reader(rows, by_rows ? units.slots() : ceil_div(m, kRowBlock));
  whole.k = reader.words();
  whole.row_stride = reader.stride();
  if (by_rows) {
    const auto read = [&](index_t first, index_t count, index_t slot) {
      return reader.read(first, count, slot);
    };
    detail::multiply_row_blocks(units, whole, panel_kernel<Word, T>(), table.panel_width, panels,
                                read, finish);
  } else {
    const Word* left = nullptr;
    units.run([&](index_t first, index_t count, index_t) {
      const Word* const unit = reader.read(first, count, first / kRowBlock);
      if (first == 0) left = unit;
    });
    whole.a = left;
    const index_t size = whole.k * table.panel_width;
    detail::multiply_panels(
        whole, panel_kernel<Word, T>(), table.panel_width, detail::kKBlock, true, 0,
        [=](index_t panel, Word*) { return panels + panel * size; },
        kNarrow<Word, T> ? 0 : detail::rows_in_cache<T>(whole.k));
    units.run([&](index_t first, index_t count, index_t) { finish(first, count); });
  }
  reader.end();
}

template <class Word, class T>
void pack_and_sum_all(const LinearOperand<T>& rows) {
  const detail::RowUnits units(rows.a.extent(0));
  const OperandReader<Word, T> reader(rows, units.slots());
  units.run([&](index_t first, index_t count, index_t slot) { reader.read(first, count, slot); });
  reader.end();
}

// Words along k of a block: the sums go to memory and back between blocks. Of the shorter side of
// out all panels of a block stay in the level-2 cache (96 KiB each with AVX-512) while those of the
// longer side pass by, a run of them for each thread.
constexpr index_t kTransposedKBlock = 512;

template <class Word, class T>
void multiply_transposed(const PackedMatrix<T>& a, const PackedMatrix<T>& b, const View<T>& out,
                         bool accumulate) {
  const index_t width = detail::kernel_table<T>().panel_width,
                depth = kNarrow<Word, T> ? ceil_div(a.k(), 2) : a.k();
  const index_t n = out.extent(0), k = out.extent(1), pieces = ceil_div(n, width),
                panels = ceil_div(k, width), size = depth * width;
  const bool rows_outside = pieces >= panels;
  const index_t inside = rows_outside ? panels : pieces;
  const Word *const left = PackedRows::words<Word>(a), *const right = PackedRows::words<Word>(b);
  const auto kernel = panel_kernel<Word, T>();
  const index_t grain =
      ceil_div(detail::kMinParallelWork, width * width * std::max<index_t>(1, depth));
  parallel_ranges(pieces * panels, grain, [&](index_t begin, index_t end, index_t) {
    for (index_t done = 0; done < depth || done == 0; done += kTransposedKBlock) {
      for (index_t task = begin; task < end; ++task) {
        const index_t piece = rows_outside ? task / inside : task % inside,
                      panel = rows_outside ? task % inside : task / inside;
        PanelProduct<Word, T> part =
            detail::epilogue_of<Word>(out, BasicEpilogue<T>{.accumulate = accumulate || done > 0});
        part.rows = std::min(width, n - piece * width);
        part.columns = std::min(width, k - panel * width);
        part.out = out.data() + piece * width * out.stride(0) + panel * width;
        part.k = std::min(kTransposedKBlock, depth - done);
        part.a = left + piece * size + done * width;
        part.row_stride = 1;
        part.column_stride = width;
        part.panel = right + panel * size + done * width;
        // Prefetch the piece that the next product reads first: of the longer side, or in the first
        // round of the shorter.
        const bool turns = task % inside + 1 == inside;
        if (turns || task - begin < inside) {
          part.next = (turns == rows_outside ? part.a : part.panel) + size;
          part.next_bytes = part.k * width * index_t{sizeof(Word)};
        }
        kernel(part);
      }
    }
  });
}

}  // namespace

template <Real T>
void linear_product(const LinearOperand<T>& rows, View<const T> b, View<T> out, View<const T> bias,
                    DType operands) {
  constexpr std::string_view kWhere = "linear_product";
  check(kWhere, rows);
  detail::require_operands<T>(kWhere, operands);
  const index_t m = rows.a.extent(0),
                k = rows.gates.empty() ? rows.a.extent(1) : rows.gates.extent(1);
  if (b.shape().rank() != 2 || b.extent(0) != k || out.shape() != Shape{m, b.extent(1)} ||
      (out.extent(1) > 1 && out.stride(1) != 1))
    raise<ShapeError>(kWhere, ": rows ", Shape{m, k}, " times b ", b.shape(),
                      " do not give contiguous rows of out ", out.shape());
  if (!bias.empty()) detail::require_elements("linear_product: bias", b.extent(1), bias);
  if (!rows.swiglu.empty() &&
      (b.extent(1) % 2 != 0 || rows.swiglu.shape() != Shape{m, b.extent(1) / 2} ||
       rows.swiglu.stride(1) != 1))
    raise<ShapeError>(kWhere, ": SwiGLU of out ", out.shape(), " does not give ",
                      rows.swiglu.shape());
  if (out.numel() == 0) return;
  const detail::ProfiledKernel profiled(detail::KernelKind::product, [&] {
    detail::KernelCost cost = detail::cost_of_bytes(rows.a, b, out);
    cost.products = static_cast<double>(out.numel()) * static_cast<double>(k);
    cost.type = operands;
    return cost;
  });
  // A row-major matrix is read row by row, not in strips as wide as a panel.
  PackedMatrix<T> panels;
  if (b.stride(1) == 1)
    pack_and_sum_rows<T>({.a = b, .packed = &panels}, operands);
  else
    panels = PackedMatrix<T>(b, operands);
  if constexpr (std::same_as<T, float>) {
    if (operands == DType::bf16) return multiply<std::uint32_t>(rows, panels, out, bias);
  }
  multiply<T>(rows, panels, out, bias);
}

template <Real T>
void pack_and_sum_rows(const LinearOperand<T>& rows, DType operands) {
  check("pack_and_sum_rows", rows);
  detail::require_operands<T>("pack_and_sum_rows", operands);
  if (!rows.swiglu.empty())
    raise<ArgumentError>("pack_and_sum_rows: there is no product whose SwiGLU could be computed");
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return detail::cost_of_bytes(rows.a, rows.a); });
  if constexpr (std::same_as<T, float>) {
    if (operands == DType::bf16) return pack_and_sum_all<std::uint32_t>(rows);
  }
  pack_and_sum_all<T>(rows);
}

template <Real T>
void gemm_transposed(const PackedMatrix<T>& a, const PackedMatrix<T>& b, View<T> out,
                     bool accumulate) {
  if (a.k() != b.k() || out.shape() != Shape{a.n(), b.n()} ||
      (out.extent(1) > 1 && out.stride(1) != 1))
    raise<ShapeError>("gemm_transposed: the transposed a ", Shape{a.k(), a.n()}, " times b ",
                      Shape{b.k(), b.n()}, " does not give contiguous rows of out ", out.shape());
  if (a.stored() != b.stored() || (a.stored() != dtype_of<T>() && a.stored() != DType::bf16))
    raise<ArgumentError>("gemm_transposed: a is packed as ", name_of(a.stored()), " and b as ",
                         name_of(b.stored()), "; expected both as ", name_of(dtype_of<T>()),
                         " or both as bf16");
  if (a.columns() != PanelColumns::neighbours || b.columns() != PanelColumns::neighbours)
    raise<ArgumentError>("gemm_transposed: expected PanelColumns::neighbours");
  detail::require_panel_width("gemm_transposed", a);
  detail::require_panel_width("gemm_transposed", b);
  if (out.numel() == 0) return;
  const detail::ProfiledKernel profiled(detail::KernelKind::product, [&] {
    detail::KernelCost cost = detail::cost_of_bytes(out);
    cost.products = static_cast<double>(out.numel()) * static_cast<double>(a.k());
    cost.bytes += static_cast<double>(a.bytes().size() + b.bytes().size());
    cost.type = a.stored();
    return cost;
  });
  if constexpr (std::same_as<T, float>) {
    if (a.stored() == DType::bf16) return multiply_transposed<std::uint32_t>(a, b, out, accumulate);
  }
  multiply_transposed<T>(a, b, out, accumulate);
}

template void linear_product<float>(const LinearOperand<float>&, View<const float>, View<float>,
                                    View<const float>, DType);
template void linear_product<double>(const LinearOperand<double>&, View<const double>, View<double>,
                                     View<const double>, DType);
template void pack_and_sum_rows<float>(const LinearOperand<float>&, DType);
template void pack_and_sum_rows<double>(const LinearOperand<double>&, DType);
template void gemm_transposed<float>(const PackedMatrix<float>&, const PackedMatrix<float>&,
                                     View<float>, bool);
template void gemm_transposed<double>(const PackedMatrix<double>&, const PackedMatrix<double>&,
                                      View<double>, bool);

}  // namespace rae
