#include "rae/kernels/gemm.hpp"

#include <algorithm>
#include <cstring>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/grouped_product.hpp"
#include "kernels/huge_pages.hpp"
#include "kernels/narrow_product.hpp"
#include "kernels/norm_rows.hpp"
#include "kernels/panel_loop.hpp"
#include "kernels/transposed_product.hpp"

namespace rae {
namespace {

using detail::ceil_div;
using detail::PanelProduct;

template <class A, class T>
void check(const View<const A>& a, index_t bk, index_t bn, const View<T>& out,
           const BasicEpilogue<T>& epilogue) {
  const bool halves = epilogue.activation == Activation::swiglu;
  if (a.shape().rank() != 2 || out.shape().rank() != 2)
    raise<ShapeError>("gemm: operands must be matrices, got a ", a.shape(), ", out ", out.shape());
  if (a.extent(1) != bk || out.extent(0) != a.extent(0) || (halves ? 2 : 1) * out.extent(1) != bn)
    raise<ShapeError>("gemm: a ", a.shape(), " times b ", Shape{bk, bn}, " does not give out ",
                      out.shape(), halves ? " with swiglu" : "");
  if (out.extent(1) > 1 && out.stride(1) != 1)
    raise<ShapeError>("gemm: the rows of out must be contiguous");
  if (!epilogue.bias.empty() && (epilogue.bias.numel() != bn || !epilogue.bias.is_contiguous()))
    raise<ShapeError>("gemm: expected a contiguous bias of ", bn, " elements, got ",
                      epilogue.bias.shape());
  if (halves && epilogue.accumulate)
    raise<ArgumentError>("gemm: swiglu cannot add to out, which is half as wide as its sums");
  if (epilogue.residual.empty()) {
    if (!epilogue.gate.empty()) raise<ArgumentError>("gemm: a gate needs a residual");
    return;
  }
  if (epilogue.residual.shape() != out.shape() ||
      (out.extent(1) > 1 && epilogue.residual.stride(1) != 1))
    raise<ShapeError>("gemm: expected a residual of shape ", out.shape(),
                      " with contiguous rows, got ", epilogue.residual.shape());
  if (epilogue.residual.data() == out.data())
    raise<ArgumentError>("gemm: the residual must not be the memory of out");
  if (!epilogue.gate.empty() &&
      (epilogue.gate.groups <= 0 || out.extent(0) % epilogue.gate.groups != 0))
    raise<ShapeError>("gemm: ", epilogue.gate.groups, " gates cannot serve ", out.extent(0),
                      " rows");
}

/// The cost of a (M, K) times b (K, N), whose elements take `bytes_of_b` in all.
template <class A, class T>
detail::KernelCost cost_of(const View<const A>& a, index_t n, double bytes_of_b, DType type,
                           const View<T>& out) {
  detail::KernelCost cost = detail::cost_of_bytes(a, out);
  cost.products = static_cast<double>(a.numel()) * static_cast<double>(n);
  cost.bytes += bytes_of_b;
  cost.type = type;
  return cost;
}

template <class A, class T>
detail::KernelCost cost_of(const View<const A>& a, const PackedMatrix<T>& b, const View<T>& out) {
  return cost_of(a, b.n(), static_cast<double>(b.bytes().size()), b.stored(), out);
}

template <class T>
void check_packed(const PackedMatrix<T>& b, const BasicEpilogue<T>& epilogue) {
  detail::require_panel_width("gemm", b);
  if ((b.columns() == PanelColumns::halves) != (epilogue.activation == Activation::swiglu))
    raise<ArgumentError>(
        "gemm: Activation::swiglu and a matrix packed with PanelColumns::halves go together");
}

template <class T>
PanelProduct<T, T> product(const View<const T>& a, const View<T>& out,
                           const BasicEpilogue<T>& epilogue) {
  PanelProduct<T, T> whole = detail::epilogue_of<T>(out, epilogue);
  whole.k = a.extent(1);
  whole.a = a.data();
  whole.row_stride = a.stride(0);
  whole.column_stride = a.stride(1);
  return whole;
}

// Packs panel `panel` of b. `rows` is memory for its columns, one contiguous column after another,
// (width, K), where they are no neighbours.
template <class T>
void pack_panel(const View<const T>& b, const detail::PanelMap& map, index_t panel, T* rows,
                T* target) {
  const auto& table = detail::kernel_table<T>();
  const index_t k = b.extent(0), width = table.panel_width;
  if (map.columns == PanelColumns::neighbours) {
    const index_t first = panel * width;
    return table.pack_panel(b.data() + first * b.stride(1), b.stride(0), b.stride(1), k,
                            std::min(width, map.n - first), target);
  }
  for (index_t j = 0; j < width; ++j) {
    const index_t column = map.column(panel, j);
    for (index_t p = 0; p < k; ++p)
      rows[j * k + p] = column < 0 ? T(0) : b.data()[p * b.stride(0) + column * b.stride(1)];
  }
  table.pack_panel(rows, 1, k, k, width, target);
}

// Elements of the scratch memory that pack_panel needs for each range of a loop.
index_t scratch_elements(const detail::PanelMap& map, index_t k) {
  return map.columns == PanelColumns::halves ? map.width * k : 0;
}

template <class T>
Tensor<std::uint8_t> pack(const View<const T>& b, const detail::PanelMap& map) {
  const index_t k = b.extent(0), width = map.width, panels = map.panels(),
                each = scratch_elements(map, k);
  Tensor<std::uint8_t> packed(
      Shape{panels, k, width, index_t{sizeof(T)}});  // (panels, K, width) of T
  detail::prefer_huge_pages(packed.span());
  const ParallelLoop loop(panels,
                          ceil_div(detail::kMinParallelWork, std::max<index_t>(1, k * width)));
  Tensor<T> memory(Shape{loop.slots(), each});  // (slots, width * K)
  T *target = reinterpret_cast<T*>(packed.data()), *scratch = memory.data();
  loop.run([&](index_t begin, index_t end, index_t slot) {
    for (index_t p = begin; p < end; ++p)
      pack_panel(b, map, p, scratch + slot * each, target + p * k * width);
  });
  return packed;
}

template <class T>
void multiply_unpacked(const View<const T>& a, const View<const T>& b, const View<T>& out,
                       const BasicEpilogue<T>& epilogue) {
  // Each range of the loop packs the panel that it is about to use.
  const auto& table = detail::kernel_table<T>();
  const bool halves = epilogue.activation == Activation::swiglu;
  const detail::PanelMap map{halves ? PanelColumns::halves : PanelColumns::neighbours, b.extent(1),
                             table.panel_width};
  if (a.stride(0) == 1 && a.stride(1) > 1 && !halves) {
    const auto pack_left = [&](index_t first, index_t rows, index_t step, index_t steps,
                               T* target) {
      for (index_t p = step; p < step + steps; ++p)
        target = std::copy_n(a.data() + p * a.stride(1) + first, rows, target);
    };
    const auto pack_right = [&](index_t panel, index_t step, index_t steps, T*, T* target) {
      pack_panel<T>(b.slice(0, step, steps), map, panel, nullptr, target);
    };
    return detail::multiply_transposed(product(a, out, epilogue), table.gemm_panel, map.width,
                                       pack_left, 0, pack_right);
  }
  const index_t size = b.extent(0) * map.width;
  const auto get_panel = [&](index_t panel, T* scratch) {
    pack_panel(b, map, panel, scratch + size, scratch);
    return scratch;
  };
  detail::multiply_panels(product(a, out, epilogue), table.gemm_panel, map.width, detail::kKBlock,
                          false, size + scratch_elements(map, b.extent(0)), get_panel);
}

}  // namespace

template <Real T>
Shape PackedMatrix<T>::panels_shape(index_t k, index_t n, DType stored, PanelColumns columns) {
  if (columns == PanelColumns::halves && n % 2 != 0)
    raise<ShapeError>("PackedMatrix: expected an even number of columns for two halves, got ", n);
  const bool narrow = std::same_as<T, float> &&
                      (stored == DType::bf16 || stored == DType::int8 || has_groups(stored));
  if (stored != dtype_of<T>() && !narrow)
    raise<ArgumentError>("PackedMatrix: a matrix of ", name_of(dtype_of<T>()),
                         " cannot be stored as ", name_of(stored),
                         "; f32 can be stored as f32, bf16, int8, int8w or int4");
  const detail::PanelMap map{columns, n, detail::kernel_table<T>().panel_width};
  if (has_groups(stored))
    return {map.panels(), detail::grouped_panel_bytes(stored, k, map.width), 1, 1};
  const index_t per_word = stored == DType::bf16 ? 2 : stored == DType::int8 ? 4 : 1;
  return {map.panels(), detail::ceil_div(k, per_word), map.width, per_word};
}

template <Real T>
PackedMatrix<T>::PackedMatrix(index_t k, index_t n, DType stored, PanelColumns columns,
                              const Buffers& buffers, Owner owner)
    : k_(k),
      n_(n),
      panel_width_(detail::kernel_table<T>().panel_width),
      stored_(stored),
      columns_(columns) {
  const Shape shape = panels_shape(k, n, stored, columns);
  const index_t padded = stored == DType::int8 ? shape[0] * shape[2] : 0;
  const auto require = [](const char* what, std::span<const std::byte> bytes, index_t elements,
                          std::size_t size) {
    if (bytes.size() != static_cast<std::size_t>(elements) * size)
      raise<ShapeError>("PackedMatrix: expected ", elements, " ", what, " of ", size,
                        " bytes, got ", bytes.size(), " bytes");
  };
  require("elements", buffers.panels, shape.numel(), size_of(stored));
  require("scales", buffers.scales, padded, sizeof(float));
  require("compensations", buffers.compensation, padded, sizeof(std::int32_t));
  if (padded > 0) {
    scales_ = Tensor<float>(Shape{padded});               // (N)
    compensation_ = Tensor<std::int32_t>(Shape{padded});  // (N)
    std::memcpy(scales_.data(), buffers.scales.data(), buffers.scales.size());
    std::memcpy(compensation_.data(), buffers.compensation.data(), buffers.compensation.size());
  }
  const std::span<const std::uint8_t> bytes(
      reinterpret_cast<const std::uint8_t*>(buffers.panels.data()), buffers.panels.size());
  bool fits = true;
  if (stored == DType::int8) {
    highest_ = detail::narrow_table().int8_range.right;
    fits = highest_ == 127 || detail::largest_int8(bytes) <= highest_;
  }
  if (fits && detail::is_aligned_for_vectors<T>(bytes.data()) && static_cast<bool>(owner)) {
    borrowed_ = bytes;
    owner_ = std::move(owner);
  } else {
    panels_ = Tensor<std::uint8_t>(Shape{static_cast<index_t>(bytes.size())});  // as bytes
    std::copy_n(bytes.data(), bytes.size(), panels_.data());
  }
  if (!fits) {
    detail::Int8Panels panels{std::move(panels_), std::move(scales_), std::move(compensation_)};
    detail::halve_int8(panels);
    panels_ = std::move(panels.panels);
    scales_ = std::move(panels.scales);
    compensation_ = std::move(panels.compensation);
  }
}

template <Real T>
PackedMatrix<T>::PackedMatrix(View<const T> b, DType stored, PanelColumns columns)
    : panel_width_(detail::kernel_table<T>().panel_width), stored_(stored), columns_(columns) {
  if (b.shape().rank() != 2) raise<ShapeError>("PackedMatrix: expected a matrix, got ", b.shape());
  k_ = b.extent(0);
  n_ = b.extent(1);
  (void)panels_shape(k_, n_, stored, columns);
  const detail::PanelMap map{columns, n_, panel_width_};
  if constexpr (std::same_as<T, float>) {
    if (stored == DType::bf16) {
      panels_ = detail::pack_bf16(b, map);
      return;
    }
    if (has_groups(stored)) {
      panels_ = detail::pack_grouped(b, map, stored);
      return;
    }
    if (stored == DType::int8) {
      detail::Int8Panels panels = detail::pack_int8(b, map);
      panels_ = std::move(panels.panels);
      scales_ = std::move(panels.scales);
      compensation_ = std::move(panels.compensation);
      highest_ = detail::narrow_table().int8_range.right;
      return;
    }
  }
  panels_ = pack(b, map);
}

template <Real T>
void gemm(View<const T> a, View<const T> b, View<T> out, const BasicEpilogue<T>& epilogue,
          DType operands) {
  if (b.shape().rank() != 2)
    raise<ShapeError>("gemm: operands must be matrices, got b ", b.shape());
  check(a, b.extent(0), b.extent(1), out, epilogue);
  detail::require_operands<T>("gemm", operands);
  const detail::ProfiledKernel profiled(detail::KernelKind::product, [&] {
    return cost_of(a, b.extent(1), detail::cost_of_bytes(b).bytes, operands, out);
  });
  if (out.numel() == 0) return;
  if constexpr (std::same_as<T, float>) {
    if (operands == DType::bf16) return detail::multiply_as_bf16(a, b, out, epilogue);
  }
  multiply_unpacked(a, b, out, epilogue);
}

template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out,
          const BasicEpilogue<T>& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  check_packed(b, epilogue);
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return cost_of(a, b, out); });
  if (out.numel() == 0) return;
  if constexpr (std::same_as<T, float>) {
    if (b.stored() != DType::f32) return detail::multiply_narrow({a, nullptr}, b, out, epilogue);
  }
  const auto& table = detail::kernel_table<T>();
  const T* panels = reinterpret_cast<const T*>(b.bytes().data());
  const index_t size = b.k() * table.panel_width;
  detail::multiply_panels(
      product(a, out, epilogue), table.gemm_panel, table.panel_width, detail::kKBlock,
      out.extent(0) > detail::kMemoryBoundRows, 0,
      [=](index_t panel, T*) { return panels + panel * size; }, detail::rows_in_cache<T>(b.k()));
}

