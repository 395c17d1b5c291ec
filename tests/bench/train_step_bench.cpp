// Measures training steps of a diffusion transformer against the machine's multiply-add peak:
// forward pass, backward pass, clipping, AdamW and weight average.
//
//   bench_train_step [--type f32|bf16] [--steps N] [--layers N] [--batch N] [--threads N] [--json]
//
// --type is the type of the products. Without it, both types are measured in turn.
//
// The network is a LightningDiT of width 384 on 64 tokens: 12 layers, 6 heads, SwiGLU of 1024, 32 M
// parameters. The latents are random. The peak is measured before each step, and medians are
// printed. tests/bench/peers/torch_train.py trains the same network in PyTorch and runs this
// program between its own steps. Only products are counted: 6 operations for each weight and row (2
// each in the forward pass and for both gradients), and for attention those of scores and values,
// twice as many in the backward pass.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "rae/core/workspace.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/adamw.hpp"
#include "tool/peak.hpp"

namespace {

using rae::DType;
using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::Var;
using rae::bench::median;
using rae::bench::seconds;

constexpr index_t kGrid = 8, kChannels = 16, kWidth = 384, kHeads = 6, kClasses = 10;

struct Options {
  int steps = 5;
  index_t layers = 12, batch = 64;
  bool json = false;
  std::vector<DType> types = {DType::f32, DType::bf16};
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool more = i + 1 < argc;
    if (word == "--json")
      o.json = true;
    else if (word == "--type" && more &&
             (std::string(argv[i + 1]) == "f32" || std::string(argv[i + 1]) == "bf16"))
      o.types = {rae::parse_float_dtype(argv[++i])};
    else if (word == "--steps" && more)
      o.steps = std::max(1, std::atoi(argv[++i]));
    else if (word == "--layers" && more)
      o.layers = std::max(1, std::atoi(argv[++i]));
    else if (word == "--batch" && more)
      o.batch = std::max(1, std::atoi(argv[++i]));
    else if (word == "--threads" && more)
      rae::set_num_threads(std::max(1, std::atoi(argv[++i])));
    else {
      std::fprintf(stderr, "bench_train_step: unknown option %s\n", word.c_str());
      std::exit(2);
    }
  }
  return o;
}

// The number of operations in the products of a step.
double operations(rae::LightningDit<Var<float>>& model, index_t batch) {
  constexpr index_t kTokens = kGrid * kGrid;
  double sum = 0;
  model.parameters([&](const std::string& name, auto& p) {
    if (p.shape().rank() != 2 || name.find("embedding_table") != std::string::npos) return;
    const bool per_image =
        name.find("adaLN") != std::string::npos || name.find("t_embedder") != std::string::npos;
    sum += 6.0 * static_cast<double>(p.shape().numel() * batch * (per_image ? 1 : kTokens));
  });
  const double attention = 4.0 * static_cast<double>(batch * kTokens * kTokens * kWidth) * 3;
  return sum + attention * static_cast<double>(model.blocks.size());
}

long page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

struct Times {
  std::vector<double> step, forward, backward, update, fraction, faults;
};

Times measure(const Options& o, DType type, double& operations_of_step) {
  rae::LightningDit<Var<float>> model({.input_h = kGrid,
                                       .input_w = kGrid,
                                       .patch_size = 1,
                                       .in_channels = kChannels,
                                       .hidden_size = kWidth,
                                       .depth = o.layers,
                                       .num_heads = kHeads,
                                       .num_classes = kClasses});
  rae::init_default(model, 1);
  rae::multiply_as(model, type);
  rae::AdamW<float> optimizer(model);
  operations_of_step = operations(model, o.batch);
  Tensor<float> x(Shape{o.batch, kChannels, kGrid, kGrid}), target(x.shape()),
      t(Shape{o.batch});  // (B, C, h, w), (B)
  rae::Philox(1).fill_normal(x.span());
  rae::Philox(2).fill_normal(target.span());
  std::vector<std::int64_t> labels;
  for (index_t i = 0; i < o.batch; ++i) {
    labels.push_back(i % kClasses);
    t[i] = (static_cast<float>(i) + 0.5f) / static_cast<float>(o.batch);
  }

  Times times;
  rae::Workspace workspace;
  for (int step = -3; step < o.steps; ++step) {
    const double peak = rae::bench::peak(type, rae::num_threads());
    const long faults = page_faults();
    const rae::WorkspaceScope recycled(workspace);
    rae::Tape<float> tape;
    const rae::TapeScope<float> scope(tape);
    const double start = seconds();
    const Var<float> loss = mse_loss(model(Var<float>(x), t, labels), target);
    const double forward = seconds();
    tape.backward(loss);
    const double backward = seconds();
    optimizer.step(1e-4, 1.0);
    const double end = seconds();
    if (step < 0) continue;  // the first steps allocate memory that later steps reuse
    times.step.push_back(end - start);
    times.forward.push_back(forward - start);
    times.backward.push_back(backward - forward);
    times.update.push_back(end - backward);
    times.fraction.push_back(operations_of_step / (end - start) / peak);
    times.faults.push_back(static_cast<double>(page_faults() - faults));
  }
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  for (const DType type : o.types) {
    double work = 0;
    const Times times = measure(o, type, work);
    const double step = median(times.step), images = static_cast<double>(o.batch) / step;
    std::printf(o.json ? "{\"type\": \"%s\", \"images_per_second\": %.3f, \"gflops\": %.1f, "
                         "\"fraction_of_peak\": %.4f, \"forward_ms\": %.2f, "
                         "\"backward_ms\": %.2f, \"update_ms\": %.2f, \"page_faults\": %.0f}\n"
                       : "%-5s %6.1f images/s  %5.0f GFLOP/s (%.2f of the peak)  forward %5.0f  "
                         "backward %5.0f  update %4.0f ms  page faults %.0f\n",
                std::string(rae::name_of(type)).c_str(), images, work / step / 1e9,
                median(times.fraction), 1e3 * median(times.forward), 1e3 * median(times.backward),
                1e3 * median(times.update), median(times.faults));
    std::fflush(stdout);
  }
  return 0;
}
