// Measures training steps of a diffusion transformer on several ranks.
//
//   mpirun -n RANKS bench_ranks [--threads N] [--steps N] [--layers N] [--width N] [--batch N]
//                               [--type f32|bf16] [--no-overlap] [--shard]
//
// The batch is that of all ranks. The network is that of bench_train_step. Without mpirun, one rank
// makes the same steps as a training on one computer. Prints one line of JSON: medians of the
// seconds of a step, of its forward and backward passes, and of the time after the backward pass in
// which rank 0 waits for sums of gradients, and the bytes that it sends in each step.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/core/workspace.hpp"
#include "rae/models/initialize.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/mpi/mpi_communicator.hpp"
#include "rae/ops/loss.hpp"
#include "tool/peak.hpp"
#include "train/shared_gradients.hpp"

namespace {

using rae::index_t;
using rae::Shape;
using rae::Tensor;
using rae::Var;
using rae::bench::median;
using rae::bench::seconds;

struct Options {
  int steps = 7, threads = 0;
  index_t layers = 12, width = 384, batch = 64;
  rae::DType type = rae::DType::f32;
  bool overlap = true, shard = false;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&] { return std::max(1, i + 1 < argc ? std::atoi(argv[++i]) : 1); };
    if (word == "--no-overlap") {
      o.overlap = false;
    } else if (word == "--shard") {
      o.shard = true;
    } else if (word == "--steps") {
      o.steps = number();
    } else if (word == "--threads") {
      o.threads = number();
    } else if (word == "--layers") {
      o.layers = number();
    } else if (word == "--width") {
      o.width = number();
    } else if (word == "--batch") {
      o.batch = number();
    } else if (word == "--type" && i + 1 < argc) {
      o.type = rae::parse_float_dtype(argv[++i]);
    } else {
      std::fprintf(stderr, "bench_ranks: unknown option %s\n", word.c_str());
      std::exit(2);
    }
  }
  return o;
}

void measure(const Options& o, rae::Communicator* communicator) {
  constexpr index_t kGrid = 8, kChannels = 16, kClasses = 10;
  const rae::RankSharing ranks{
      .communicator = communicator, .shard_optimizer = o.shard, .overlap = o.overlap};
  rae::LightningDit<Var<float>> model({.input_h = kGrid,
                                       .input_w = kGrid,
                                       .patch_size = 1,
                                       .in_channels = kChannels,
                                       .hidden_size = o.width,
                                       .depth = o.layers,
                                       .num_heads = o.width / 64,
                                       .num_classes = kClasses});
  rae::init_default(model, 1);
  rae::multiply_as(model, o.type);
  rae::AdamW<float> optimizer(model);
  std::optional<rae::detail::SharedGradients> sums;
  if (ranks.several()) sums.emplace(optimizer, ranks);
  const index_t batch = ranks.part(o.batch).count();
  Tensor<float> x(Shape{batch, kChannels, kGrid, kGrid}), target(x.shape()), t(Shape{batch});
  rae::Philox(1).fill_normal(x.span());
  rae::Philox(2).fill_normal(target.span());
  std::vector<std::int64_t> labels;
  for (index_t i = 0; i < batch; ++i) {
    labels.push_back(i % kClasses);
    t[i] = (static_cast<float>(i) + 0.5f) / static_cast<float>(batch);
  }
  std::vector<double> step, forward, backward, wait, update;
  rae::Workspace workspace;
  for (int i = 0; i < o.steps + 2; ++i) {
    if (communicator != nullptr) communicator->barrier();
    const double begin = seconds();
    const rae::WorkspaceScope recycled(workspace);
    rae::Tape<float> tape;
    const rae::TapeScope<float> scope(tape);
    const Var<float> loss = mse_loss(model(Var<float>(x), t, labels), target);
    const double forward_done = seconds();
    if (sums) {
      sums->begin_last_pass();
      tape.backward(loss, Tensor<float>(loss.shape(), 1.0f), [&] { sums->poll(); });
    } else {
      tape.backward(loss);
    }
    const double backward_done = seconds();
    optimizer.step(1e-4, 1.0);
    const double end = seconds();
    if (i < 2) continue;  // the first passes learn the order of the gradients and the memory
    step.push_back(end - begin);
    forward.push_back(forward_done - begin);
    backward.push_back(backward_done - forward_done);
    wait.push_back(sums ? sums->waited() : 0);
    update.push_back(end - backward_done - wait.back());
  }
  if (!ranks.is_root()) return;
  index_t parameters = 0;
  for (const auto& slot : optimizer.slots()) parameters += slot.parameter.value().numel();
  std::printf(
      "{\"ranks\": %d, \"threads\": %d, \"overlap\": %s, \"shard\": %s, \"parameters\": %lld, "
      "\"batch\": %lld, \"step\": %.4f, \"forward\": %.4f, \"backward\": %.4f, \"wait\": %.4f, "
      "\"update\": %.4f, \"bytes_sent\": %.0f}\n",
      communicator == nullptr ? 1 : communicator->size(), rae::num_threads(),
      o.overlap ? "true" : "false", o.shard ? "true" : "false", static_cast<long long>(parameters),
      static_cast<long long>(o.batch), median(step), median(forward), median(backward),
      median(wait), median(update), sums ? sums->bytes_sent() : 0.0);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr && std::getenv("PMI_SIZE") == nullptr) {
    if (options.threads > 0) rae::set_num_threads(options.threads);
    measure(options, nullptr);
    return 0;
  }
  const auto communicator = rae::MpiCommunicator::connect();
  rae::set_num_threads(options.threads > 0 ? options.threads : communicator->threads());
  measure(options, communicator.get());
  communicator->disconnect();
  return 0;
}
