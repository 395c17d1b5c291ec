// Adds a user's own encoder, which models, recipes and bundles then accept by its name.
//
// struct CosineKind {
//   using Config = CosineConfig;                          // any copyable structure
//   template <Operand X> using Network = CosineEncoder<X>;   // for Tensor, Var and Outline
//   static constexpr std::string_view name = "cosine";    // value of the key `family`
//   static Config parse(const ConfigNode& node);          // types and keys, `family` among them
//   static ConfigNode to_config(const Config& c);         // the reverse, without `family`
//   static EncoderShape shape(const Config& c);           // channels, patch size, width
//   // Optional:
//   static void validate(const Config& c, const ConfigPlace& place);   // ranges (spec/limits.hpp)
//   static DType weight_type(const Config& c, DType wanted, std::string_view parameter);
//   static constexpr bool differentiable = false;         // then Var is not needed
// };
// register_encoder<CosineKind>();                         // before files are opened
//
// The network has a constructor from Config; operator()(images), which computes tokens (B, h*w, D)
// from normalised pictures (B, channels, h*P, w*P); and `parameters(f)`, which may list none. For
// the perceptual loss it needs `hidden_states(images)`, the features of each layer. Without
// `weight_type`, matrices are stored as bf16 in a model of a narrower type.
#pragma once

#include <string>

#include "rae/core/owner.hpp"
#include "rae/spec/any_encoder.hpp"

namespace rae {
namespace detail {

template <class Kind>
class AdaptedEncoderKind final : public EncoderKind {
 public:
  using Config = typename Kind::Config;

  [[nodiscard]] std::vector<std::string_view> names() const override {
    if constexpr (requires { Kind::names(); })
      return Kind::names();
    else
      return {Kind::name};
  }
  [[nodiscard]] std::string_view name(const std::any& c) const override {
    if constexpr (requires { Kind::name_of(of(c)); })
      return Kind::name_of(of(c));
    else
      return Kind::name;
  }
  [[nodiscard]] const std::type_info& config_type() const noexcept override {
    return typeid(Config);
  }
  [[nodiscard]] bool differentiable() const noexcept override { return is_differentiable<Kind>(); }
  [[nodiscard]] std::any parse(const ConfigNode& node) const override { return Kind::parse(node); }
  [[nodiscard]] ConfigNode to_config(const std::any& c) const override {
    return Kind::to_config(of(c));
  }
  void validate(const std::any& c, const ConfigPlace& place) const override {
    if constexpr (requires { Kind::validate(of(c), place); }) Kind::validate(of(c), place);
  }
  [[nodiscard]] EncoderShape shape(const std::any& c) const override { return Kind::shape(of(c)); }
  [[nodiscard]] std::vector<ParameterShape> parameter_shapes(const std::any& c) const override {
    return rae::parameter_shapes<Kind::template Network>(of(c));
  }
  [[nodiscard]] DType weight_type(const std::any& c, DType wanted,
                                  std::string_view parameter) const override {
    if constexpr (requires { Kind::weight_type(of(c), wanted, parameter); })
      return Kind::weight_type(of(c), wanted, parameter);
    (void)c, (void)parameter;
    return wanted == DType::f32 ? DType::f32 : DType::bf16;
  }
  [[nodiscard]] OwnedPointer<EncoderNetwork<Tensor<float>>> make(const std::any& c) const override {
    return OwnedPointer<AdaptedEncoder<Kind, Tensor<float>>>::make(of(c));
  }

 private:
  static const Config& of(const std::any& c) { return *std::any_cast<Config>(&c); }
};

}  // namespace detail

/// Registers a kind of encoder under its name. Call it before files are opened; further calls do
/// nothing. Returns true, so that it can initialise a constant. Throws ArgumentError for a name
/// that is taken.
template <class Kind>
bool register_encoder() {
  detail::add_encoder(OwnedPointer<detail::AdaptedEncoderKind<Kind>>::make());
  return true;
}

}  // namespace rae
