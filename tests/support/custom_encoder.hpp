// Two encoders that the library does not know, registered by the program that uses them: one
// without weights and one with weights. All of their code is in this file.
#pragma once

#include "rae/spec/limits.hpp"
#include "rae/spec/register_encoder.hpp"

namespace rae::test {

/// Its tokens are the pixels of each patch, times a factor.
struct PatchConfig {
  index_t patch_size = 4;
  double factor = 1;
};

/// images (B, 1, h*P, w*P) -> tokens (B, h*w, P*P).
template <Operand X>
class PatchEncoder {
 public:
  explicit PatchEncoder(const PatchConfig& config) : config_(config) {}

  X operator()(const X& images) const {
    return scale(patchify(images, config_.patch_size), static_cast<float>(config_.factor));
  }

  template <class F>
  void parameters(F&&) {}

 private:
  PatchConfig config_;
};

struct PatchKind {
  using Config = PatchConfig;
  template <Operand X>
  using Network = PatchEncoder<X>;
  static constexpr std::string_view name = "patches";

  static Config parse(const ConfigNode& node) {
    require_keys_known(node, {"family", "patch_size", "factor"});
    return {node.get<index_t>("patch_size"), node.get_or("factor", 1.0)};
  }
  static ConfigNode to_config(const Config& c) {
    return ConfigNode::map({{"patch_size", c.patch_size}, {"factor", c.factor}});
  }
  static void validate(const Config& c, const ConfigPlace& place) {
    require_size(place / "patch_size", c.patch_size, 1, 16);
    require_number(place / "factor", c.factor, -10, 10);
  }
  static EncoderShape shape(const Config& c) {
    return {1, c.patch_size, c.patch_size * c.patch_size};
  }
};

/// Its tokens are a linear map of each patch; gradients do not pass through it.
struct LinearPatchConfig {
  index_t patch_size = 4, width = 8;
};

template <Operand X>
class LinearPatchEncoder {
 public:
  explicit LinearPatchEncoder(const LinearPatchConfig& config)
      : patch_size_(config.patch_size), map(config.patch_size * config.patch_size, config.width) {}

  X operator()(const X& images) const { return map(patchify(images, patch_size_)); }

  template <class F>
  void parameters(F&& f) {
    visit("map.", map, f);
  }

 private:
  index_t patch_size_;
  Linear<X> map;
};

struct LinearPatchKind {
  using Config = LinearPatchConfig;
  template <Operand X>
  using Network = LinearPatchEncoder<X>;
  static constexpr std::string_view name = "linear_patches";
  static constexpr bool differentiable = false;

  static Config parse(const ConfigNode& node) {
    require_keys_known(node, {"family", "patch_size", "width"});
    return {node.get<index_t>("patch_size"), node.get<index_t>("width")};
  }
  static ConfigNode to_config(const Config& c) {
    return ConfigNode::map({{"patch_size", c.patch_size}, {"width", c.width}});
  }
  static EncoderShape shape(const Config& c) { return {1, c.patch_size, c.width}; }
};

/// Registers both encoders.
inline bool register_custom_encoders() {
  return register_encoder<PatchKind>() && register_encoder<LinearPatchKind>();
}

}  // namespace rae::test
