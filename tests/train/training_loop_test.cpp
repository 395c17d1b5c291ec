#include "rae/train/training_loop.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "rae/io/safetensors.hpp"
#include "rae/models/initialize.hpp"
#include "rae/ops/loss.hpp"
#include "rae/train/checkpoint.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

/// y = W x + b, learned from random pairs that depend only on the step.
struct Toy {
  Linear<Var<float>> model{3, 2};
  AdamW<float> optimizer;
  TrainingOptions options;
  TrainingContext context;

  explicit Toy(index_t steps = 12, std::uint64_t seed = 1, double ema_decay = 0.9,
               const std::vector<double>& further_decays = {})
      : optimizer((init_default(model, seed), model), {}, ema_decay, further_decays) {
    options.steps = steps;
    options.batch_size = 4;
    options.lr = 1e-2;
    options.log_every = 2;
    options.checkpoint_every = 5;
    context.stage = "toy";
    context.settings.set("steps", steps);
  }

  StepLoss loss(index_t broken_step = -1) {
    return [this, broken_step](index_t step, index_t part) {
      const index_t rows = options.batch_size / options.accumulate;
      Tensor<float> x(Shape{rows, 3}), y(Shape{rows, 2});  // (R, 3), (R, 2)
      for (index_t i = 0; i < x.numel(); ++i)
        x[i] = Philox(2, static_cast<std::uint64_t>(step))
                   .normal(static_cast<std::uint64_t>(part * rows * 3 + i));
      for (index_t b = 0; b < rows; ++b) y[2 * b] = x[3 * b], y[2 * b + 1] = x[3 * b + 2] - 1;
      if (step == broken_step) y[0] = std::numeric_limits<float>::quiet_NaN();
      return mse_loss(model(Var<float>(x)), y);
    };
  }

  void run(index_t broken_step = -1) {
    run_training(optimizer, options, context, loss(broken_step));
  }

  /// The averages of decay number `k`.
  std::vector<float> average(std::size_t k) const {
    std::vector<float> out;
    for (const auto& slot : optimizer.slots()) {
      const std::span<const float> values = slot.average(k).span();
      out.insert(out.end(), values.begin(), values.end());
    }
    return out;
  }

  std::vector<float> state() const {
    std::vector<float> out;
    for (const auto& slot : optimizer.slots())
      for (const Tensor<float>* t :
           {&slot.parameter.value(), &slot.exp_avg, &slot.exp_avg_sq, &slot.ema})
        out.insert(out.end(), t->span().begin(), t->span().end());
    return out;
  }
};

TEST(TrainingLoop, Learns) {
  Toy toy(400);
  std::vector<double> losses;
  toy.context.on_progress = [&](const TrainingProgress& p) {
    losses.push_back(p.loss);
    EXPECT_EQ(p.stage, "toy");
    EXPECT_GT(p.images_per_second, 0);
    return true;
  };
  toy.run();
  ASSERT_EQ(losses.size(), 200u);
  EXPECT_LT(losses.back(), 1e-2 * losses.front());
}

TEST(TrainingLoop, AContinuedRunEqualsAnUninterruptedOneBitForBit) {
  const TempFolder folder;
  Toy whole;
  whole.run();
  for (const index_t stop_after : {2, 6, 10}) {
    const std::string out = folder / std::to_string(stop_after);
    std::filesystem::create_directory(out);
    Toy first;
    first.context.folder = out;
    first.context.on_progress = [&](const TrainingProgress& p) { return p.step < stop_after; };
    EXPECT_THROW(first.run(), Cancelled);
    EXPECT_EQ(first.optimizer.steps(), stop_after);
    Toy second(12, 99);  // with other initial weights, which the checkpoint must replace
    second.context.folder = out;
    second.run();
    EXPECT_EQ(second.state(), whole.state()) << stop_after;
    Toy third;  // the run is complete, so nothing is left to do except loading the state
    third.context.folder = out;
    third.run();
    EXPECT_EQ(third.state(), whole.state());
  }
}

TEST(TrainingLoop, KeepsAveragesOfSeveralDecaysOfWhichOneCanBeChosenLater) {
  const TempFolder folder;
  Toy slow(12, 1, 0.9), fast(12, 1, 0.5), broken(12, 1, 0.9, {0.5});
  slow.run();
  fast.run();
  broken.context.folder = folder.path();
  broken.context.on_progress = [&](const TrainingProgress& p) { return p.step < 6; };
  EXPECT_THROW(broken.run(), Cancelled);
  Toy several(12, 99, 0.9, {0.5});
  several.context.folder = folder.path();
  several.run();
  EXPECT_EQ(several.state(), slow.state());
  EXPECT_EQ(several.average(1), fast.average(0));
  Toy exchanged(12, 99, 0.5, {0.9});
  exchanged.context.folder = folder.path();
  exchanged.run();
  EXPECT_EQ(exchanged.state(), fast.state());
  EXPECT_EQ(exchanged.average(1), slow.average(0));
  for (const auto& [first, further] :
       {std::pair<double, std::vector<double>>{0.3, {}}, {0.9, {0.3}}}) {
    Toy other(12, 99, first, further);
    other.context.folder = folder.path();
    EXPECT_THROW(other.run(), FormatError);
  }
}

