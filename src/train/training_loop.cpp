#include "rae/train/training_loop.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "rae/core/cancellation.hpp"
#include "rae/core/workspace.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/train/checkpoint.hpp"
#include "rae/version.hpp"
#include "train/shared_gradients.hpp"
#include "train/training_log.hpp"

namespace rae {

namespace {

namespace fs = std::filesystem;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The line of a report.
ConfigNode log_line(const TrainingProgress& p) {
  ConfigNode line;
  line.set("stage", p.stage);
  line.set("step", p.step);
  line.set("loss", p.loss);
  line.set("lr", p.lr);
  line.set("grad_norm", p.grad_norm);
  line.set("images_per_second", p.images_per_second);
  line.set("seconds", p.seconds);
  for (const auto& [name, value] : p.measurements) line.set(name, value);
  return line;
}

/// The ranks of a training, whose update of the first and the second model they share.
class TrainingRanks {
 public:
  TrainingRanks(const RankSharing& ranks, AdamW<float>& optimizer, SecondModel* second)
      : ranks_(ranks) {
    if (!ranks.several()) return;
    first_.emplace(optimizer, ranks);
    if (second == nullptr) return;
    // The second model's state is small, and its backward passes belong to its own training step.
    RankSharing whole = ranks;
    whole.shard_optimizer = whole.overlap = false;
    second_.emplace(*second->optimizer, whole);
    for (const auto& [name, tensor] : second->buffers)
      ranks.communicator->broadcast(std::as_writable_bytes(tensor->span()));
  }

  /// The sums of the first model; null with one rank.
  [[nodiscard]] detail::SharedGradients* sums() noexcept { return first_ ? &*first_ : nullptr; }

  /// Calls `work` on rank 0, with the whole state of the optimiser, while the others wait.
  void with_whole_state(const Function<void()>& work) {
    if (first_) first_->complete(false);
    ranks_.on_root(work);
    if (first_) first_->divide();
  }

