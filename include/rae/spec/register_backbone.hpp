// Adds a user's own diffusion network, which models, recipes and bundles then accept by its name.
//
// struct TokenMlpKind {
//   using Config = TokenMlpConfig;                        // a BackboneConfig
//   template <Operand X> using Network = TokenMlp<X>;     // for Tensor, Var and Outline
//   static constexpr std::string_view name = "token_mlp", title = "token MLP";
//   static Config parse(const ConfigNode& node);          // types and keys
//   static ConfigNode to_config(const Config& c);         // the reverse
//   static void validate(const Config& c, const ConfigPlace& place);   // ranges (spec/limits.hpp)
//   static Shape latent_shape(const Config& c);           // (C, h, w)
//   static index_t width(const Config& c);                // of the widest tokens inside
//   static DType weight_type(const Config& c, DType wanted, std::string_view parameter);
// };
// register_backbone<TokenMlpKind>();                      // before files are opened
//
// The network has, as DitDh has: a constructor from Config, `conditioning(t, y)`,
// `conditioning_size()`, `operator()(x, conditioning)` and `parameters(f)`; where it can,
// `backbone` and `velocity`, `outputs(x, conditioning, wanted)` with further heads (then the kind
// has `has_base_head(config)`), `set_checkpointing(on)`, and a function `initialize(network, seed)`
// (without it, training starts from PyTorch's default weights).
#pragma once

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/models/initialize.hpp"
#include "rae/spec/backbone.hpp"

namespace rae {
namespace detail {

template <class Network>
void initialize_network(Network& network, std::uint64_t seed) {
  if constexpr (requires { initialize(network, seed); })
    initialize(network, seed);
  else
    init_default(network, seed);
}

/// Implements BackboneNetwork by a network of class `Network`.
template <Operand X, class Network>
class AdaptedBackbone final : public BackboneNetwork<X> {
 public:
  using T = typename X::value_type;
  static constexpr bool kHasHead =
      requires(const Network& n, const X& x, const Conditioning<X>& c) {
    n.backbone(x, c);
    n.velocity(x, x, c);
  };

  template <class Config>
  explicit AdaptedBackbone(const Config& config) : network_(config) {}

  using BackboneNetwork<X>::operator();
  X operator()(const X& x, const Conditioning<X>& c) const override { return network_(x, c); }
  [[nodiscard]] Conditioning<X> conditioning(const Tensor<T>& t,
                                             std::span<const std::int64_t> y) const override {
    return network_.conditioning(t, y);
  }
  [[nodiscard]] index_t conditioning_size() const noexcept override {
    return network_.conditioning_size();
  }
  [[nodiscard]] NetworkOutputs<X> outputs(const X& x, const Conditioning<X>& c,
                                          const WantedOutputs& wanted) const override {
    if constexpr (requires { network_.outputs(x, c, wanted); })
      return network_.outputs(x, c, wanted);
    else if (wanted.base || wanted.aligned)
      raise<ArgumentError>("this network has no output on an intermediate layer");
    else
      return {network_(x, c)};
  }
  [[nodiscard]] bool has_head() const noexcept override { return kHasHead; }
  [[nodiscard]] X backbone(const X& tokens, const Conditioning<X>& c) const override {
    if constexpr (kHasHead) return network_.backbone(tokens, c);
    (void)tokens, (void)c;
    raise<ArgumentError>("this network has no separate head");
  }
  [[nodiscard]] X velocity(const X& tokens, const X& s, const Conditioning<X>& c) const override {
    if constexpr (kHasHead) return network_.velocity(tokens, s, c);
    (void)tokens, (void)s, (void)c;
    raise<ArgumentError>("this network has no separate head");
  }
  void parameters(const Function<void(const std::string&, Parameter<X>&)>& f) override {
    network_.parameters(f);
  }
  void initialize(std::uint64_t seed) override { initialize_network(network_, seed); }
  void set_checkpointing(bool on) override {
    if constexpr (requires { network_.set_checkpointing(on); }) network_.set_checkpointing(on);
    (void)on;
  }

