// Training on several ranks against training on one. The program is started by mpirun with several
// ranks, each of which also trains alone for comparison.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mpi/ranks.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/ops/elementwise.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/flow_trainer.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_decoder_run.hpp"
#include "train/shared_gradients.hpp"

namespace rae::test {
namespace {

// The same products are added in another order. A sum of k terms of magnitude a differs by at most
// 2 k u a, with u = 2^-24 and on average by sqrt(k) u a; the longest sums here, over samples and
// tokens, have some hundred terms, and a gradient passes some ten of them.
constexpr double kRounding = 200 * 0x1p-24;

/// A folder that only rank 0 has, with the same name on all ranks.
class RootFolder {
 public:
  RootFolder() : name_(folder_.path()) { ranks().broadcast(name_); }
  [[nodiscard]] std::string operator/(const std::string& name) const {
    const std::string path = name_ + "/" + name;
    if (ranks().is_root()) std::filesystem::create_directories(path);
    return path;
  }

 private:
  TempFolder folder_;
  std::string name_;
};

/// The values of a checkpoint of rank 0 whose names begin with `kind`, on all ranks.
std::vector<float> values_of(const std::string& folder, const std::string& kind) {
  std::string bytes;
  if (ranks().is_root()) {
    const SafetensorsFile file = SafetensorsFile::open(folder + "/checkpoint.safetensors");
    for (const std::string& name : file.names()) {
      if (name.rfind(kind, 0) != 0) continue;
      const Tensor<float> tensor = file.read<float>(name);  // (...)
      bytes.append(reinterpret_cast<const char*>(tensor.data()),
                   static_cast<std::size_t>(tensor.numel()) * sizeof(float));
    }
  }
  ranks().broadcast(bytes);
  std::vector<float> out(bytes.size() / sizeof(float));
  bytes.copy(reinterpret_cast<char*>(out.data()), bytes.size());
  return out;
}

/// |a - b| / |b|, in Euclidean norms.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

DitDhConfig tiny_dit() {
  DitDhConfig c;
  c.grid_h = c.grid_w = 2;
  c.in_channels = 4;
  c.hidden_size[0] = 8;
  c.hidden_size[1] = 12;
  c.depth[0] = c.depth[1] = 2;
  c.num_heads[0] = 2;
  c.num_heads[1] = 3;
  c.num_classes = 3;
  return c;
}

/// The latents of a batch of `size`.
LatentBatch latents(index_t i, index_t size) {
  LatentBatch out{Tensor<float>(Shape{size, 4, 2, 2}), {}, static_cast<std::uint64_t>(i * size)};
  for (index_t b = 0; b < size; ++b) {
    const Philox random(9, out.first + static_cast<std::uint64_t>(b));
    random.fill_normal({out.latents.data() + b * 16, 16});
    out.labels.push_back((i * size + b) % 3);
  }
  return out;
}

/// A training of a tiny DiT^DH with all its results.
struct FlowRun {
  TrainingOptions options{.steps = 6,
                          .batch_size = 14,
                          .accumulate = 2,
                          .lr = 1e-2,
                          .ema_decay = 0.9,
                          .further_ema_decays = {0.5},
                          .seed = 5,
                          .log_every = 1,
                          .checkpoint_every = 3};
  TrainingContext context{};
  std::vector<double> losses{}, norms{};  // of each step, on rank 0
  bool checkpointing = false;