TEST(TrainingLoop, MeasuresEachOfSeveralAverages) {
  const TempFolder folder;
  Toy toy(5, 1, 0.9, {0.5, 0});
  toy.context.folder = folder.path();
  std::vector<float> seen[4];  // the parameters: trained ones, and the averages
  std::size_t calls = 0;
  toy.context.held_out_loss = [&](index_t) {
    for (const auto& slot : toy.optimizer.slots())
      seen[calls % 4].insert(seen[calls % 4].end(), slot.parameter.value().span().begin(),
                             slot.parameter.value().span().end());
    return static_cast<double>(++calls);
  };
  toy.run();
  ASSERT_EQ(calls, 4u);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(seen[k + 1], toy.average(k)) << k;
  EXPECT_EQ(seen[3], seen[0]);  // a decay of 0 keeps the last parameters
  const std::string log = slurp(folder / "log.jsonl");
  EXPECT_NE(log.find(R"("held_out_loss":1.0,"held_out_loss_ema_0.9":2.0,)"
                     R"("held_out_loss_ema_0.5":3.0,"held_out_loss_ema_0":4.0)"),
            std::string::npos)
      << log;
}

TEST(TrainingLoop, AFinishedRunCanBeMadeLonger) {
  const TempFolder folder;
  Toy shorter, longer(20, 99);
  shorter.context.folder = longer.context.folder = folder.path();
  shorter.run();
  std::vector<index_t> reported;
  longer.context.on_progress = [&](const TrainingProgress& p) {
    return reported.push_back(p.step), true;
  };
  longer.run();
  EXPECT_EQ(longer.optimizer.steps(), 20);
  EXPECT_EQ(reported, (std::vector<index_t>{14, 16, 18, 20}));
}

// A checkpoint without a time shift comes from a recipe without one; the default was 1 then.
TEST(TrainingLoop, ContinuesOldRunsWithoutATimeShift) {
  const TempFolder folder;
  const auto run = [&](const char* model, index_t steps) {
    Toy toy(steps);
    toy.context.folder = folder.path();
    toy.context.settings.set("model", ConfigNode::parse_yaml(model));
    toy.run();
    return toy.optimizer.steps();
  };
  EXPECT_EQ(run("{name: a}", 12), 12);
  EXPECT_EQ(run("{name: a, time_shift: 1.0}", 14), 14);
  EXPECT_EQ(run("{name: a, time_shift: 1.0}", 16), 16);
  EXPECT_NE(message_of<ConfigError>([&] {
              run("{name: a, time_shift: 2.0}", 18);
            }).find("model.time_shift is 2.0, was 1.0"),
            std::string::npos);
  EXPECT_NE(
      message_of<ConfigError>([&] { run("{name: a}", 18); }).find("model.time_shift is missing"),
      std::string::npos);
  EXPECT_NE(message_of<ConfigError>([&] {
              run("{time_shift: 1.0, size: 3}", 18);
            }).find("model.size is new"),
            std::string::npos);
}

TEST(TrainingLoop, StopsAfterAnyStepOnRequest) {
  const TempFolder folder;
  Toy whole, stopped, second;
  whole.run();
  stopped.context.folder = second.context.folder = folder.path();
  stopped.context.should_stop = [&] {
    return stopped.optimizer.steps() == 7;
  };  // between two reports
  EXPECT_THROW(stopped.run(), Cancelled);
  EXPECT_EQ(stopped.optimizer.steps(), 7);
  second.run();
  EXPECT_EQ(second.state(), whole.state());
}

TEST(TrainingLoop, ContinuesFromTheLastCheckpointOfAKilledRun) {
  const TempFolder folder;
  Toy whole;
  whole.run();
  Toy killed;
  killed.context.folder = folder.path();
  killed.context.on_progress = [](const TrainingProgress& p) -> bool {
    if (p.step >= 8)
      throw std::runtime_error("killed");  // three steps after the checkpoint of step 5
    return true;
  };
  EXPECT_THROW(killed.run(), std::runtime_error);
  Toy second;
  second.context.folder = folder.path();
  second.run();
  EXPECT_EQ(second.state(), whole.state());
}

TEST(TrainingLoop, AccumulatedGradientsEqualThoseOfTheWholeBatch) {
  Toy whole, parts;
  parts.options.accumulate = 2;
  whole.run();
  parts.run();
  const auto a = whole.state(), b = parts.state();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << i;
}

TEST(TrainingLoop, StopsAtNanAndKeepsTheLastCheckpoint) {
  const TempFolder folder;
  Toy toy;
  toy.context.folder = folder.path();
  const std::string message = message_of<NumericError>([&] { toy.run(7); });
  EXPECT_NE(message.find("step 8"), std::string::npos) << message;
  EXPECT_NE(message.find("checkpoint.safetensors of step 5"), std::string::npos) << message;
  EXPECT_EQ(toy.optimizer.steps(), 7);
  for (const float v : toy.state()) EXPECT_TRUE(std::isfinite(v));
  Toy second;  // without the NaN, the run continues as usual
  second.context.folder = folder.path();
  second.run();
  Toy whole;
  whole.run();
  EXPECT_EQ(second.state(), whole.state());
}

