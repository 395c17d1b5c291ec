// Measures the kernels other than products, each alone, with Google Benchmark:
//
//   bench_kernels [--benchmark_filter=norm] [--benchmark_out=FILE --benchmark_out_format=json] ...
//
// A benchmark is named KERNEL/ROWS/threads:N. 256 rows of 1,152 numbers are the tokens of one image
// in DiT^DH-XL: 1.2 MB, which fit a cache. 16,384 rows are 75 MB, which fit none. Bytes per second
// count the f32 elements that a kernel must read and write. The counter of_memory is their ratio to
// the rate at which as many threads only read memory, measured before the first benchmark. It can
// be above 1, since writes are transferred in parallel with reads.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/gate.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/kernels/norm.hpp"
#include "rae/kernels/optimizer_step.hpp"
#include "rae/kernels/patch.hpp"
#include "rae/kernels/resize.hpp"
#include "rae/kernels/rope.hpp"
#include "rae/kernels/softmax.hpp"
#include "tool/peak.hpp"

namespace {

using rae::index_t;
using rae::Shape;
using rae::Tensor;

constexpr index_t kWidth = 1152, kHeads = 16, kNear = 256, kFar = 16384;

Tensor<float> normal(const Shape& shape) {
  Tensor<float> out(shape);  // any
  rae::Philox(1).fill_normal(out.span());
  return out;
}

/// Bytes per second at which this number of threads reads memory; measured once.
double memory_rate(int threads) {
  static std::map<int, double> rates;
  double& rate = rates[threads];
  if (rate == 0) {
    const std::vector<std::uint64_t> memory(std::size_t{32} << 20, 1);
    for (int round = 0; round < 5; ++round) rate = std::max(rate, rae::bench::read_rate(memory));
  }
  return rate;
}

/// Runs `kernel`, which reads and writes `numbers` f32 elements in total.
template <class Kernel>
void run(benchmark::State& state, int threads, index_t numbers, const Kernel& kernel) {
  rae::set_num_threads(threads);
  const double memory = memory_rate(threads), bytes = static_cast<double>(numbers) * sizeof(float);
  kernel();
  for (auto _ : state) {
    kernel();
    benchmark::ClobberMemory();
  }
  const double done = bytes * static_cast<double>(state.iterations());
  state.SetBytesProcessed(static_cast<std::int64_t>(done));
  state.counters["of_memory"] = benchmark::Counter(done / memory, benchmark::Counter::kIsRate);
}

using Benchmark = std::function<void(benchmark::State&, index_t rows, int threads)>;

// Each kernel reads x (R, D) and writes out (R, D), or the arrays that its name implies.
const std::vector<std::pair<std::string, Benchmark>>& kernels() {
  static const std::vector<std::pair<std::string, Benchmark>> all = {
      {"norm_modulate",
       [](benchmark::State& state, index_t rows, int threads) {
         // (R, D), (R/256, 2D)
         const Tensor<float> x = normal({rows, kWidth}),
                             rows_of_images = normal({rows / kNear, 2 * kWidth});
         Tensor<float> out(x.shape());  // (R, D)
         const float* first = rows_of_images.data();
         const rae::NormInputs<float> inputs{.shift = {first, rows / kNear, 2 * kWidth},
                                             .scale = {first + kWidth, rows / kNear, 2 * kWidth}};
         run(state, threads, 2 * out.numel(), [&] { rae::norm<float>(x, inputs, out); });
       }},
      {"rms_norm",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth}), weight = normal({kWidth});  // (R, D), (D)
         Tensor<float> out(x.shape());                                               // (R, D)
         run(state, threads, 2 * out.numel(),
             [&] { rae::norm<float>(x, {.kind = rae::NormKind::rms, .weight = weight}, out); });
       }},
      {"norm_backward",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth}), dout = x;  // (R, D) each
         Tensor<float> dx(x.shape());                               // (R, D)
         run(state, threads, 3 * dx.numel(),
             [&] { rae::norm_backward<float>(x, {}, dout, {.dx = dx}); });
       }},
      {"gelu",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth});  // (R, D)
         Tensor<float> out(x.shape());                    // (R, D)
         run(state, threads, 2 * out.numel(), [&] { rae::activate<float>(rae::Gelu, x, out); });
       }},
      {"silu",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth});  // (R, D)
         Tensor<float> out(x.shape());                    // (R, D)
         run(state, threads, 2 * out.numel(), [&] { rae::activate<float>(rae::Silu, x, out); });
       }},
      {"swiglu",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth});  // (R, D)
         Tensor<float> out(Shape{rows, kWidth / 2});      // (R, D/2)
         run(state, threads, x.numel() + out.numel(), [&] { rae::swiglu<float>(x, out); });
       }},
      {"softmax",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth});  // (R, D)
         Tensor<float> out(x.shape());                    // (R, D)
         run(state, threads, 2 * out.numel(), [&] { rae::softmax<float>(x, out); });
       }},
      {"gated_add",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> x = normal({rows, kWidth}), y = x,
                             gate = normal({rows / kNear, kWidth});  // (R, D), (R, D), (R/256, D)
         Tensor<float> out(x.shape());                               // (R, D)
         run(state, threads, 3 * out.numel(), [&] {
           rae::gated_add<float>(x, {gate.data(), rows / kNear, kWidth}, y, out);
         });
       }},
      {"rope",
       [](benchmark::State& state, index_t rows, int threads) {
         // (R/256, 256, H, hd)
         const Tensor<float> x = normal({rows / kNear, kNear, kHeads, kWidth / kHeads});
         const rae::RopeTable<float> table = rae::make_rope_table<float>(16, 16, kWidth / kHeads);
         Tensor<float> out(x.shape());  // (R/256, 256, H, hd)
         run(state, threads, 2 * out.numel(),
             [&] { rae::apply_rope<float>(x, table.view(), out); });
       }},
      {"unpatchify, 16 x 16 of RGB",
       [](benchmark::State& state, index_t rows, int threads) {
         const index_t images = rows * kWidth / (256 * 768);
         const Tensor<float> tokens = normal({images, 256, 768});  // (B, 256, 768)
         Tensor<float> out(Shape{images, 3, 256, 256});            // (B, 3, 256, 256)
         run(state, threads, 2 * out.numel(),
             [&] { rae::unpatchify<float>(tokens, 16, rae::PatchOrder::channels_last, out); });
       }},
      {"resize, 256 to 224 bicubic",
       [](benchmark::State& state, index_t rows, int threads) {
         const index_t images = rows * kWidth / (3 * 256 * 256);
         const Tensor<float> x = normal({images, 3, 256, 256});  // (B, 3, 256, 256)
         Tensor<float> out(Shape{images, 3, 224, 224});          // (B, 3, 224, 224)
         run(state, threads, x.numel() + out.numel(),
             [&] { rae::resize<float>(x, rae::Resize::bicubic_antialias, out); });
       }},
      {"normal random numbers",
       [](benchmark::State& state, index_t rows, int threads) {
         Tensor<float> out(Shape{rows, kWidth});  // (R, D)
         run(state, threads, out.numel(), [&] { rae::Philox(1).fill_normal(out.span()); });
       }},
      {"adamw_step",
       [](benchmark::State& state, index_t rows, int threads) {
         const Tensor<float> grad = normal({rows, kWidth});             // (R, D)
         Tensor<float> param = grad, m(grad.shape()), v(grad.shape());  // (R, D) each
         run(state, threads, 7 * grad.numel(),
             [&] { rae::adamw_step<float>(param, grad, m, v, 1, {}); });
       }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("kernels", std::string(rae::name_of(rae::active_isa())));
  for (const auto& [name, kernel] : kernels())
    for (const index_t rows : {kNear, kFar})
      for (const int threads : {1, rae::num_threads()})
        benchmark::RegisterBenchmark(
            (name + "/" + std::to_string(rows) + "/threads:" + std::to_string(threads)).c_str(),
            [=, run_it = &kernel](benchmark::State& state) { (*run_it)(state, rows, threads); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond)
            ->MinTime(0.1);
  benchmark::RunSpecifiedBenchmarks();
}
