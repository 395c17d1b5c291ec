// AnyEncoder: the configuration of a model's encoder of any kind, as one value.
//
// Everything about one kind of encoder (its names in files, limits, shapes, the layers that stay
// exact, its construction) is in one EncoderKind. The ViT families dinov2, siglip2 and mae are
// built in; programs add their own by `register_encoder` (spec/register_encoder.hpp). In files an
// encoder is a map whose key `family` names the kind.
#pragma once

#include <any>
#include <concepts>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/owner.hpp"
#include "rae/io/config.hpp"
#include "rae/models/encoder_network.hpp"
#include "rae/nn/outline.hpp"

namespace rae {

/// One kind of encoder; `c` is a configuration of the type `config_type`. Created by
/// `register_encoder`. The members are described at AnyEncoder.
class EncoderKind {
 public:
  virtual ~EncoderKind() = default;
  /// Values of the key `family`: one, or three for the built-in ViT.
  [[nodiscard]] virtual std::vector<std::string_view> names() const = 0;
  /// The value of `family` for this configuration.
  [[nodiscard]] virtual std::string_view name(const std::any& c) const = 0;
  [[nodiscard]] virtual const std::type_info& config_type() const noexcept = 0;
  [[nodiscard]] virtual bool differentiable() const noexcept = 0;
  [[nodiscard]] virtual std::any parse(const ConfigNode& node) const = 0;
  [[nodiscard]] virtual ConfigNode to_config(const std::any& c) const = 0;
  virtual void validate(const std::any& c, const ConfigPlace& place) const = 0;
  [[nodiscard]] virtual EncoderShape shape(const std::any& c) const = 0;
  [[nodiscard]] virtual std::vector<ParameterShape> parameter_shapes(const std::any& c) const = 0;
  [[nodiscard]] virtual DType weight_type(const std::any& c, DType wanted,
                                          std::string_view parameter) const = 0;
  [[nodiscard]] virtual OwnedPointer<EncoderNetwork<Tensor<float>>> make(
      const std::any& c) const = 0;
};

/// The kind whose family has this name; nullptr when none is registered.
[[nodiscard]] const EncoderKind* find_encoder(std::string_view family);
/// All kinds in the order of their registration, the built-in one first.
[[nodiscard]] std::vector<const EncoderKind*> encoder_kinds();

namespace detail {

/// The kind whose configurations have this type. Throws ConfigError when it is not registered.
[[nodiscard]] const EncoderKind& encoder_kind_of(const std::type_info& config);
/// Adds a kind (see KindRegistry::add). Throws ArgumentError.
void add_encoder(OwnedPointer<const EncoderKind> kind);

}  // namespace detail

/// The configuration of an encoder: a value that compares and copies as a whole.
class AnyEncoder {
 public:
  /// The built-in ViT with its default sizes.
  AnyEncoder() : AnyEncoder(EncoderConfig{}) {}

  /// From EncoderConfig, or the configuration of a registered kind, unchecked. Throws ConfigError
  /// when the kind is not registered.
  template <class C>
  requires(!std::same_as<C, AnyEncoder> && !std::same_as<C, std::any> && std::copyable<C>)
      AnyEncoder(C config)  // NOLINT: a configuration is an encoder
      : kind_(&detail::encoder_kind_of(typeid(C))), config_(std::move(config)) {}

  /// Reads and checks a configuration: a map with the key `family` and the keys of that kind.
  /// Throws ConfigError with the place in the file; for an unknown family it lists the known ones.
  [[nodiscard]] static AnyEncoder parse(const ConfigNode& node);
  /// The reverse of `parse`.
  [[nodiscard]] ConfigNode to_config() const;
  /// Throws ConfigError, naming the place below `place`, for sizes that are out of range or do not
  /// fit each other.
  void validate(const ConfigPlace& place) const;

  /// Value of the key `family` in files: "dinov2", "siglip2", "mae", or a registered name.
  [[nodiscard]] std::string_view family() const { return kind_->name(config_); }
  /// Channels of the pictures, patch size and width of the tokens.
  [[nodiscard]] EncoderShape shape() const { return kind_->shape(config_); }
  /// Channels of the pictures, 1 or 3.
  [[nodiscard]] index_t channels() const { return shape().channels; }
  /// Pixels per token along either side.
  [[nodiscard]] index_t patch_size() const { return shape().patch_size; }
  /// Elements of one token.
  [[nodiscard]] index_t width() const { return shape().width; }
  /// True when gradients can be computed through it, as the perceptual loss on its features needs.
  [[nodiscard]] bool differentiable() const noexcept { return kind_->differentiable(); }

  /// Names and shapes of all parameters, in order. Allocates no weights.
  [[nodiscard]] std::vector<ParameterShape> parameter_shapes() const {
    return kind_->parameter_shapes(config_);
  }
  /// False for an encoder that is a fixed function, such as a cosine transform.
  [[nodiscard]] bool has_parameters() const { return !parameter_shapes().empty(); }
  /// The type of the matrix with this name when `wanted` is the type of the model; see
  /// weight_types.hpp.
  [[nodiscard]] DType weight_type(DType wanted, std::string_view parameter) const {
    return kind_->weight_type(config_, wanted, parameter);
  }

  /// An encoder for inference whose weights are zeros. Throws ConfigError for sizes that do not fit
  /// each other.
  [[nodiscard]] OwnedPointer<EncoderNetwork<Tensor<float>>> make() const {
    return kind_->make(config_);
  }

  /// The configuration as type C; nullptr when it is of another type.
  template <class C>
  [[nodiscard]] const C* get_if() const noexcept {
    return std::any_cast<C>(&config_);
  }
  /// See above.
  template <class C>
  [[nodiscard]] C* get_if() noexcept {
    return std::any_cast<C>(&config_);
  }
  /// The same, but throws ConfigError when it is of another type.
  template <class C>
  [[nodiscard]] const C& get() const {
    if (const C* found = get_if<C>()) return *found;
    raise<ConfigError>("the encoder is of the family ", family(),
                       ", but this needs an encoder of another kind");
  }
  /// See above.
  template <class C>
  [[nodiscard]] C& get() {
    return const_cast<C&>(std::as_const(*this).get<C>());
  }

  /// True for the same kind with the same configuration.
  [[nodiscard]] bool operator==(const AnyEncoder& other) const {
    return kind_ == other.kind_ && to_config() == other.to_config();
  }

 private:
  AnyEncoder(const EncoderKind& kind, std::any config) : kind_(&kind), config_(std::move(config)) {}

  const EncoderKind* kind_;
  std::any config_;
};

}  // namespace rae