 private:
  Network network_;
};

template <class Kind>
class AdaptedKind final : public BackboneKind {
 public:
  using Config = typename Kind::Config;
  static_assert(BackboneConfig<Config>);

  [[nodiscard]] std::string_view name() const noexcept override { return Kind::name; }
  [[nodiscard]] std::string_view guide_name() const noexcept override { return guide_name_; }
  [[nodiscard]] std::string_view title() const noexcept override { return Kind::title; }
  [[nodiscard]] const std::type_info& config_type() const noexcept override {
    return typeid(Config);
  }
  [[nodiscard]] std::any parse(const ConfigNode& node) const override { return Kind::parse(node); }
  [[nodiscard]] ConfigNode to_config(const std::any& c) const override {
    return Kind::to_config(of(c));
  }
  void validate(const std::any& c, const ConfigPlace& place) const override {
    Kind::validate(of(c), place);
  }
  [[nodiscard]] Shape latent_shape(const std::any& c) const override {
    return Kind::latent_shape(of(c));
  }
  [[nodiscard]] index_t num_classes(const std::any& c) const override { return of(c).num_classes; }
  [[nodiscard]] double class_dropout_prob(const std::any& c) const override {
    return of(c).class_dropout_prob;
  }
  [[nodiscard]] bool has_null_class(const std::any& c) const override {
    if constexpr (requires { Kind::has_null_class(of(c)); })
      return Kind::has_null_class(of(c));
    else
      return of(c).class_dropout_prob > 0;
  }
  [[nodiscard]] bool has_base_head(const std::any& c) const override {
    if constexpr (requires { Kind::has_base_head(of(c)); }) return Kind::has_base_head(of(c));
    (void)c;
    return false;
  }
  [[nodiscard]] Shape aligned_shape(const std::any& c) const override {
    if constexpr (requires { Kind::aligned_shape(of(c)); }) return Kind::aligned_shape(of(c));
    (void)c;
    return {};
  }
  [[nodiscard]] index_t width(const std::any& c) const override { return Kind::width(of(c)); }
  [[nodiscard]] bool has_head() const noexcept override {
    return AdaptedBackbone<Tensor<float>, Network<Tensor<float>>>::kHasHead;
  }
  [[nodiscard]] std::vector<ParameterShape> parameter_shapes(const std::any& c) const override {
    return rae::parameter_shapes<Network>(of(c));
  }
  [[nodiscard]] DType weight_type(const std::any& c, DType wanted,
                                  std::string_view parameter) const override {
    return Kind::weight_type(of(c), wanted, parameter);
  }
  void make(const std::any& c, OwnedPointer<BackboneNetwork<Tensor<float>>>& out) const override {
    out = std::remove_cvref_t<decltype(out)>::template make<
        AdaptedBackbone<Tensor<float>, Network<Tensor<float>>>>(of(c));
  }
  void make(const std::any& c, OwnedPointer<BackboneNetwork<Var<float>>>& out) const override {
    out = std::remove_cvref_t<decltype(out)>::template make<
        AdaptedBackbone<Var<float>, Network<Var<float>>>>(of(c));
  }

 private:
  template <class X>
  using Network = typename Kind::template Network<X>;

  static const Config& of(const std::any& c) { return *std::any_cast<Config>(&c); }

  static std::string guide_name_of_kind() {
    if constexpr (requires { Kind::guide_name; })
      return std::string(Kind::guide_name);
    else
      return std::string(Kind::name) + "_guide";
  }
  std::string guide_name_ = guide_name_of_kind();
};

}  // namespace detail

/// Registers a kind of network under its name; guides have the key NAME_guide unless the kind has a
/// `guide_name`. Call it before files are opened; further calls do nothing. Returns true, so that
/// it can initialise a constant. Throws ArgumentError for a name that is taken.
template <class Kind>
bool register_backbone() {
  detail::add_backbone(OwnedPointer<const BackboneKind>::make<detail::AdaptedKind<Kind>>());
  return true;
}

}  // namespace rae
