// The interface through which the autoencoder and the trainers use an encoder: a built-in ViT
// encoder, or an encoder that a program has registered (spec/any_encoder.hpp).
//
// Diffusion Transformers with Representation Autoencoders, section 3: the tokens of any frozen
// encoder that form a grid can serve as latents.
#pragma once

#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include "rae/autograd/var.hpp"
#include "rae/core/owner.hpp"
#include "rae/models/encoder.hpp"

namespace rae {

/// The sizes of an encoder on which other networks depend: pictures (B, channels, h*P, w*P) become
/// tokens (B, h*w, width), with P the patch size.
struct EncoderShape {
  index_t channels = 3;    ///< of the pictures, 1 (gray) or 3 (RGB)
  index_t patch_size = 1;  ///< P, pixels per token along either side
  index_t width = 1;       ///< D, elements of one token

  bool operator==(const EncoderShape&) const = default;
};

/// A class E of encoders: it maps normalised pictures (B, channels, H, W) to tokens (B, h*w, D),
/// row by row of the grid, and lists its parameters, of which there may be none.
template <class E, class X>
concept ImageEncoder = Operand<X> &&
    requires(const E& encoder, E& mutable_encoder, const X& images) {
  { encoder(images) } -> std::same_as<X>;
  mutable_encoder.parameters([](const std::string&, Parameter<X>&) {});
};

/// An encoder of any class with its weights. X is Tensor<float> for inference, or Var<float> for
/// gradients with respect to the pictures.
template <Operand X>
class EncoderNetwork {
 public:
  using T = typename X::value_type;

  virtual ~EncoderNetwork() = default;

  /// Tokens (B, h*w, D) of normalised pictures (B, channels, h*P, w*P). Throws ShapeError.
  X operator()(const X& images) const {
    const Shape grid = grid_of(images.shape());
    X out = tokens(images);  // (B, h*w, D)
    require_shape("EncoderNetwork: tokens", out.shape(),
                  {images.shape()[0], grid[0] * grid[1], shape().width});
    return out;
  }

  /// The grid (h, w) of the tokens for pictures (B, channels, H, W). Throws ShapeError for other
  /// channels, or sides that the patch size does not divide.
  [[nodiscard]] Shape grid_of(const Shape& images) const {
    const auto& [channels, patch, width] = shape();
    if (images.rank() != 4 || images[1] != channels || images.numel() == 0 ||
        images[2] % patch != 0 || images[3] % patch != 0)
      raise<ShapeError>("Encoder: expected (B, ", channels, ", H, W) with H and W divisible by ",
                        patch, ", got ", images);
    return {images[2] / patch, images[3] / patch};
  }

  /// Channels, patch size and width.
  [[nodiscard]] virtual const EncoderShape& shape() const noexcept = 0;

  /// The features that a perceptual loss compares, (B, N, D) each: the normalised tokens after each
  /// layer of a ViT; for other encoders, the tokens. Throws ShapeError.
  [[nodiscard]] virtual std::vector<X> features(const X& images) const = 0;

  /// Calls f(name, parameter) for every parameter, in the order and with the names of the files.
  virtual void parameters(const Function<void(const std::string&, Parameter<X>&)>& f) = 0;

  /// A copy with the same weights, whose memory is shared until one of the two is changed.
  [[nodiscard]] virtual OwnedPointer<EncoderNetwork<X>> clone() const = 0;

  /// A copy for gradients with respect to the pictures, with constant weights. Throws ArgumentError
  /// when encoders of this class cannot be differentiated or the weights are packed.
  [[nodiscard]] virtual OwnedPointer<EncoderNetwork<Var<T>>> differentiable() const = 0;

 protected:
  EncoderNetwork() = default;
  EncoderNetwork(const EncoderNetwork&) = default;
  EncoderNetwork& operator=(const EncoderNetwork&) = default;

 private:
  [[nodiscard]] virtual X tokens(const X& images) const = 0;
};

namespace detail {

/// Kind::differentiable if it exists, else true.
template <class Kind>
constexpr bool is_differentiable() {
  if constexpr (requires { Kind::differentiable; })
    return Kind::differentiable;
  else
    return true;
}

/// An encoder of one class as an EncoderNetwork. `Kind` has the types Config and Network<X>, and
/// the function shape(config).
template <class Kind, Operand X>
class AdaptedEncoder final : public EncoderNetwork<X> {
 public:
  using T = typename X::value_type;
  using Config = typename Kind::Config;
  using Network = typename Kind::template Network<X>;
  static_assert(ImageEncoder<Network, X>);

  explicit AdaptedEncoder(const Config& config) : AdaptedEncoder(config, Network(config)) {}
  AdaptedEncoder(const Config& config, Network network)
      : config_(config), shape_(Kind::shape(config)), network_(std::move(network)) {}

  [[nodiscard]] const EncoderShape& shape() const noexcept override { return shape_; }

  [[nodiscard]] std::vector<X> features(const X& images) const override {
    if constexpr (requires { network_.hidden_states(images); })
      return network_.hidden_states(images);
    else
      return {(*this)(images)};
  }

  void parameters(const Function<void(const std::string&, Parameter<X>&)>& f) override {
    network_.parameters(f);
  }

  [[nodiscard]] OwnedPointer<EncoderNetwork<X>> clone() const override {
    return OwnedPointer<AdaptedEncoder>::make(*this);
  }

  [[nodiscard]] OwnedPointer<EncoderNetwork<Var<T>>> differentiable() const override {
    if constexpr (is_differentiable<Kind>() && std::same_as<X, Tensor<T>>) {
      auto out = OwnedPointer<AdaptedEncoder<Kind, Var<T>>>::make(config_);
      Network source = network_;  // its list of parameters is not const
      copy_parameters(source, *out);
      out->parameters(
          [](const std::string&, Parameter<Var<T>>& p) { p.value.set_requires_grad(false); });
      return out;
    } else {
      raise<ArgumentError>("this encoder cannot be differentiated");
    }
  }

 private:
  [[nodiscard]] X tokens(const X& images) const override { return network_(images); }

  Config config_;
  EncoderShape shape_;
  Network network_;
};

}  // namespace detail

/// Describes the built-in ViT encoders to AdaptedEncoder.
struct VitEncoder {
  using Config = EncoderConfig;  ///< sizes of an encoder
  /// The encoder for one tensor type.
  template <class X>
  using Network = Encoder<X>;

  /// Channels, patch size and width.
  static EncoderShape shape(const Config& c) { return {c.channels, c.patch_size, c.hidden_size}; }
};

/// A built-in ViT encoder as an EncoderNetwork: `encoder_network(std::move(vit))`.
template <Operand X>
[[nodiscard]] OwnedPointer<EncoderNetwork<X>> encoder_network(Encoder<X> encoder) {
  const EncoderConfig config = encoder.config();
  return OwnedPointer<detail::AdaptedEncoder<VitEncoder, X>>::make(config, std::move(encoder));
}

}  // namespace rae
