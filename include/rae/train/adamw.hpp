// AdamW, or GMuon, and exponential moving averages over all parameters of a model, with gradient
// clipping by the global norm.
//
// GMuon: Muon for matrices and AdamW for all else, as RAEv2 (arXiv 2605.18324) trains.
//
// Loshchilov and Hutter 2019; clipping as torch.nn.utils.clip_grad_norm_; RAE trains with betas
// (0.9, 0.95) and no weight decay. Averages of several decays, of which one is chosen after the
// training: Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion
// Models", section 3, without its reconstruction of averages that were not kept.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/kernels/optimizer_step.hpp"
#include "rae/kernels/orthogonalize.hpp"
#include "rae/nn/parameter.hpp"

namespace rae {

/// Takes the place of the sum and the update of AdamW where several ranks share the work.
template <Real T>
class SharedUpdate {
 public:
  virtual ~SharedUpdate() = default;
  /// The norm of the gradients of all ranks together. Throws NumericError, on all ranks.
  [[nodiscard]] virtual double gradient_norm() = 0;
  /// Update number `step` of all parameters and averages; clears the gradients.
  virtual void update(index_t step, const AdamWOptions& options, double scale,
                      std::span<const double> ema_decays) = 0;
};

/// The number of matrices, concatenated along the rows, of which a parameter consists where Muon
/// updates it; 0 where AdamW does. Muon updates every parameter that is a matrix in the official
/// code: also tables of labels, learned tokens, modulations and output layers, but not embeddings
/// of patches, which are convolutions there. Query, key and value, and both halves of SwiGLU, are
/// matrices of their own.
[[nodiscard]] inline index_t muon_parts(std::string_view name, const Shape& shape) {
  if (shape.rank() != 2 || name.ends_with("x_embedder.proj.weight") ||
      name.ends_with("s_embedder.proj.weight") || name.ends_with("patch_embed.weight"))
    return 0;
  if (name.ends_with("attn.qkv.weight")) return 3;
  return name.ends_with("mlp.w12.weight") ? 2 : 1;
}

/// Optimiser state of a model in training. The model must outlive it and keep its parameters in
/// place.
template <Real T>
class AdamW {
 public:
  /// One parameter with its moments and its averages.
  struct Slot {
    std::string name;
    Var<T> parameter;                       // any shape (*)
    Tensor<T> exp_avg, exp_avg_sq, ema;     // (*), that of the parameter
    std::vector<Tensor<T>> further_emas{};  // (*) each, of the further decays
    index_t muon_parts = 0;  ///< see `muon_parts`; above 0 `exp_avg` is the momentum of Muon

    /// The average of decay number `k`.
    [[nodiscard]] Tensor<T>& average(std::size_t k) { return k == 0 ? ema : further_emas[k - 1]; }
    [[nodiscard]] const Tensor<T>& average(std::size_t k) const {
      return k == 0 ? ema : further_emas[k - 1];
    }
  };

  /// `further_decays`: of averages beside that of `ema_decay`. `muon`: matrices are updated by Muon
  /// with these options, whose rate is that of the step.
  template <class Model>
  explicit AdamW(Model& model, const AdamWOptions& options = {}, double ema_decay = 0.9995,
                 const std::vector<double>& further_decays = {},
                 const std::optional<MuonOptions>& muon = {})
      : options_(options), muon_(muon), ema_decays_{ema_decay} {
    ema_decays_.insert(ema_decays_.end(), further_decays.begin(), further_decays.end());
    model.parameters([&](const std::string& name, Parameter<Var<T>>& p) {
      slots_.push_back({name, p.value, Tensor<T>::zeros(p.shape()), Tensor<T>::zeros(p.shape()),
                        p.tensor(), std::vector<Tensor<T>>(further_decays.size(), p.tensor()),
                        muon ? muon_parts(name, p.shape()) : 0});
    });
  }

  /// Global norm of all gradients, in double.
  [[nodiscard]] double gradient_norm() const {
    double sum = 0;
    for (const Slot& slot : slots_)
      if (!slot.parameter.grad().empty()) sum += sum_of_squares<T>(slot.parameter.grad());
    return math::sqrt(sum);
  }

