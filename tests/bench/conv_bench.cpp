// Measures convolution and its gradients against the machine's multiply-add peak: 128 pictures and
// windows of 3 x 3, in f32.
//
//   bench_conv [ROUNDS] [FILTER] [--threads 1,2] [--json FILE]
//
// FILTER is a part of a line's name, for example "64->128" or "T1".
#include "bench/contest.hpp"
#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/conv.hpp"

namespace {

using rae::index_t;
using rae::Shape;
using rae::Tensor;

struct Line {
  index_t in, out, side, stride;
};

Tensor<float> normal(const Shape& shape) {
  Tensor<float> out(shape);  // any
  rae::Philox(1).fill_normal(out.span());
  return out;
}

void measure(const Line& line, const std::string& name, int threads, int rounds,
             rae::bench::Records& records) {
  constexpr index_t kBatch = 128;
  const rae::Window window{3, 3, line.stride, 1, 1};
  const index_t side = window.out_h(line.side);
  const Shape x_shape{kBatch, line.in, line.side, line.side}, y_shape{kBatch, line.out, side, side},
      weight_shape{line.out, line.in, 3, 3};
  // (B, C, H, W), (O, C, 3, 3), (B, O, h, w)
  const Tensor<float> x = normal(x_shape), weight = normal(weight_shape), dy = normal(y_shape);
  // as y, x and the weight
  Tensor<float> y(y_shape), dx(x_shape), dweight(weight_shape, 0.0f);
  rae::bench::Contest contest(rae::DType::f32, threads, kBatch * side * side, line.out, 9 * line.in,
                              1);
  contest.ours("forward", [&](std::size_t) { rae::conv2d<float>(x, weight, {}, window, y); });
  contest.ours("dx",
               [&](std::size_t) { rae::conv2d_backward_input<float>(dy, weight, window, dx); });
  contest.ours(
      "dW", [&](std::size_t) { rae::conv2d_backward_weight<float>(x, dy, window, dweight, {}); });
  contest.run(rounds);
  contest.print(name);
  records.add(contest.record(name));
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc, argv, 7);
  std::printf("kernels: %s. GFLOP/s, (fraction of the peak); medians of %d rounds.\n",
              std::string(rae::name_of(rae::active_isa())).c_str(), arguments.rounds);
  rae::bench::Records records;
  for (const int threads : arguments.threads) {
    rae::set_num_threads(threads);
    for (const Line& line :
         {Line{3, 64, 32, 1}, Line{32, 64, 32, 1}, Line{64, 128, 16, 1}, Line{128, 128, 16, 1},
          Line{64, 128, 32, 2}, Line{128, 256, 8, 1}, Line{256, 256, 8, 1}, Line{256, 512, 4, 1}}) {
      const std::string name = rae::concat("T", threads, " ", line.in, "->", line.out, " ",
                                           line.side, "x", line.side, " stride ", line.stride);
      if (arguments.takes(name)) measure(line, name, threads, arguments.rounds, records);
    }
  }
  return records.write(arguments) ? 0 : 1;
}
