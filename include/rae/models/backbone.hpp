// The interface through which samplers and trainers use a diffusion network: DiT^DH, LightningDiT,
// or a network that a program has registered (spec/backbone.hpp).
//
// Diffusion Transformers with Representation Autoencoders, sections 4 and 5: the network predicts
// the velocity of the flow, or another prediction that determines it, from x_t, t and the label y.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "rae/core/function.hpp"
#include "rae/models/dit_block.hpp"

namespace rae {

/// The outputs of a network beside its prediction that are computed.
struct WantedOutputs {
  bool base = false;     ///< the prediction of the base head, see `NetworkOutputs::base`
  bool aligned = false;  ///< the features of REPA, see `NetworkOutputs::aligned`
};

/// The outputs of a diffusion network for k conditions per image.
template <Operand X>
struct NetworkOutputs {
  X full;       // (k B, C, h, w): the prediction
  X base{};     // (k B, C, h, w): the prediction of the head on an intermediate layer, for internal
                // guidance (RAEv2, arXiv 2605.18324); empty unless wanted
  X aligned{};  // (k B, N, z): tokens of an intermediate layer, projected to the width of the
                // features that they are trained to match (REPA); empty unless wanted
};

/// A diffusion network of any class with its weights. X is Tensor<float> for inference or
/// Var<float> for training.
template <Operand X>
class BackboneNetwork {
 public:
  using T = typename X::value_type;

  BackboneNetwork() = default;
  BackboneNetwork(const BackboneNetwork&) = delete;
  BackboneNetwork& operator=(const BackboneNetwork&) = delete;
  virtual ~BackboneNetwork() = default;

  /// The prediction (B, C, h, w) for x (B, C, h, w), flow times t (B) in [0, 1], where 1 is
  /// noise, and labels (B). Throws ShapeError, ArgumentError.
  X operator()(const X& x, const Tensor<T>& t, std::span<const std::int64_t> labels) const {
    return (*this)(x, conditioning(t, labels));
  }

  /// The part of the computation that depends only on t (B) and labels (B), with one row per pair.
  /// Throws ShapeError, ArgumentError.
  [[nodiscard]] virtual Conditioning<X> conditioning(
      const Tensor<T>& t, std::span<const std::int64_t> labels) const = 0;

  /// Number of elements of one row of the conditioning.
  [[nodiscard]] virtual index_t conditioning_size() const noexcept = 0;

  /// The predictions (k B, C, h, w) for x (B, C, h, w) under k conditions per image. Row i B + b of
  /// `c` is condition i of image b, and so is the order of the predictions. Throws ShapeError.
  virtual X operator()(const X& x, const Conditioning<X>& c) const = 0;

  /// The prediction and the wanted further outputs for x (B, C, h, w), of one forward pass. Throws
  /// ArgumentError for outputs that the network does not have, ShapeError.
  [[nodiscard]] virtual NetworkOutputs<X> outputs(const X& x, const Conditioning<X>& c,
                                                  const WantedOutputs& wanted) const = 0;

  /// True when the network consists of a backbone and a head, so that several sampling steps can
  /// share one output of the backbone (DiT^DH). Without a head, the two members below throw.
  [[nodiscard]] virtual bool has_head() const noexcept = 0;
  /// The output (k B, N, h) of the backbone for tokens (B, N, C). Throws ArgumentError without a
  /// head, ShapeError.
  [[nodiscard]] virtual X backbone(const X& tokens, const Conditioning<X>& c) const = 0;
  /// The predictions (k B, C, h, w) from tokens (B, N, C) and an output s (k B, N, h) of the
  /// backbone. Throws ArgumentError without a head, ShapeError.
  [[nodiscard]] virtual X velocity(const X& tokens, const X& s, const Conditioning<X>& c) const = 0;

  /// Calls f(name, parameter) for every parameter, in the order and with the names of the files.
  virtual void parameters(const Function<void(const std::string&, Parameter<X>&)>& f) = 0;

  /// Draws initial weights for training.
  virtual void initialize(std::uint64_t seed) = 0;

  /// Recompute activations in the backward pass instead of storing them, if the network supports
  /// it.
  virtual void set_checkpointing(bool on) = 0;
};

}  // namespace rae
