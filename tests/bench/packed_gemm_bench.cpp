// Products with packed weights in f32, bf16 and 8 bits against the machine's peak of each type and, where it is installed, oneDNN.
//
//   bench_packed_gemm [ROUNDS] [FILTER]      FILTER: part of a line's name, for example "bf16", "2048" or "T1"
//
// In every round each line measures the peak and then all candidates, so that drift of the machine hits all alike; medians of the
// rounds are printed. Weights rotate over kColdBytes of copies, cold as in a deep model. Ours takes f32 activations and converts them
// within the measured time ("ours"), and bf16 ones as they are ("bf16 in"); oneDNN takes them in its own type, converted before.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/peak.hpp"
#include "rae/core/random.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/kernels/isa.hpp"
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
using rae::bench::median;
using rae::bench::peak;
using rae::bench::seconds;

constexpr index_t kColdBytes = index_t{96} << 20;
constexpr double kSampleSeconds = 0.02;

struct Line {
  DType type;
  index_t m, n, k;  // out (m, n), k summed
};

struct Candidate {
  std::string name;
  std::function<void(std::size_t copy)> run;
  std::vector<double> rates{}, fractions{};
};

double rate(const Line& line, const Candidate& candidate, std::size_t copies) {
  candidate.run(0);
  std::size_t count = 0;
  double elapsed = 0;
  for (const double start = seconds(); elapsed < kSampleSeconds; elapsed = seconds() - start) candidate.run(++count % copies);
  return 2.0 * static_cast<double>(line.m * line.n * line.k) * static_cast<double>(count) / elapsed;
}

// Adds the fractions of the peak to `means`, one for each candidate.
void measure(const Line& line, const std::string& name, int threads, int rounds, std::vector<std::vector<double>>& means) {
  const auto [type, m, n, k] = line;
  const auto copies = static_cast<std::size_t>(std::max<index_t>(1, kColdBytes / (n * k * static_cast<index_t>(rae::size_of(type)))));
  Tensor<float> a(Shape{m, k}), weight(Shape{n, k}), out(Shape{m, n});
  rae::Philox(1).fill_normal(a.span());
  rae::Philox(2).fill_normal(weight.span());
  const Tensor<bf16> narrow = rae::convert<bf16>(a);
  const View<const float> left = std::as_const(a).view();
  const View<float> target = out.view();
  std::vector<rae::PackedMatrix<float>> packed;
  for (std::size_t i = 0; i < copies; ++i) packed.emplace_back(std::as_const(weight).view().transposed(), type);

  std::vector<Candidate> candidates{{"ours", [&](std::size_t copy) { rae::gemm<float>(left, packed[copy], target); }}};
  if (type == DType::bf16) candidates.push_back({"bf16 in", [&](std::size_t copy) { rae::gemm(narrow.view(), packed[copy], target); }});
#if defined(RAE_BENCH_ONEDNN)
  std::vector<std::unique_ptr<rae::bench::OneDnnProduct>> peers;
  for (std::size_t i = 0; i < copies; ++i)
    peers.push_back(std::make_unique<rae::bench::OneDnnProduct>(type, m, n, k, std::as_const(weight).data()));
  const std::vector<unsigned char> bytes(static_cast<std::size_t>(m * k), 128);
  const void* given = type == DType::f32    ? static_cast<const void*>(std::as_const(a).data())
                      : type == DType::bf16 ? static_cast<const void*>(narrow.data())
                                            : bytes.data();
  candidates.push_back({"oneDNN", [&](std::size_t copy) { (*peers[copy])(given, target.data()); }});
#endif
  std::vector<double> peaks;
  for (int round = 0; round < rounds; ++round) {
    peaks.push_back(peak(type, threads));
    for (auto& candidate : candidates) {
      candidate.rates.push_back(rate(line, candidate, copies));
      candidate.fractions.push_back(candidate.rates.back() / peaks.back());
    }
  }
  std::printf("%-26s peak %5.0f", name.c_str(), median(peaks) / 1e9);
  means.resize(candidates.size());
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    std::printf("  %s %5.0f (%.2f)", candidates[c].name.c_str(), median(candidates[c].rates) / 1e9, median(candidates[c].fractions));
    means[c].push_back(median(candidates[c].fractions));
  }
#if defined(RAE_BENCH_ONEDNN)
  std::vector<double> ratios;  // of the same round
  for (std::size_t i = 0; i < peaks.size(); ++i) ratios.push_back(candidates[0].rates[i] / candidates.back().rates[i]);
  std::printf("  ours / oneDNN %.2f", median(ratios));
#endif
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  const std::string filter = argc > 2 ? argv[2] : "";
  std::printf("kernels: %s. Giga-operations per second and, in brackets, the fraction of the peak; medians of %d rounds.\n",
              std::string(rae::name_of(rae::active_isa())).c_str(), rounds);
  for (const int threads : {1, 2}) {
    rae::set_num_threads(threads);
#if defined(RAE_BENCH_ONEDNN)
    rae::bench::OneDnnProduct::set_threads(threads);
#endif
    for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
      std::vector<std::vector<double>> means;
      for (const auto& [m, n, k] : std::vector<std::tuple<index_t, index_t, index_t>>{{256, 1152, 1152},
                                                                                      {256, 3456, 1152},
                                                                                      {256, 4608, 1152},
                                                                                      {256, 1152, 4608},
                                                                                      {256, 6144, 1152},
                                                                                      {256, 2048, 2048},
                                                                                      {256, 8192, 2048},
                                                                                      {261, 3072, 768}}) {
        const std::string name = "T" + std::to_string(threads) + " " + std::string(rae::name_of(type)) + " " + std::to_string(m) + "x" +
                                 std::to_string(n) + "x" + std::to_string(k);
        if (name.find(filter) != std::string::npos) measure({type, m, n, k}, name, threads, rounds, means);
      }
      if (means.empty()) continue;
      std::printf("   mean fraction of the peak:");
      for (const auto& fractions : means) {
        double sum = 0;
        for (const double f : fractions) sum += f;
        std::printf("  %.3f", sum / static_cast<double>(fractions.size()));
      }
      std::printf("\n");
    }
  }
  return 0;
}