TEST(TrainingLoop, WritesALineOfJsonPerReport) {
  const TempFolder folder;
  Toy toy;
  toy.context.folder = folder.path();
  toy.run();
  std::ifstream log(folder / "log.jsonl");
  std::string line;
  index_t steps = 0;
  while (std::getline(log, line)) {
    const ConfigNode node = ConfigNode::parse_json(line);
    EXPECT_EQ(node.get<index_t>("step"), steps += 2);
    EXPECT_GT(node.get<double>("loss"), 0);
  }
  EXPECT_EQ(steps, 12);
}

TEST(Checkpoint, RefusesOtherSettingsOtherModelsAndDamage) {
  const TempFolder folder;
  Toy toy;
  const std::string path = folder / "c.safetensors";
  save_checkpoint(path, toy.optimizer, toy.context.settings);
  ConfigNode other;
  other.set("steps", 11);
  const auto before = toy.state();
  EXPECT_NE(message_of<ConfigError>([&] {
              load_checkpoint(path, toy.optimizer, other);
            }).find("steps is 11, was 12"),
            std::string::npos);
  Linear<Var<float>> wider(4, 2);
  AdamW<float> wrong(wider);
  EXPECT_THROW(load_checkpoint(path, wrong, toy.context.settings), ShapeError);
  const std::string bytes = slurp(path);
  folder.write("t.safetensors", bytes.substr(0, bytes.size() - 5));
  EXPECT_THROW(load_checkpoint(folder / "t.safetensors", toy.optimizer, toy.context.settings),
               FormatError);
  write_safetensors(folder / "s.safetensors", {});
  EXPECT_THROW(load_checkpoint(folder / "s.safetensors", toy.optimizer, toy.context.settings),
               FormatError);
  EXPECT_THROW(load_checkpoint(folder / "none", toy.optimizer, toy.context.settings), FileError);
  EXPECT_EQ(toy.state(), before);
}

TEST(TrainingOptions, ReadAndRefuse) {
  const TrainingOptions o = parse_training_options(
      ConfigNode::parse_yaml("{steps: 10, batch_size: 8, lr: 1e-3, final_lr: 0, decay: linear, "
                             "betas: [0.8, 0.9], warmup_steps: 2}"));
  EXPECT_EQ(o.steps, 10);
  EXPECT_EQ(o.beta2, 0.9);
  EXPECT_EQ(o.dtype, DType::f32);
  const TrainingOptions narrow =
      parse_training_options(ConfigNode::parse_yaml("{steps: 10, dtype: bf16}"));
  EXPECT_EQ(narrow.dtype, DType::bf16);
  EXPECT_EQ(training_settings(narrow).at("dtype").as_string(), "bf16");
  EXPECT_FALSE(training_settings(o).contains("dtype"));
  const auto with_decays = [](const char* decays) {
    return parse_training_options(
        ConfigNode::parse_yaml(concat("{steps: 10, ema_decay: ", decays, "}")));
  };
  EXPECT_EQ(with_decays("0.99").ema_decay, 0.99);
  EXPECT_TRUE(with_decays("[0.99]").further_ema_decays.empty());
  EXPECT_EQ(with_decays("[0.99, 0.9]").ema_decay, 0.99);
  EXPECT_EQ(with_decays("[0.99, 0.9]").further_ema_decays, std::vector<double>{0.9});
  EXPECT_EQ(training_settings(with_decays("[0.99, 0.9]")),
            training_settings(with_decays("[0.9, 0.99]")));
  EXPECT_EQ(training_settings(with_decays("[0.99]")), training_settings(with_decays("0.99")));
  EXPECT_EQ(schedule_of(o)(0), 5e-4);
  EXPECT_EQ(schedule_of(o)(2), 1e-3);
  EXPECT_EQ(schedule_of(o)(6), 5e-4);
  for (const char* bad :
       {"{steps: 0}", "{steps: 1, lr: -1}", "{steps: 1, batch_size: 0}",
        "{steps: 1, batch_size: 3, accumulate: 2}", "{steps: 1, warmup_steps: 2}",
        "{steps: 1, betas: [1]}", "{steps: 1, betas: [1, 2]}", "{steps: 1, ema_decay: 1}",
        "{steps: 1, ema_decay: []}", "{steps: 1, ema_decay: [0.9, 1]}",
        "{steps: 1, ema_decay: [0.9, 0.9]}", "{steps: 1, lrr: 1}", "{steps: 1, dtype: f16}",
        "{steps: 1, dtype: 2}", "{steps: 1, decay: exponential}", "{steps: 1, log_every: 0}",
        "{steps: many}"})
    EXPECT_THROW((void)parse_training_options(ConfigNode::parse_yaml(bad)), ConfigError) << bad;
}

}  // namespace
}  // namespace rae::test