  std::vector<float> train() {
    losses.clear();
    norms.clear();
    context.on_progress = [&](const TrainingProgress& p) {
      losses.push_back(p.loss);
      norms.push_back(p.grad_norm);
      return true;
    };
    FlowOptions flow;
    flow.checkpointing = checkpointing;
    const auto model =
        train_flow([&](index_t i) { return latents(i, options.batch_size / options.accumulate); },
                   tiny_dit(), flow, options, context);
    std::vector<float> out;
    model->parameters([&](const std::string&, Parameter<Tensor<float>>& p) {
      out.insert(out.end(), p.tensor().span().begin(), p.tensor().span().end());
    });
    return out;
  }
};

TEST(SharedTraining, GradientsAreThoseOfOneRankUpToRounding) {
  const RootFolder folder;
  FlowRun one, all;
  one.options.steps = all.options.steps = 1;
  one.options.max_grad_norm = all.options.max_grad_norm = 0;
  if (ranks().is_root()) one.context.folder = folder / "one";
  all.context.folder = folder / "all";
  all.context.ranks = {.communicator = &ranks()};
  (void)one.train();
  (void)all.train();
  // After one step the first moment is 0.1 times the gradient.
  EXPECT_LT(distance(values_of(folder / "all", "exp_avg."), values_of(folder / "one", "exp_avg.")),
            kRounding);
  if (ranks().is_root()) {
    EXPECT_NEAR(all.losses.at(0) / one.losses.at(0), 1, kRounding);
    EXPECT_NEAR(all.norms.at(0) / one.norms.at(0), 1, kRounding);
  }
}

TEST(SharedTraining, RepeatsBitForBitWhateverOverlapsOrIsSharded) {
  const RootFolder folder;
  FlowRun first;
  first.context.folder = folder / "first";
  first.context.ranks = {.communicator = &ranks(), .bucket_bytes = 1000};
  const std::vector<float> expected = first.train();
  std::vector<float> of_root = expected;
  ranks().broadcast(std::span(of_root));
  EXPECT_EQ(of_root, expected) << "the ranks differ";
  int number = 0;
  for (const bool shard : {false, true})
    for (const bool overlap : {true, false}) {
      FlowRun other;
      const std::string name = "other-" + std::to_string(number++);
      other.context.folder = folder / name;
      other.context.ranks = {.communicator = &ranks(),
                             .shard_optimizer = shard,
                             .overlap = overlap,
                             .bucket_bytes = 1000};
      EXPECT_EQ(other.train(), expected) << name;
      for (const char* kind : {"param.", "exp_avg.", "exp_avg_sq.", "ema.", "ema_2."})
        EXPECT_EQ(values_of(folder / name, kind), values_of(folder / "first", kind)) << kind;
    }
  FlowRun recomputing;
  recomputing.checkpointing = true;
  recomputing.context.ranks = first.context.ranks;
  EXPECT_EQ(recomputing.train(), expected);
}

TEST(SharedTraining, MuonUpdatesWholeMatricesOnEveryRank) {
  const RootFolder folder;
  FlowRun one, all;
  one.options.muon = all.options.muon = MuonOptions{};
  one.options.lr = all.options.lr = 1e-3;
  one.options.steps = all.options.steps = 2;
  one.options.checkpoint_every = all.options.checkpoint_every = 2;
  if (ranks().is_root()) one.context.folder = folder / "one";
  all.context.folder = folder / "all";
  all.context.ranks = {.communicator = &ranks(), .bucket_bytes = 1000};
  (void)one.train();
  const std::vector<float> weights = all.train();
  // The momentum after two steps has the gradient at the weights of the first update. Its matrices
  // have singular values near 1, also where those of the gradient are near 0, so that rounding is
  // amplified; a lost or repeated part of the batch differs by more than a tenth.
  EXPECT_LT(distance(values_of(folder / "all", "exp_avg."), values_of(folder / "one", "exp_avg.")),
            100 * kRounding);
  std::vector<float> of_root = weights;
  ranks().broadcast(std::span(of_root));
  EXPECT_EQ(of_root, weights) << "the ranks differ";
  all.context.folder = folder / "sharded";
  all.context.ranks.shard_optimizer = true;
  EXPECT_THROW((void)all.train(), ConfigError);
}

TEST(SharedTraining, ContinuesFromACheckpointBitForBit) {
  const RootFolder folder;
  FlowRun whole;
  whole.context.folder = folder / "whole";
  whole.context.ranks = {.communicator = &ranks(), .shard_optimizer = true, .bucket_bytes = 1000};
  const std::vector<float> expected = whole.train();
  FlowRun part = whole;
  part.context.folder = folder / "part";
  int asked = 0;
  // One rank wishes to stop in step 3; all stop after it and write a checkpoint.
  part.context.should_stop = [&] { return ranks().rank() == 1 && ++asked == 3; };
  EXPECT_THROW((void)part.train(), Cancelled);
  part.context.should_stop = {};
  EXPECT_EQ(part.train(), expected);
  if (ranks().is_root()) {
    EXPECT_EQ(part.losses.size(), 3u);
  }
}

TEST(SharedTraining, TrainsAsOneRankWithLpipsAndADiscriminator) {
  const RootFolder folder;
  for (const bool shard : {false, true}) {
    TinyRun one, all;
    std::vector<double> weights[2];
    for (TinyRun* run : {&one, &all}) {
      run->options.batch_size = 12;
      run->options.lr = 1e-4;
      run->loss.gan->start = {.step = 1};
      auto& of_run = weights[run == &all ? 1 : 0];
      run->context.on_progress = [&of_run](const TrainingProgress& p) {
        of_run.push_back(p.measurements.at("adaptive_weight"));
        return true;
      };
    }
    all.context.ranks = {.communicator = &ranks(), .shard_optimizer = shard, .bucket_bytes = 1000};
    all.context.folder = folder / (shard ? "sharded" : "all");
    EXPECT_LT(distance(all.train(), one.train()), 7 * kRounding);
    if (!ranks().is_root()) continue;
    ASSERT_EQ(weights[0].size(), weights[1].size());
    for (std::size_t i = 0; i < weights[0].size(); ++i)
      EXPECT_NEAR(weights[1][i], weights[0][i], 1e-4 * weights[0][i]) << i;
  }
}

/// Two weights of five elements.
struct TwoWeights {
  Parameter<Var<float>> a{Shape{5}}, b{Shape{5}};
  template <class F>
  void parameters(F&& f) {
    f("a", a);
    f("b", b);
  }
};

TEST(SharedTraining, SumsBeginBeforeTheBackwardPassEnds) {
  TwoWeights model;
  AdamW<float> optimizer(model);
  detail::SharedGradients sums(optimizer, {.communicator = &ranks(), .bucket_bytes = 4});
  std::vector<std::size_t> started;
  for (int step = 0; step < 2; ++step) {
    started.clear();
    Tape<float> tape;
    const TapeScope<float> scope(tape);
    // b is used last, so its gradient is complete first.
    const Tensor<float> target(Shape{5}, 1.0f);
    const Var<float> first = mse_loss(model.a.value, target);
    const Var<float> loss = add(first, mse_loss(model.b.value, target));
    sums.begin_last_pass();
    tape.backward(loss, {}, [&] {
      sums.poll();
      started.push_back(sums.started());
    });
    optimizer.step(1e-3);
  }
  EXPECT_EQ(sums.buckets(), 2u);
  EXPECT_EQ(started, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(SharedTraining, GradientsThatComeLateAreAddedToo) {
  const float share = 1.0f / static_cast<float>(ranks().size());
  const auto train = [&](bool shared, bool shard) {
    TwoWeights model;
    AdamW<float> optimizer(model);
    std::optional<detail::SharedGradients> sums;
    if (shared)
      sums.emplace(
          optimizer,
          RankSharing{.communicator = &ranks(), .shard_optimizer = shard, .bucket_bytes = 4});
    for (int step = 0; step < 4; ++step) {
      Tape<float> tape;
      const TapeScope<float> scope(tape);
      Var<float> loss = mse_loss(model.b.value, Tensor<float>(Shape{5}, 1.0f));
      // From step 2 on, b is used again, by an operation whose gradient comes last.
      if (step >= 2)
        loss =
            add(mse_loss(add(model.b.value, model.a.value), Tensor<float>(Shape{5}, 2.0f)), loss);
      loss = add(mse_loss(model.a.value, Tensor<float>(Shape{5}, 3.0f)), loss);
      if (sums) sums->begin_last_pass();
      tape.backward(loss, Tensor<float>(loss.shape(), shared ? share : 1.0f), [&] {
        if (sums) sums->poll();
      });
      optimizer.step(1e-2);
    }
    std::vector<float> out;
    model.parameters([&](const std::string&, Parameter<Var<float>>& p) {
      out.insert(out.end(), p.tensor().span().begin(), p.tensor().span().end());
    });
    return out;
  };
  EXPECT_LT(distance(train(true, false), train(false, false)), 4 * kRounding);
  EXPECT_EQ(train(true, true), train(true, false));
}

TEST(SharedTraining, MoreRanksThanPicturesAreRefusedAndSoAreBrokenNumbersOfOneRank) {
  FlowRun run;
  run.options.batch_size = 2 * (ranks().size() - 1);
  run.context.ranks = {.communicator = &ranks()};
  EXPECT_THROW((void)run.train(), ConfigError);
  FlowRun broken;
  broken.context.ranks = {.communicator = &ranks()};
  const auto with_nan = [&](index_t i) {
    LatentBatch batch = latents(i, 7);
    if (i == 4) batch.latents.span().back() = std::nanf("");  // a picture of the last rank
    return batch;
  };
  try {
    (void)train_flow(with_nan, tiny_dit(), {}, broken.options, broken.context);
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("train: step 3: the loss is nan", 0), 0u)
        << error.what();
  }
}

}  // namespace
}  // namespace rae::test
