// Backbone: the configuration of a model's diffusion network of any kind, as one value.
//
// Everything about one kind of network (its name in files, limits, shapes, the layers that stay
// exact, its construction) is in one BackboneKind. DiT^DH and LightningDiT, and both of RAEv2 with
// condition tokens, are built in; programs add their own by `register_backbone`
// (spec/register_backbone.hpp).
#pragma once

#include <any>
#include <concepts>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/owner.hpp"
#include "rae/io/config.hpp"
#include "rae/models/backbone.hpp"
#include "rae/nn/outline.hpp"

namespace rae {

namespace detail {

template <class C>
concept HasClasses = requires(const C& c) {
  { c.num_classes } -> std::convertible_to<index_t>;
  { c.class_dropout_prob } -> std::convertible_to<double>;
};

}  // namespace detail

/// A structure that describes a diffusion network: a value with the number of classes and the share
/// of training labels that are dropped. If that is above 0, there is a null class for "no class";
/// a kind may always have one.
template <class C>
concept BackboneConfig = detail::HasClasses<C> && std::copyable<C>;

/// One kind of diffusion network; `c` is a configuration of the type `config_type`. Created by
/// `register_backbone`. The members are described at Backbone.
class BackboneKind {
 public:
  virtual ~BackboneKind() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual std::string_view guide_name() const noexcept = 0;
  [[nodiscard]] virtual std::string_view title() const noexcept = 0;
  /// Both keys that the kind uses in the configuration of a model.
  [[nodiscard]] std::vector<std::string_view> names() const { return {name(), guide_name()}; }
  [[nodiscard]] virtual const std::type_info& config_type() const noexcept = 0;
  [[nodiscard]] virtual std::any parse(const ConfigNode& node) const = 0;
  [[nodiscard]] virtual ConfigNode to_config(const std::any& c) const = 0;
  virtual void validate(const std::any& c, const ConfigPlace& place) const = 0;
  [[nodiscard]] virtual Shape latent_shape(const std::any& c) const = 0;
  [[nodiscard]] virtual index_t num_classes(const std::any& c) const = 0;
  [[nodiscard]] virtual double class_dropout_prob(const std::any& c) const = 0;
  [[nodiscard]] virtual bool has_null_class(const std::any& c) const = 0;
  [[nodiscard]] virtual bool has_base_head(const std::any& c) const = 0;
  [[nodiscard]] virtual Shape aligned_shape(const std::any& c) const = 0;
  [[nodiscard]] virtual index_t width(const std::any& c) const = 0;
  [[nodiscard]] virtual bool has_head() const noexcept = 0;
  [[nodiscard]] virtual std::vector<ParameterShape> parameter_shapes(const std::any& c) const = 0;
  [[nodiscard]] virtual DType weight_type(const std::any& c, DType wanted,
                                          std::string_view parameter) const = 0;
  virtual void make(const std::any& c, OwnedPointer<BackboneNetwork<Tensor<float>>>& out) const = 0;
  virtual void make(const std::any& c, OwnedPointer<BackboneNetwork<Var<float>>>& out) const = 0;
};

/// The kind whose `name` or `guide_name` this is; nullptr when none is registered.
[[nodiscard]] const BackboneKind* find_backbone(std::string_view name);
/// All kinds in the order of their registration, the built-in ones first.
[[nodiscard]] std::vector<const BackboneKind*> backbone_kinds();

namespace detail {

/// The kind whose configurations have this type. Throws ConfigError when it is not registered.
[[nodiscard]] const BackboneKind& backbone_kind_of(const std::type_info& config);
/// Adds a kind; does nothing for a kind that is registered already. Throws ArgumentError for a name
/// that is taken or has characters other than lower-case letters, digits and underscores.
void add_backbone(OwnedPointer<const BackboneKind> kind);

}  // namespace detail

/// The configuration of a diffusion network: a value that compares and copies as a whole.
class Backbone {
 public:
  /// From DitDhConfig, LightningDitConfig, or the configuration of a registered kind, unchecked.
  /// Throws ConfigError when the kind is not registered.
  template <BackboneConfig C>
  Backbone(C config)  // NOLINT: a configuration is a backbone
      : kind_(&detail::backbone_kind_of(typeid(C))), config_(std::move(config)) {}

