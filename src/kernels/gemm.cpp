#include "rae/kernels/gemm.hpp"

#include "kernels/narrow_product.hpp"
#include "kernels/panel_loop.hpp"

namespace rae {
namespace {

using detail::ceil_div;
using detail::PanelProduct;

template <class A, class T>
void check(const View<const A>& a, index_t bk, index_t bn, const View<T>& out, const BasicEpilogue<T>& epilogue) {
  if (a.shape().rank() != 2 || out.shape().rank() != 2)
    raise<ShapeError>("gemm: operands must be matrices, got a ", a.shape(), ", out ", out.shape());
  if (a.extent(1) != bk || out.extent(0) != a.extent(0) || out.extent(1) != bn)
    raise<ShapeError>("gemm: a ", a.shape(), " times b ", Shape{bk, bn}, " does not give out ", out.shape());
  if (bn > 1 && out.stride(1) != 1) raise<ShapeError>("gemm: the rows of out must be contiguous");
  if (!epilogue.bias.empty() && (epilogue.bias.numel() != bn || !epilogue.bias.is_contiguous()))
    raise<ShapeError>("gemm: expected a contiguous bias of ", bn, " elements, got ", epilogue.bias.shape());
}

template <class T>
PanelProduct<T, T> product(const View<const T>& a, const View<T>& out, const BasicEpilogue<T>& epilogue) {
  return {.rows = out.extent(0),
          .k = a.extent(1),
          .a = a.data(),
          .row_stride = a.stride(0),
          .column_stride = a.stride(1),
          .panel = nullptr,
          .columns = out.extent(1),
          .out = out.data(),
          .out_stride = out.stride(0),
          .bias = epilogue.bias.data(),
          .activation = epilogue.activation,
          .accumulate = epilogue.accumulate};
}

template <class T>
Tensor<std::uint8_t> pack(const View<const T>& b) {
  const auto& table = detail::kernel_table<T>();
  const index_t k = b.extent(0), n = b.extent(1), width = table.panel_width, panels = ceil_div(n, width);
  Tensor<std::uint8_t> packed(Shape{panels, k, width, index_t{sizeof(T)}});  // (panels, K, width) of T
  T* target = reinterpret_cast<T*>(packed.data());
  parallel_for(panels, ceil_div(detail::kSerialWork, std::max<index_t>(1, k * width)), [&](index_t p) {
    table.pack_panel(b.data() + p * width * b.stride(1), b.stride(0), b.stride(1), k, std::min(width, n - p * width),
                     target + p * k * width);
  });
  return packed;
}

}  // namespace

template <Real T>
PackedMatrix<T>::PackedMatrix(View<const T> b, DType stored) : stored_(stored) {
  if (b.shape().rank() != 2) raise<ShapeError>("PackedMatrix: expected a matrix, got ", b.shape());
  k_ = b.extent(0);
  n_ = b.extent(1);
  if constexpr (std::same_as<T, float>) {
    if (stored == DType::bf16) {
      panels_ = detail::pack_bf16(b);
      return;
    }
    if (stored == DType::i8) {
      detail::Int8Panels panels = detail::pack_int8(b);
      panels_ = std::move(panels.panels);
      scales_ = std::move(panels.scales);
      compensation_ = std::move(panels.compensation);
      return;
    }
  }
  if (stored != dtype_of<T>())
    raise<ArgumentError>("PackedMatrix: a matrix of ", name_of(dtype_of<T>()), " cannot be stored as ", name_of(stored),
                         "; f32 can be stored as f32, bf16 or i8");
  panels_ = pack(b);
}

template <Real T>
void gemm(View<const T> a, View<const T> b, View<T> out, const BasicEpilogue<T>& epilogue) {
  if (b.shape().rank() != 2) raise<ShapeError>("gemm: operands must be matrices, got b ", b.shape());
  check(a, b.extent(0), b.extent(1), out, epilogue);
  if (out.numel() == 0) return;
  // Each thread packs the panel that it is about to use.
  const auto& table = detail::kernel_table<T>();
  const index_t k = b.extent(0), n = b.extent(1), width = table.panel_width;
  Tensor<T> memory(Shape{num_threads(), k, width});  // (threads, K, width)
  T* scratch = memory.data();
  const auto panel_of = [&](index_t panel, index_t slot) {
    T* packed = scratch + slot * k * width;
    table.pack_panel(b.data() + panel * width * b.stride(1), b.stride(0), b.stride(1), k, std::min(width, n - panel * width), packed);
    return packed;
  };
  detail::multiply_panels(product(a, out, epilogue), table.gemm_panel, width, detail::kDepth, false, panel_of);
}

template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out, const BasicEpilogue<T>& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  if (out.numel() == 0) return;
  if constexpr (std::same_as<T, float>) {
    if (b.stored() == DType::bf16) return detail::multiply_bf16(a, b.bytes().data(), out, epilogue);
    if (b.stored() == DType::i8)
      return detail::multiply_int8(a, b.bytes().data(), b.scales().data(), b.compensation().data(), out, epilogue);
  }
  const auto& table = detail::kernel_table<T>();
  const T* panels = reinterpret_cast<const T*>(b.bytes().data());
  const index_t size = b.k() * table.panel_width;
  detail::multiply_panels(product(a, out, epilogue), table.gemm_panel, table.panel_width, detail::kDepth, true,
                          [=](index_t panel, index_t) { return panels + panel * size; });
}

void gemm(View<const bf16> a, const PackedMatrix<float>& b, View<float> out, const Epilogue& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  if (b.stored() != DType::bf16)
    raise<ArgumentError>("gemm: bf16 times a packed matrix needs one stored as bf16, this one is stored as ", name_of(b.stored()));
  if (out.numel() > 0) detail::multiply_bf16(a, b.bytes().data(), out, epilogue);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void gemm<float>(View<const float>, View<const float>, View<float>, const Epilogue&);
template void gemm<double>(View<const double>, View<const double>, View<double>, const BasicEpilogue<double>&);
template void gemm<float>(View<const float>, const PackedMatrix<float>&, View<float>, const Epilogue&);
template void gemm<double>(View<const double>, const PackedMatrix<double>&, View<double>, const BasicEpilogue<double>&);

}  // namespace rae