template <Real T>
void gemm(View<const T> a, const NormInputs<T>& norm_of_rows, const PackedMatrix<T>& b, View<T> out,
          const BasicEpilogue<T>& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  check_packed(b, epilogue);
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return cost_of(a, b, out); });
  if (a.extent(1) == 0) raise<ShapeError>("gemm: rows of no elements have no norm");
  detail::require_elements("gemm: a under a norm", a.numel(), a);
  detail::check_norm("gemm", a.extent(0), a.extent(1), norm_of_rows);
  if (out.numel() == 0) return;
  if constexpr (std::same_as<T, float>) {
    if (b.stored() != DType::f32)
      return detail::multiply_narrow({a, &norm_of_rows}, b, out, epilogue);
  }
  Tensor<T> normalized(a.shape());  // (M, K)
  norm<T>(a, norm_of_rows, normalized);
  gemm<T>(normalized, b, out, epilogue);
}

void gemm(View<const bf16> a, const PackedMatrix<float>& b, View<float> out,
          const Epilogue& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  check_packed(b, epilogue);
  const detail::ProfiledKernel profiled(detail::KernelKind::product,
                                        [&] { return cost_of(a, b, out); });
  if (b.stored() != DType::bf16)
    raise<ArgumentError>(
        "gemm: bf16 times a packed matrix needs one stored as bf16, this one is stored as ",
        name_of(b.stored()));
  if (out.numel() > 0) detail::multiply_bf16(a, b, out, epilogue);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void gemm<float>(View<const float>, View<const float>, View<float>, const Epilogue&,
                          DType);
template void gemm<double>(View<const double>, View<const double>, View<double>,
                           const BasicEpilogue<double>&, DType);
template void gemm<float>(View<const float>, const PackedMatrix<float>&, View<float>,
                          const Epilogue&);
template void gemm<float>(View<const float>, const NormInputs<float>&, const PackedMatrix<float>&,
                          View<float>, const Epilogue&);
template void gemm<double>(View<const double>, const NormInputs<double>&,
                           const PackedMatrix<double>&, View<double>, const BasicEpilogue<double>&);
template void gemm<double>(View<const double>, const PackedMatrix<double>&, View<double>,
                           const BasicEpilogue<double>&);

}  // namespace rae