 private:
  const RankSharing& ranks_;
  std::optional<detail::SharedGradients> first_, second_;
};

/// Computes the loss on pictures that the training does not see, also with each of several
/// averages, so that one can be chosen.
void log_held_out(const TrainingContext& context, AdamW<float>& optimizer) {
  const index_t step = optimizer.steps();
  ConfigNode line;
  line.set("stage", context.stage);
  line.set("step", step);
  const auto measure = [&](const std::string& name) {
    if (const double loss = context.held_out_loss(step); std::isfinite(loss)) line.set(name, loss);
  };
  measure("held_out_loss");
  if (const std::vector<double>& decays = optimizer.ema_decays(); decays.size() > 1)
    for (std::size_t k = 0; k < decays.size(); ++k) {
      const AverageScope<float> exchanged(optimizer, k);
      measure(concat("held_out_loss_ema_", decays[k]));
    }
  if (!context.folder.empty()) detail::append_log(context.folder, line);
}

/// The decays of all averages.
std::vector<double> ema_decays(const TrainingOptions& o) {
  std::vector<double> out{o.ema_decay};
  out.insert(out.end(), o.further_ema_decays.begin(), o.further_ema_decays.end());
  return out;
}

void check(const TrainingOptions& o, const std::string& stage) {
  auto require = [&](bool good, const char* what) {
    if (!good) raise<ConfigError>(stage, ": expected ", what);
  };
  require(o.steps >= 1, "steps of at least 1");
  require(o.batch_size >= 1 && o.accumulate >= 1 && o.batch_size % o.accumulate == 0,
          "accumulate to divide batch_size");
  require(std::isfinite(o.lr) && o.lr > 0 && o.final_lr >= 0 && o.final_lr <= o.lr,
          "0 <= final_lr <= lr, and lr above 0");
  require(o.warmup_steps >= 0 && o.warmup_steps <= o.steps, "warmup_steps between 0 and steps");
  require(o.decay_end_step == 0 || o.decay_end_step >= o.warmup_steps,
          "decay_end_step of 0 or at least warmup_steps");
  const std::vector<double> decays = ema_decays(o);
  for (const double decay : decays)
    require(decay >= 0 && decay < 1 && std::count(decays.begin(), decays.end(), decay) == 1,
            "ema_decay in [0, 1), or several different ones");
  require(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1, "betas in [0, 1)");
  require(!o.muon || (o.muon->momentum >= 0 && o.muon->momentum < 1), "momentum in [0, 1)");
  require(o.dtype == DType::f32 || o.dtype == DType::bf16, "a dtype of f32 or bf16");
  require(o.max_grad_norm >= 0 && o.weight_decay >= 0,
          "max_grad_norm and weight_decay of at least 0");
  require(o.log_every >= 1 && o.checkpoint_every >= 1,
          "log_every and checkpoint_every of at least 1");
}

}  // namespace

namespace {

/// The members of GMuon.
void parse_optimizer(const ConfigNode& node, TrainingOptions& o) {
  if (const ConfigNode* name = node.find("optimizer")) {
    if (name->as_string() != "adamw" && name->as_string() != "gmuon")
      name->fail_expected("adamw or gmuon");
    if (name->as_string() == "adamw")
      o.muon.reset();
    else if (!o.muon)
      o.muon.emplace();
  }
  for (const char* key : {"momentum", "nesterov"})
    if (const ConfigNode* given = node.find(key); given != nullptr && !o.muon)
      raise<ConfigError>(given->where(), ": is for optimizer: gmuon; AdamW has betas");
  if (!o.muon) return;
  o.muon->momentum = node.get_or("momentum", o.muon->momentum);
  o.muon->nesterov = node.get_or("nesterov", o.muon->nesterov);
  o.muon->weight_decay = o.weight_decay;
}

}  // namespace

TrainingOptions parse_training_options(const ConfigNode& node, TrainingOptions o) {
  require_keys_known(node, {"steps",          "batch_size",   "accumulate",    "lr",
                            "final_lr",       "decay",        "warmup_steps",  "warmup_from_zero",
                            "decay_end_step", "optimizer",    "momentum",      "nesterov",
                            "betas",          "weight_decay", "max_grad_norm", "ema_decay",
                            "dtype",          "seed",         "log_every",     "checkpoint_every"});
  auto read = [&](const char* key, auto& value) { value = node.get_or(key, value); };
  read("steps", o.steps);
  read("batch_size", o.batch_size);
  read("accumulate", o.accumulate);
  read("lr", o.lr);
  read("final_lr", o.final_lr);
  read("warmup_steps", o.warmup_steps);
  read("warmup_from_zero", o.warmup_from_zero);
  read("decay_end_step", o.decay_end_step);
  read("weight_decay", o.weight_decay);
  read("max_grad_norm", o.max_grad_norm);
  read("seed", o.seed);
  read("log_every", o.log_every);
  read("checkpoint_every", o.checkpoint_every);
  if (const ConfigNode* decay = node.find("decay")) {
    if (decay->as_string() != "cosine" && decay->as_string() != "linear")
      decay->fail_expected("cosine or linear");
    o.decay = decay->as_string() == "cosine" ? LrDecay::cosine : LrDecay::linear;
  }
  if (const ConfigNode* dtype = node.find("dtype")) {
    if (dtype->as_string() != "f32" && dtype->as_string() != "bf16")
      dtype->fail_expected("f32 or bf16");
    o.dtype = parse_float_dtype(dtype->as_string());
  }
  if (const ConfigNode* decay = node.find("ema_decay")) {
    auto decays = decay->is_list() ? decay->as<std::vector<double>>()
                                   : std::vector<double>{decay->as_number()};
    if (decays.empty()) decay->fail_expected("a number or a list of numbers");
    o.ema_decay = decays.front();
    o.further_ema_decays.assign(decays.begin() + 1, decays.end());
  }
  if (const ConfigNode* betas = node.find("betas")) {
    const auto values = betas->as<std::vector<double>>();
    if (values.size() != 2) betas->fail_expected("two numbers");
    o.beta1 = values[0];
    o.beta2 = values[1];
  }
  parse_optimizer(node, o);
  check(o, node.where());
  return o;
}

ConfigNode training_settings(const TrainingOptions& o) {
  ConfigNode node;
  node.set("steps", o.steps);
  node.set("batch_size", o.batch_size);
  node.set("accumulate", o.accumulate);
  node.set("lr", o.lr);
  node.set("final_lr", o.final_lr);
  node.set("decay", o.decay == LrDecay::cosine ? "cosine" : "linear");
  node.set("warmup_steps", o.warmup_steps);
  if (!o.warmup_from_zero) node.set("warmup_from_zero", false);
  if (o.decay_end_step > 0) node.set("decay_end_step", o.decay_end_step);
  node.set("betas", ConfigNode::list({o.beta1, o.beta2}));
  node.set("weight_decay", o.weight_decay);
  if (o.muon) {
    node.set("optimizer", "gmuon");
    node.set("momentum", o.muon->momentum);
    node.set("nesterov", o.muon->nesterov);
  }
  node.set("max_grad_norm", o.max_grad_norm);
  std::vector<double> decays = ema_decays(o);
  std::sort(decays.begin(), decays.end());  // which one is the result can still be chosen
  if (decays.size() == 1)
    node.set("ema_decay", o.ema_decay);
  else
    node.set("ema_decay", ConfigNode::list({decays.begin(), decays.end()}));
  if (o.dtype != DType::f32) node.set("dtype", std::string(name_of(o.dtype)));
  node.set("seed", o.seed);
  return node;
}

LrSchedule schedule_of(const TrainingOptions& o) {
  return {.decay = o.decay,
          .base_lr = o.lr,
          .final_lr = o.final_lr,
          .warmup_steps = o.warmup_steps,
          .decay_end_step = o.decay_end_step > 0 ? o.decay_end_step : o.steps,
          .warmup_from_zero = o.warmup_from_zero};
}

void RankSharing::require_shareable(const TrainingOptions& options, std::string_view stage) const {
  const index_t part = options.batch_size / std::max<index_t>(1, options.accumulate);
  if (several() && part < communicator->size())
    raise<ConfigError>(stage, ": ", communicator->size(), " ranks cannot share a batch of ", part,
                       part == 1 ? " picture" : " pictures",
                       options.accumulate > 1 ? " (batch_size / accumulate)" : "",
                       "; start at most ", part);
  if (several() && shard_optimizer && options.muon)
    raise<ConfigError>(stage,
                       ": the optimizer gmuon needs whole matrices, of which a rank has only "
                       "a part when the optimiser is sharded; leave out --shard-optimizer, "
                       "or use adamw");
}

void RankSharing::require_same_kernels() const {
  if (!several()) return;
  const std::string own = concat(name_of(active_isa()), " of version ", kVersion);
  std::string of_root = own;
  communicator->broadcast(of_root);
  communicator->agree([&] {
    if (own != of_root)
      raise<ConfigError>("this rank computes with the kernels ", own, ", rank 0 with ", of_root,
                         "; all need the same, such as the ones that RAE_ISA=avx2 chooses");
  });
}

void RankSharing::on_root(const Function<void()>& work) const {
  constexpr double kLonger = 10;  // than a step takes
  if (!several()) return work();
  const double limit = communicator->time_limit();
  communicator->set_time_limit(kLonger * limit);
  communicator->on_root(work);
  communicator->set_time_limit(limit);
}

void run_training(AdamW<float>& optimizer, const TrainingOptions& options,
                  const TrainingContext& context, const StepLoss& loss, SecondModel* second) {
  check(options, context.stage);
  const RankSharing& ranks = context.ranks;
  ranks.require_shareable(options, context.stage);
  ranks.require_same_kernels();
  const std::string checkpoint =
      context.folder.empty() ? "" : (fs::path(context.folder) / "checkpoint.safetensors").string();
  index_t saved = 0;
  bool stopping = false;
  auto save = [&] {
    const CancellationScope completed(nullptr);
    if (!checkpoint.empty()) save_checkpoint(checkpoint, optimizer, context.settings, second);
    saved = optimizer.steps();
    // Whoever stops a run waits for it only as long as its result needs.
    if (context.held_out_loss && !stopping) log_held_out(context, optimizer);
    if (context.on_checkpoint) context.on_checkpoint(saved);
  };
  const auto resume = [&] {
    if (checkpoint.empty() || !fs::exists(checkpoint)) return;
    load_checkpoint(
        checkpoint, optimizer,
        context.replaces_settings ? read_checkpoint_info(checkpoint).settings : context.settings,
        second);
    saved = optimizer.steps();
    if (context.replaces_settings)
      save();
    else if (context.on_checkpoint)
      context.on_checkpoint(saved);
  };
  ranks.on_root(resume);
  TrainingRanks training(ranks, optimizer, second);
  detail::SharedGradients* const sums = training.sums();
  saved = optimizer.steps();
  bool stop = false;  // rank 0's callback has asked for it

  const LrSchedule schedule = schedule_of(options);
  const index_t part_size = options.batch_size / options.accumulate;
  const auto start = std::chrono::steady_clock::now();
  const index_t first = optimizer.steps();
  double loss_sum = 0;
  index_t loss_count = 0;
  const auto cancel = [&]() {
    raise<Cancelled>(
        context.stage, ": stopped after step ", optimizer.steps(), " of ", options.steps,
        checkpoint.empty() ? std::string() : "; run again to continue from " + checkpoint);
  };
  Workspace workspace;
  while (optimizer.steps() < options.steps) {
    const index_t step = optimizer.steps();
    double value = 0, norm = 0;
    try {
      const WorkspaceScope recycled(workspace);
      // A loss may change its second model, and ranks stop together, between steps.
      std::optional<CancellationScope> completed;
      if (second != nullptr || sums != nullptr) completed.emplace(nullptr);
      for (index_t part = 0; part < options.accumulate; ++part) {
        Tape<float> tape;
        const TapeScope<float> scope(tape);
        const Var<float> mean = loss(step, part);
        if (sums == nullptr) {
          value += static_cast<double>(mean.value()[0]) / static_cast<double>(options.accumulate);
          tape.backward(mean,
                        Tensor<float>(mean.shape(), 1.0f / static_cast<float>(options.accumulate)));
          continue;
        }
        // The share of this rank's pictures in the mean over all of them.
        const double share = static_cast<double>(ranks.part(part_size).count()) /
                             static_cast<double>(options.batch_size);
        value += static_cast<double>(mean.value()[0]) * share;
        if (part == options.accumulate - 1) sums->begin_last_pass();
        tape.backward(mean, Tensor<float>(mean.shape(), static_cast<float>(share)),
                      [&] { sums->poll(); });
      }
      if (sums != nullptr) {
        sums->set_loss(value);
        sums->set_stop(stop || (context.should_stop && context.should_stop()));
      } else if (!std::isfinite(value)) {
        raise<NumericError>("the loss is ", value);
      }
      if (!completed) completed.emplace(nullptr);
      norm = optimizer.step(schedule(step), options.max_grad_norm);
      if (sums != nullptr) value = sums->loss();
      if (second != nullptr) second->train_step(step);
    } catch (const Cancelled&) {  // of a scope, in the middle of a loss or its gradients
      stopping = true;
      if (optimizer.steps() > saved) save();
      cancel();
    } catch (const NumericError& e) {
      raise<NumericError>(
          context.stage, ": step ", step + 1, ": ", e.what(), "; ",
          checkpoint.empty() || saved == 0
              ? std::string("no checkpoint was written")
              : concat("the last good checkpoint is ", checkpoint, " of step ", saved),
          "; a lower learning rate or max_grad_norm may help");
    }
    loss_sum += value;
    ++loss_count;

    const bool last = optimizer.steps() == options.steps;
    bool proceed =
        sums != nullptr ? !sums->stop() : !(context.should_stop && context.should_stop());
    if (optimizer.steps() % options.log_every == 0 || last) {
      TrainingProgress p;
      p.stage = context.stage;
      p.step = optimizer.steps();
      p.steps = options.steps;
      p.loss = loss_sum / static_cast<double>(loss_count);
      p.lr = schedule(step);
      p.grad_norm = norm;
      const double elapsed = seconds_since(start), done = static_cast<double>(p.step - first);
      p.images_per_second =
          done * static_cast<double>(options.batch_size) / std::max(elapsed, 1e-9);
      p.seconds = elapsed;
      p.eta_seconds = elapsed / done * static_cast<double>(p.steps - p.step);
      if (second != nullptr && second->measurements) p.measurements = second->measurements();
      loss_sum = 0;
      loss_count = 0;
      if (ranks.is_root() && !context.folder.empty())
        detail::append_log(context.folder, log_line(p));
      const bool more = !ranks.is_root() || !context.on_progress || context.on_progress(p);
      if (sums == nullptr)
        proceed = more && proceed;
      else
        stop = stop || !more;  // the other ranks learn it with the next step
    }
    stopping = !proceed && !last;
    if (stopping || last || optimizer.steps() % options.checkpoint_every == 0)
      training.with_whole_state(save);
    if (sums != nullptr && optimizer.steps() % options.checkpoint_every == 0)
      saved = optimizer.steps();
    if (stopping) cancel();
  }
  if (sums != nullptr) sums->complete(true);
}

}  // namespace rae
