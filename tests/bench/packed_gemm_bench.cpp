// Measures products with packed weights in f32, bf16 and 8 bits against the machine's peak of each
// type and the installed peers: oneDNN with weights in its own packed layout and, in f32, also
// OpenBLAS and Eigen.
//
//   bench_packed_gemm [ROUNDS] [FILTER] [--threads 1,2] [--json FILE]
//
// FILTER is a part of a line's name, for example "bf16", "2048" or "T1".
// oneDNN is left out for types that it does not multiply on this processor, as bf16 on those
// without AVX-512.
//
// After each peer, the ratio of our best rate to its rate in the same round is printed. "ours"
// takes f32 activations and converts them within the measured time; "bf16 in" and "int8 in" take
// activations that were converted before. oneDNN takes them in its own type, converted before.
#include <algorithm>
#include <memory>
#include <tuple>

#include "bench/contest.hpp"
#include "bench/peers/eigen_product.hpp"
#include "bench/peers/openblas.hpp"
#include "kernels/narrow_product.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/gemm.hpp"
#if defined(RAE_BENCH_ONEDNN)
#include "bench/peers/onednn_product.hpp"
#endif

namespace {

using rae::bf16;
using rae::DType;
using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::View;
using rae::bench::Contest;

/// out (M, N), summed over K.
Contest measure(DType type, index_t m, index_t n, index_t k, int threads, int rounds,
                const rae::bench::OpenBlas& blas) {
  const auto copies = static_cast<std::size_t>(std::max<index_t>(
      1, rae::bench::kColdBytes / (n * k * static_cast<index_t>(rae::size_of(type)))));
  Tensor<float> a(Shape{m, k}), weight(Shape{n, k}), out(Shape{m, n});  // (M, K), (N, K), (M, N)
  rae::Philox(1).fill_normal(a.span());
  rae::Philox(2).fill_normal(weight.span());
  const Tensor<bf16> narrow = rae::convert<bf16>(a);  // (M, K)
  const View<const float> left = std::as_const(a).view(),
                          transposed = std::as_const(weight).view().transposed();
  const View<float> target = out.view();
  std::vector<rae::PackedMatrix<float>> packed;
  for (std::size_t i = 0; i < copies; ++i) packed.emplace_back(transposed, type);

  Contest contest(type, threads, m, n, k, copies);
  contest.ours("ours", [&](std::size_t copy) { rae::gemm<float>(left, packed[copy], target); });
  if (type == DType::bf16)
    contest.ours("bf16 in",
                 [&](std::size_t copy) { rae::gemm(narrow.view(), packed[copy], target); });
  const rae::detail::Int8Rows quantized = rae::detail::quantize_rows({left, nullptr});
  if (type == DType::int8)
    contest.ours("int8 in", [&](std::size_t copy) {
      rae::detail::multiply_int8(quantized, packed[copy], target, {});
    });
#if defined(RAE_BENCH_ONEDNN)
  std::vector<std::unique_ptr<rae::bench::OneDnnProduct>> peers;
  const bool has_type = rae::bench::OneDnnProduct::supports(type);
  for (std::size_t i = 0; has_type && i < copies; ++i)
    peers.push_back(
        std::make_unique<rae::bench::OneDnnProduct>(type, m, n, k, std::as_const(weight).data()));
  const std::vector<unsigned char> bytes(static_cast<std::size_t>(m * k), 128);
  const void* given = type == DType::f32    ? static_cast<const void*>(std::as_const(a).data())
                      : type == DType::bf16 ? static_cast<const void*>(narrow.data())
                                            : bytes.data();
  if (has_type)
    contest.peer("oneDNN", [&](std::size_t copy) { (*peers[copy])(given, target.data()); });
#endif
  const std::vector<Tensor<float>> plain = [&] {
    std::vector<Tensor<float>> all;  // separate copies: a copied Tensor would share its memory
    for (std::size_t i = 0; type == DType::f32 && i < copies; ++i)
      all.emplace_back(weight.shape(), std::as_const(weight).span());
    return all;
  }();
  if (type == DType::f32) {
    if (blas) {
      blas.set_threads(threads);
      contest.peer("OpenBLAS", [&](std::size_t copy) {
        blas.product(false, true, m, n, k, left.data(), plain[copy].data(), target.data());
      });
    }
    contest.peer("Eigen", [&](std::size_t copy) {
      eigen_product(false, true, m, n, k, left.data(), plain[copy].data(), target.data(), threads);
    });
  }
  contest.run(rounds);
  return contest;
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc, argv, 7);
  const rae::bench::OpenBlas blas;
  std::printf(
      "kernels: %s, OpenBLAS: %s. Giga-operations per second, (fraction of the peak), xRATIO of "
      "our best to a peer; medians of %d "
      "rounds.\n",
      std::string(rae::name_of(rae::active_isa())).c_str(), blas.core().c_str(), arguments.rounds);
  rae::bench::Records records;
  for (const int threads : arguments.threads) {
    rae::set_num_threads(threads);
#if defined(RAE_BENCH_ONEDNN)
    rae::bench::OneDnnProduct::set_threads(threads);
#endif
    for (const DType type : {DType::f32, DType::bf16, DType::int8}) {
      const std::string group = rae::concat("T", threads, " ", rae::name_of(type));
      rae::bench::Means means;
      for (const auto& [m, n, k] :
           std::vector<std::tuple<index_t, index_t, index_t>>{{256, 1152, 1152},
                                                              {256, 3456, 1152},
                                                              {256, 4608, 1152},
                                                              {256, 1152, 4608},
                                                              {256, 6144, 1152},
                                                              {256, 2048, 2048},
                                                              {256, 8192, 2048},
                                                              {261, 3072, 768}}) {
        const std::string name = rae::concat(group, " ", m, "x", n, "x", k);
        if (!arguments.takes(name)) continue;
        const Contest contest = measure(type, m, n, k, threads, arguments.rounds, blas);
        contest.print(name);
        means.add(contest);
        records.add(contest.record(name));
      }
      means.print(group);
    }
  }
  return records.write(arguments) ? 0 : 1;
}