  /// Reads and checks a configuration of a kind. Throws ConfigError with the place in the file.
  [[nodiscard]] static Backbone parse(const BackboneKind& kind, const ConfigNode& node) {
    Backbone out(kind, kind.parse(node));
    out.validate(node.place());
    return out;
  }
  /// The reverse of `parse`.
  [[nodiscard]] ConfigNode to_config() const { return kind_->to_config(config_); }
  /// Throws ConfigError, naming the place below `place`, for sizes that are out of range or do not
  /// fit each other.
  void validate(const ConfigPlace& place) const { kind_->validate(config_, place); }

  /// The kind of network.
  [[nodiscard]] const BackboneKind& kind() const noexcept { return *kind_; }
  /// Key of the configuration in files: "dit", "lightning_dit", or a registered name.
  [[nodiscard]] std::string_view name() const noexcept { return kind_->name(); }
  /// The key for a network that is the guide of autoguidance: "guide", "lightning_guide".
  [[nodiscard]] std::string_view guide_name() const noexcept { return kind_->guide_name(); }
  /// Name for reports: "DiT^DH", "LightningDiT".
  [[nodiscard]] std::string_view title() const noexcept { return kind_->title(); }

  /// Shape (C, h, w) of the latents that the network takes and predicts.
  [[nodiscard]] Shape latent_shape() const { return kind_->latent_shape(config_); }
  /// Number of classes, without the null class.
  [[nodiscard]] index_t num_classes() const { return kind_->num_classes(config_); }
  /// Share of labels that training replaces by the null class, in [0, 1].
  [[nodiscard]] double class_dropout_prob() const { return kind_->class_dropout_prob(config_); }
  /// True when there is a null class, whose number is `num_classes()`.
  [[nodiscard]] bool has_null_class() const { return kind_->has_null_class(config_); }
  /// True when the network has a head on an intermediate layer, which internal guidance needs.
  [[nodiscard]] bool has_base_head() const { return kind_->has_base_head(config_); }
  /// Shape (N, z) of the features that the projection of REPA predicts; of rank 0 without one.
  [[nodiscard]] Shape aligned_shape() const { return kind_->aligned_shape(config_); }
  /// Width of the widest tokens inside the network.
  [[nodiscard]] index_t width() const { return kind_->width(config_); }
  /// True when the network consists of a backbone and a head (see BackboneNetwork::has_head).
  [[nodiscard]] bool has_head() const noexcept { return kind_->has_head(); }

  /// Names and shapes of all parameters, in order. Allocates no weights.
  [[nodiscard]] std::vector<ParameterShape> parameter_shapes() const {
    return kind_->parameter_shapes(config_);
  }
  /// The type of the matrix with this name when `wanted` is the type of the model; see
  /// weight_types.hpp.
  [[nodiscard]] DType weight_type(DType wanted, std::string_view parameter) const {
    return kind_->weight_type(config_, wanted, parameter);
  }

  /// A network whose weights are zeros. Throws ConfigError for sizes that do not fit each other.
  template <Operand X>
  [[nodiscard]] OwnedPointer<BackboneNetwork<X>> make() const {
    OwnedPointer<BackboneNetwork<X>> out;
    kind_->make(config_, out);
    return out;
  }

  /// The configuration as type C; nullptr when it is of another type.
  template <BackboneConfig C>
  [[nodiscard]] const C* get_if() const noexcept {
    return std::any_cast<C>(&config_);
  }
  /// See above.
  template <BackboneConfig C>
  [[nodiscard]] C* get_if() noexcept {
    return std::any_cast<C>(&config_);
  }
  /// The same, but throws ConfigError when it is of another type.
  template <BackboneConfig C>
  [[nodiscard]] const C& get() const {
    if (const C* found = get_if<C>()) return *found;
    raise<ConfigError>("the network is a ", title(), ", but this needs a network of another kind");
  }
  /// See above.
  template <BackboneConfig C>
  [[nodiscard]] C& get() {
    return const_cast<C&>(std::as_const(*this).get<C>());
  }

  /// True for the same kind with the same configuration.
  [[nodiscard]] bool operator==(const Backbone& other) const {
    return kind_ == other.kind_ && to_config() == other.to_config();
  }

 private:
  Backbone(const BackboneKind& kind, std::any config) : kind_(&kind), config_(std::move(config)) {}

  const BackboneKind* kind_;
  std::any config_;
};

}  // namespace rae