  /// One update of all parameters that have a gradient, then of the average; clears the gradients.
  /// `max_norm` 0 does not clip. Returns the norm before clipping. Throws NumericError, with
  /// nothing changed, when it is not finite.
  double step(double lr, double max_norm = 0.0) {
    const double norm = shared_ == nullptr ? gradient_norm() : shared_->gradient_norm();
    if (!math::is_finite(norm))
      raise<NumericError>("AdamW: the gradient norm is ", norm, " at step ", step_ + 1);
    const double scale = max_norm > 0 ? math::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
    AdamWOptions options = options_;
    options.lr = lr;
    ++step_;
    if (shared_ != nullptr) {
      shared_->update(step_, options, scale, ema_decays_);
      return norm;
    }
    for (Slot& slot : slots_) {
      if (!slot.parameter.grad().empty()) update(slot, slot.parameter.grad(), options, scale);
      slot.parameter.clear_grad();
      for (std::size_t k = 0; k < ema_decays_.size(); ++k)
        ema_update<T>(slot.average(k), slot.parameter.value(), ema_decays_[k]);
    }
    return norm;
  }

  /// Updates one parameter with this gradient, of its shape, in step number `steps`(), by Muon or
  /// AdamW; not its averages.
  void update(Slot& slot, View<const T> gradient, const AdamWOptions& options, double scale) {
    if (slot.muon_parts == 0)
      return adamw_step<T>(slot.parameter.mutable_value(), gradient, slot.exp_avg, slot.exp_avg_sq,
                           step_, options, scale);
    MuonOptions muon = *muon_;
    muon.lr = options.lr;
    muon_step<T>(slot.parameter.mutable_value(), gradient, slot.exp_avg, slot.muon_parts, muon,
                 scale);
  }

  /// Steps taken so far.
  [[nodiscard]] index_t steps() const noexcept { return step_; }
  void set_steps(index_t steps) noexcept { step_ = steps; }

  /// From now on `step` leaves the norm and the update to `shared`, which must live as long as they
  /// are used; null: no longer.
  void share(SharedUpdate<T>* shared) noexcept { shared_ = shared; }

  /// Parameters with their state, in the order of the model's list; for checkpoints.
  [[nodiscard]] std::vector<Slot>& slots() noexcept { return slots_; }
  [[nodiscard]] const std::vector<Slot>& slots() const noexcept { return slots_; }

  /// The decays of the averages; the first is that of `Slot::ema`.
  [[nodiscard]] const std::vector<double>& ema_decays() const noexcept { return ema_decays_; }

  /// Exchanges the parameters and their averages of decay number `k`, to measure these; a second
  /// call exchanges them back.
  void exchange(std::size_t k) noexcept {
    for (Slot& slot : slots_) std::swap(slot.parameter.mutable_value(), slot.average(k));
  }

  /// Copies the averages of the first decay into a model of the same kind, for example the one that
  /// is sampled.
  template <class Model>
  void copy_ema_to(Model& model) const {
    std::size_t i = 0;
    model.parameters([&](const std::string& name, auto& p) {
      if (i == slots_.size() || slots_[i].name != name)
        raise<ConfigError>("AdamW::copy_ema_to: unexpected parameter ", name);
      p.set(slots_[i++].ema);
    });
  }

 private:
  AdamWOptions options_;
  std::optional<MuonOptions> muon_;
  std::vector<double> ema_decays_;
  index_t step_ = 0;
  std::vector<Slot> slots_;
  SharedUpdate<T>* shared_ = nullptr;
};

/// Exchanges the parameters and their averages of one decay while it exists.
template <Real T>
class AverageScope {
 public:
  AverageScope(AdamW<T>& optimizer, std::size_t k) noexcept : optimizer_(optimizer), k_(k) {
    optimizer_.exchange(k_);
  }
  AverageScope(const AverageScope&) = delete;
  AverageScope& operator=(const AverageScope&) = delete;
  ~AverageScope() { optimizer_.exchange(k_); }

 private:
  AdamW<T>& optimizer_;
  std::size_t k_;
};

}  // namespace rae
