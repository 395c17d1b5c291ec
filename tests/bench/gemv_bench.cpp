// Measures products of few rows with packed weights, whose time is that of reading the weights:
// gigabytes of weights per second, against the limit of the machine and, if it is installed,
// oneDNN.
//
//   bench_gemv [ROUNDS] [FILTER] [--threads 1,2] [--json FILE]
//
// FILTER is a part of a line's name, for example "bf16", "M1 " or "T1".
//
// The limit of the machine is measured in the same round: the rate at which all threads together
// read memory or, if that is lower, the rate of weights at which the peak of multiply-adds is
// reached. Weights rotate over 96 MB, so they are not in the cache, as in a deep model. oneDNN
// receives its input in its own type; ours is f32 and is converted within the measured time.
#include <algorithm>
#include <memory>

#include "bench/contest.hpp"
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
using rae::bench::Contest;

struct Weight {
  DType type;
  index_t n, k;
  Tensor<float> plain;  // (N, K)
  std::vector<rae::PackedMatrix<float>> packed;

  Weight(DType stored, index_t rows, index_t columns)
      : type(stored), n(rows), k(columns), plain(Shape{n, k}) {
    rae::Philox(2).fill_normal(plain.span());
    for (index_t bytes = 0; bytes < rae::bench::kColdBytes;
         bytes += static_cast<index_t>(packed.back().bytes().size()))
      packed.emplace_back(std::as_const(plain).view().transposed(), stored);
  }
};

/// out (M, N), summed over K.
Contest measure(const Weight& weight, index_t m, int threads, int rounds,
                std::span<const std::uint64_t> memory) {
  const index_t n = weight.n, k = weight.k;
  Tensor<float> a(Shape{m, k}), out(Shape{m, n});  // (M, K), (M, N)
  rae::Philox(1).fill_normal(a.span());
  const auto bytes = static_cast<double>(weight.packed[0].bytes().size());
  Contest contest(weight.type, threads, bytes, weight.packed.size(), [=, type = weight.type] {
    double reading = 0;
    for (int i = 0; i < 3; ++i) reading = std::max(reading, rae::bench::read_rate(memory));
    return std::min(
        reading, rae::bench::peak(type, threads) * bytes / (2.0 * static_cast<double>(m * n * k)));
  });
  contest.ours("ours", [&](std::size_t copy) {
    rae::gemm<float>(std::as_const(a), weight.packed[copy], out);
  });
#if defined(RAE_BENCH_ONEDNN)
  std::vector<std::unique_ptr<rae::bench::OneDnnProduct>> peers;
  const bool has_type = rae::bench::OneDnnProduct::supports(weight.type);
  for (std::size_t i = 0; has_type && i < weight.packed.size(); ++i)
    peers.push_back(
        std::make_unique<rae::bench::OneDnnProduct>(weight.type, m, n, k, weight.plain.data()));
  const Tensor<bf16> narrow = rae::convert<bf16>(a);  // (M, K)
  const std::vector<unsigned char> integers(static_cast<std::size_t>(m * k), 128);
  const void* given = weight.type == DType::f32 ? static_cast<const void*>(std::as_const(a).data())
                      : weight.type == DType::bf16 ? static_cast<const void*>(narrow.data())
                                                   : integers.data();
  if (has_type)
    contest.peer("oneDNN", [&](std::size_t copy) { (*peers[copy])(given, out.data()); });
#endif
  contest.run(rounds);
  return contest;
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc, argv, 5);
  std::printf(
      "kernels: %s. Gigabytes of weights per second, (fraction of the machine's limit), xRATIO "
      "to a peer; medians of %d rounds.\n",
      std::string(rae::name_of(rae::active_isa())).c_str(), arguments.rounds);
  const std::vector<std::uint64_t> memory(
      static_cast<std::size_t>(2 * rae::bench::kColdBytes) / sizeof(std::uint64_t), 1);
  rae::bench::Records records;
  for (const DType type : {DType::f32, DType::bf16, DType::int8, DType::int8w, DType::int4})
    for (const auto& [n, k] : std::vector<std::pair<index_t, index_t>>{
             {1152, 1152}, {4608, 1152}, {1152, 4608}, {8192, 2048}}) {
      const auto name_of_line = [type, n = n, k = k](int threads, index_t m) {
        return rae::concat("T", threads, " ", rae::name_of(type), " M", m, " ", n, "x", k);
      };
      std::unique_ptr<Weight> weight;
      for (const int threads : arguments.threads) {
        rae::set_num_threads(threads);
#if defined(RAE_BENCH_ONEDNN)
        rae::bench::OneDnnProduct::set_threads(threads);
#endif
        for (const index_t m : {1, 2, 4, 8, 16}) {
          const std::string name = name_of_line(threads, m);
          if (!arguments.takes(name)) continue;
          if (!weight) weight = std::make_unique<Weight>(type, n, k);
          const Contest contest = measure(*weight, m, threads, arguments.rounds, memory);
          contest.print(name);
          records.add(contest.record(name));
        }
      }
    }
  return records.write(arguments) ? 0 : 1;
}
