// Measures attention on the shapes of our models, with f32 and bf16 operands, against the time that
// its two products would take at the machine's peak.
//
//   bench_attention [ROUNDS] [FILTER] [--threads 1,2] [--json FILE]
//
// FILTER is a part of a line's name, for example "bf16", "16x72" or "T1".
//
// Each line is TOKENSxHEADSxWIDTH of one image. The inputs are in the cache, as they are after the
// product that computes them. The limit is 4 T^2 H hd operations at the peak measured in the same
// round. Printed are medians of all calls.
#include <string>
#include <vector>

#include "bench/arguments.hpp"
#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"
#include "rae/core/workspace.hpp"
#include "rae/kernels/attention.hpp"
#include "rae/kernels/rope.hpp"
#include "tool/peak.hpp"

namespace {

using rae::DType;
using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::bench::median;
using rae::bench::peak;
using rae::bench::seconds;

constexpr double kSampleSeconds = 0.02;

struct Line {
  index_t grid_h, grid_w, heads, head_dim;
  bool rotated;
};

// Appends the time of every call to `times`.
template <class F>
void time_calls(F run, std::vector<double>& times) {
  run();
  for (const double start = seconds(); seconds() - start < kSampleSeconds;) {
    const double begin = seconds();
    run();
    times.push_back(seconds() - begin);
  }
}

void measure(const Line& line, const std::string& name, DType type, int threads, int rounds,
             rae::bench::Records& records) {
  const index_t tokens = line.grid_h * line.grid_w, width = line.heads * line.head_dim;
  // (1, T, 3D), (1, T, D), (1, T, 3D)
  Tensor<float> qkv(Shape{1, tokens, 3 * width}), out(Shape{1, tokens, width}), dqkv(qkv.shape());
  rae::Philox(1).fill_normal(qkv.span());
  const rae::RopeTable<float> table =
      rae::make_rope_table<float>(line.grid_h, line.grid_w, line.head_dim);
  const rae::RopeView<float> rope = line.rotated ? table.view() : rae::RopeView<float>{};
  rae::Workspace workspace;
  const rae::WorkspaceScope scope(workspace);
  std::vector<double> limits, times, backward;
  for (int round = 0; round < rounds; ++round) {
    limits.push_back(4.0 * static_cast<double>(tokens * tokens * width) / peak(type, threads));
    time_calls([&] { rae::attention<float>(qkv, line.heads, rope, out, type); }, times);
    time_calls([&] { rae::attention_backward<float>(qkv, line.heads, rope, out, dqkv, type); },
               backward);
  }
  // The backward pass computes the scores again and four more products.
  std::printf(
      "%-20s forward %6.3f ms, limit %6.3f (%.2f)   backward %6.3f ms, limit %6.3f (%.2f)\n",
      name.c_str(), 1e3 * median(times), 1e3 * median(limits), median(limits) / median(times),
      1e3 * median(backward), 2.5e3 * median(limits), 2.5 * median(limits) / median(backward));
  std::fflush(stdout);
  records.add({{"line", name},
               {"seconds", median(times)},
               {"fraction", median(limits) / median(times)},
               {"backward_seconds", median(backward)},
               {"backward_fraction", 2.5 * median(limits) / median(backward)}});
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc, argv, 7);
  rae::bench::Records records;
  std::printf(
      "kernels: %s. Milliseconds and, in brackets, the fraction of the peak; medians of %d "
      "rounds.\n",
      std::string(rae::name_of(rae::active_isa())).c_str(), arguments.rounds);
  for (const int threads : arguments.threads) {
    rae::set_num_threads(threads);
    for (const DType type : {DType::f32, DType::bf16})
      for (const Line& line :
           {Line{16, 16, 16, 72, true}, Line{9, 29, 12, 64, false}, Line{16, 16, 16, 128, true}}) {
        const std::string name = "T" + std::to_string(threads) + " " +
                                 std::string(rae::name_of(type)) + " " +
                                 std::to_string(line.grid_h * line.grid_w) + "x" +
                                 std::to_string(line.heads) + "x" + std::to_string(line.head_dim);
        if (arguments.takes(name)) measure(line, name, type, threads, arguments.rounds, records);
      }
  }
  return records.write(arguments) ? 0 : 1;
}
