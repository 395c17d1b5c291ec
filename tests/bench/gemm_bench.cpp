// Measures the matrix products of a linear layer and of its gradients against the machine's
// multiply-add peak, Eigen and OpenBLAS. The numbers are f32; on the shapes of training, they are
// also rounded to bf16 while they are packed, and compared with the peak of bf16.
//
//   bench_gemm [ROUNDS] [FILTER] [--threads 1,2] [--json FILE]
//
// FILTER is a part of a line's name, for example "2048", "dW" or "T1".
//
// After each peer, the ratio of our best rate to its rate in the same round is printed.
#include "bench/contest.hpp"

#include <algorithm>
#include "bench/peers/eigen_product.hpp"
#include "bench/peers/openblas.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/gemm.hpp"

namespace {

using rae::DType;
using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::View;

enum class Product { forward, input_gradient, weight_gradient };  // X W^T, dY W, dY^T X

struct Line {
  Product product;
  index_t m, n, k;  // out (m, n), summed over k
  DType operands = DType::f32;
};

Tensor<float> random_matrix(index_t rows, index_t columns, std::uint64_t seed) {
  Tensor<float> out(Shape{rows, columns});  // (R, N)
  rae::Philox(seed).fill_uniform(out.span());
  return out;
}

void measure(const Line& line, const std::string& name, int threads, int rounds,
             const rae::bench::OpenBlas& blas, rae::bench::Records& records) {
  const bool ta = line.product == Product::weight_gradient, tb = line.product == Product::forward;
  const index_t m = line.m, n = line.n, k = line.k;
  // Weights are not in the cache. Both operands of a weight gradient are, since they were just
  // computed.
  const auto copies = static_cast<std::size_t>(
      ta ? 1 : std::max<index_t>(1, rae::bench::kColdBytes / (n * k * index_t{sizeof(float)})));
  const Tensor<float> a = random_matrix(ta ? k : m, ta ? m : k, 1);  // (M, K) or (K, M)
  std::vector<Tensor<float>> b;
  std::vector<rae::PackedMatrix<float>> packed;
  for (std::size_t i = 0; i < copies; ++i) {
    b.push_back(random_matrix(tb ? n : k, tb ? k : n, 2));
    const View<const float> view = std::as_const(b.back()).view();
    if (!ta) packed.emplace_back(tb ? view.transposed() : view, line.operands);
  }
  Tensor<float> out(Shape{m, n});  // (M, N)
  const View<float> target = out.view();
  const View<const float> left = ta ? a.view().transposed() : a.view();
  const auto right = [&](std::size_t copy) { return std::as_const(b[copy]).view(); };

  rae::bench::Contest contest(line.operands, threads, m, n, k, copies);
  contest.ours("gemm", [&](std::size_t copy) {
    rae::gemm<float>(left, tb ? right(copy).transposed() : right(copy), target, {}, line.operands);
  });
  if (!ta)
    contest.ours("packed", [&](std::size_t copy) { rae::gemm<float>(left, packed[copy], target); });
  if (line.operands == DType::f32) {
    contest.peer("Eigen", [&](std::size_t copy) {
      eigen_product(ta, tb, m, n, k, a.data(), right(copy).data(), target.data(), threads);
    });
    if (blas) {
      blas.set_threads(threads);
      contest.peer("OpenBLAS", [&](std::size_t copy) {
        blas.product(ta, tb, m, n, k, a.data(), right(copy).data(), target.data());
      });
    }
  }
  contest.run(rounds);
  contest.print(name);
  records.add(contest.record(name));
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc, argv, 7);
  const rae::bench::OpenBlas blas;
  std::vector<Line> lines;
  for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{{1152, 1152},
                                                                     {3456, 1152},
                                                                     {4608, 1152},
                                                                     {1152, 4608},
                                                                     {6144, 1152},
                                                                     {2048, 2048},
                                                                     {8192, 2048}})
    lines.push_back({Product::forward, 256, n, k});
  lines.push_back({Product::forward, 261, 3072, 768});
  for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{{96, 96},
                                                                     {288, 96},
                                                                     {192, 192},
                                                                     {384, 96},
                                                                     {768, 192},
                                                                     {384, 384},
                                                                     {96, 768},
                                                                     {768, 768}}) {
    lines.push_back({Product::forward, 2048, n, k});          // Y (M, N) = X (M, K) W^T
    lines.push_back({Product::input_gradient, 2048, k, n});   // dX (M, K) = dY (M, N) W
    lines.push_back({Product::weight_gradient, n, k, 2048});  // dW (N, K) = dY^T X
  }
  // The shapes of bench_train_step.
  for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{
           {1152, 384}, {384, 384}, {2048, 384}, {384, 1024}}) {
    for (const DType operands : {DType::f32, DType::bf16}) {
      lines.push_back({Product::forward, 4096, n, k, operands});
      lines.push_back({Product::input_gradient, 4096, k, n, operands});
      lines.push_back({Product::weight_gradient, n, k, 4096, operands});
    }
  }
  std::printf(
      "kernels: %s, OpenBLAS: %s. GFLOP/s, (fraction of the peak), xRATIO of our best to a peer; "
      "medians of %d rounds.\n",
      std::string(rae::name_of(rae::active_isa())).c_str(), blas.core().c_str(), arguments.rounds);
  rae::bench::Records records;
  for (const int threads : arguments.threads) {
    rae::set_num_threads(threads);
    for (const Line& line : lines) {
      const char* kind = line.product == Product::forward          ? "Y"
                         : line.product == Product::input_gradient ? "dX"
                                                                   : "dW";
      const std::string name =
          rae::concat("T", threads, " ", line.operands == DType::f32 ? "" : "bf16 ", kind, " ",
                      line.m, "x", line.n, "x", line.k);
      if (arguments.takes(name)) measure(line, name, threads, arguments.rounds, blas, records);
    }
  }
  return records.write(arguments) ? 0 : 1;
}
