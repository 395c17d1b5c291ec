// The convolutional decoder of latent diffusion (SD-VAE), with which the paper compares the cost of
// its ViT decoder: residual blocks with group normalisation, one attention, and nearest upsampling
// followed by convolution.
//
// Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", section 3.1;
// class AutoencoderKL of diffusers, whose names the parameters have. Compared in Diffusion
// Transformers with Representation Autoencoders, section 3, Table 1.
#pragma once

#include <string>
#include <vector>

#include "rae/models/name_map.hpp"
#include "rae/nn/conv2d.hpp"
#include "rae/nn/group_norm.hpp"
#include "rae/nn/initialize.hpp"
#include "rae/nn/linear.hpp"
#include "rae/ops/attention.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes of a convolutional decoder; by default those of SD-VAE.
struct ConvDecoderConfig {
  index_t latent_channels = 4;  ///< C
  index_t channels = 3;         ///< of the pictures
  /// Channels of each resolution, from that of the pictures to that of the latents; each has half
  /// the side of the one before.
  std::vector<index_t> block_channels = {128, 256, 512, 512};
  index_t layers_per_block = 2;  ///< the decoder has one residual block more per resolution
  index_t groups = 32;           ///< of group normalisation; divides all block_channels
  double eps = 1e-6;             ///< of group normalisation

  /// Pixels per element of a latent along either side, a power of two.
  [[nodiscard]] index_t scale() const noexcept { return index_t{1} << (block_channels.size() - 1); }
};

/// shortcut(x) + conv2(silu(norm2(conv1(silu(norm1 x))))), where the shortcut is a 1 x 1
/// convolution if the number of channels changes. He et al. 2016, "Identity Mappings in Deep
/// Residual Networks", equation 3.
template <Operand X>
struct ConvResidualBlock {
  GroupNorm<X> norm1, norm2;
  Conv2d<X> conv1, conv2, shortcut;  // 3 x 3, 3 x 3, 1 x 1 or empty

  ConvResidualBlock() = default;
  /// From `in` to `out` channels.
  ConvResidualBlock(index_t in, index_t out, index_t groups, double eps)
      : norm1(groups, in, eps), norm2(groups, out, eps), conv1(in, out, 3), conv2(out, out, 3) {
    if (in != out) shortcut = Conv2d<X>(in, out, 1);
  }

  /// (B, in, h, w) -> (B, out, h, w). Throws ShapeError.
  X operator()(const X& x) const {
    const X h = conv2(silu(norm2(conv1(silu(norm1(x))))));     // (B, out, h, w)
    return add(shortcut.weight.empty() ? x : shortcut(x), h);  // (B, out, h, w)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("norm1.", norm1, f);
    visit("conv1.", conv1, f);
    visit("norm2.", norm2, f);
    visit("conv2.", conv2, f);
    if (!shortcut.weight.empty()) visit("conv_shortcut.", shortcut, f);
  }
};

/// x + proj(attention(qkv(norm x))) over all positions, with one head.
template <Operand X>
struct ConvAttention {
  GroupNorm<X> norm;
  Linear<X> qkv, proj;  // (3C, C): query, key, value concatenated; (C, C)

  ConvAttention() = default;
  /// Of `channels` = C channels.
  ConvAttention(index_t channels, index_t groups, double eps)
      : norm(groups, channels, eps), qkv(channels, 3 * channels), proj(channels, channels) {}

  /// (B, C, h, w) -> (B, C, h, w). Throws ShapeError.
  X operator()(const X& x) const {
    const Shape s = x.shape();
    const X tokens = grid_to_tokens(norm(x));                              // (B, h*w, C)
    const X h = proj(attention(qkv(tokens), 1, kNoRope, qkv.operands()));  // (B, h*w, C)
    return add(x, tokens_to_grid(h, s[2], s[3]));                          // (B, C, h, w)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("group_norm.", norm, f);
    visit("to_qkv.", qkv, f);
    visit("to_out.0.", proj, f);
  }

 private:
  static constexpr const RopeTable<typename X::value_type>* kNoRope = nullptr;
};

/// The blocks of one resolution, and the upsampling that follows all but the last.
template <Operand X>
struct ConvUpBlock {
  std::vector<ConvResidualBlock<X>> blocks;
  Conv2d<X> upsampled;  // 3 x 3, after upsampling by 2; empty in the last

  /// (B, in, h, w) -> (B, out, 2h, 2w), or (B, out, h, w) for the last. Throws ShapeError.
  X operator()(X x) const {
    for (const ConvResidualBlock<X>& block : blocks) x = block(x);  // (B, out, h, w)
    if (upsampled.weight.empty()) return x;
    const Shape s = x.shape();
    return upsampled(resize(x, Resize::nearest, 2 * s[2], 2 * s[3]));  // (B, out, 2h, 2w)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    for (std::size_t i = 0; i < blocks.size(); ++i)
      visit("resnets." + std::to_string(i) + ".", blocks[i], f);
    if (!upsampled.weight.empty()) visit("upsamplers.0.conv.", upsampled, f);
  }
};

/// Latents (B, C, h, w) -> pictures (B, channels, scale*h, scale*w), in [-1, 1] when trained as
/// SD-VAE is. Latents of SD-VAE must be divided by its scaling factor, 0.18215, before.
template <Operand X>
class ConvDecoder {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError for sizes below 1 or channels that the groups do not
  /// divide.
  explicit ConvDecoder(const ConvDecoderConfig& config) : config_(config) {
    const auto& [latent, out, widths, layers, groups, eps] = config;
    if (latent < 1 || out < 1 || widths.empty() || layers < 1 || groups < 1)
      raise<ConfigError>("ConvDecoder: expected at least one channel, resolution, layer and group");
    for (const index_t width : widths)
      if (width < 1 || width % groups != 0)
        raise<ConfigError>("ConvDecoder: ", width, " channels do not divide into ", groups,
                           " groups");
    index_t width = widths.back();
    post_quant_conv = Conv2d<X>(latent, latent, 1);
    conv_in = Conv2d<X>(latent, width, 3);
    middle.emplace_back(width, width, groups, eps);
    middle.emplace_back(width, width, groups, eps);
    attention = ConvAttention<X>(width, groups, eps);
    for (std::size_t i = widths.size(); i-- > 0;) {
      ConvUpBlock<X> up;
      for (index_t layer = 0; layer <= layers; ++layer) {
        up.blocks.emplace_back(width, widths[i], groups, eps);
        width = widths[i];
      }
      if (i > 0) up.upsampled = Conv2d<X>(width, width, 3);
      up_blocks.push_back(std::move(up));
    }
    norm_out = GroupNorm<X>(groups, width, eps);
    conv_out = Conv2d<X>(width, out, 3);
  }

  /// Pictures of latents. Throws ShapeError.
  X operator()(const X& latents) const {
    const Shape s = latents.shape();
    if (s.rank() != 4 || s[1] != config_.latent_channels || s.numel() == 0)
      raise<ShapeError>("ConvDecoder: expected latents (B, ", config_.latent_channels,
                        ", h, w), got ", s);
    X x = conv_in(post_quant_conv(latents));                     // (B, D, h, w)
    x = middle[1](attention(middle[0](x)));                      // (B, D, h, w)
    for (const ConvUpBlock<X>& block : up_blocks) x = block(x);  // (B, D_0, scale*h, scale*w)
    return conv_out(silu(norm_out(x)));                          // (B, channels, scale*h, scale*w)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("post_quant_conv.", post_quant_conv, f);
    visit("conv_in.", conv_in, f);
    visit("mid_block.resnets.0.", middle[0], f);
    visit("mid_block.attentions.0.", attention, f);
    visit("mid_block.resnets.1.", middle[1], f);
    for (std::size_t i = 0; i < up_blocks.size(); ++i)
      visit("up_blocks." + std::to_string(i) + ".", up_blocks[i], f);
    visit("conv_norm_out.", norm_out, f);
    visit("conv_out.", conv_out, f);
  }

  /// The sizes given to the constructor.
  [[nodiscard]] const ConvDecoderConfig& config() const noexcept { return config_; }

  Conv2d<X> post_quant_conv, conv_in, conv_out;  // 1 x 1, 3 x 3, 3 x 3
  std::vector<ConvResidualBlock<X>> middle;      ///< two, before and after the attention
  ConvAttention<X> attention;
  std::vector<ConvUpBlock<X>> up_blocks;  ///< from the resolution of the latents on
  GroupNorm<X> norm_out;

 private:
  ConvDecoderConfig config_;
};

/// Random weights with which activations keep their size: normal with deviation 1 / sqrt(fan in), 1
/// for norms, zero biases.
template <Operand X>
void initialize(ConvDecoder<X>& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  model.parameters([&](const std::string& name, auto& p) {
    ++stream;
    const Shape s = p.shape();
    if (s.rank() > 1)
      init_normal(p, 1 / math::sqrt(static_cast<double>(s.numel() / s[0])), seed, stream);
    else if (detail::last_name(name) == "weight")
      init_constant(p, 1.0);
  });
}

/// Parameter names of a ConvDecoder in a file of diffusers' AutoencoderKL; `query`, `key`, `value`
/// and `proj` are the names of the attention's matrices, which older files name otherwise.
inline NameMap conv_decoder_names(const std::string& query = "to_q",
                                  const std::string& key = "to_k",
                                  const std::string& value = "to_v",
                                  const std::string& proj = "to_out.0") {
  return [=](const std::string& name) -> std::vector<std::string> {
    const std::string attention = "mid_block.attentions.0.", file = "decoder." + attention;
    if (name.rfind("post_quant_conv.", 0) == 0) return {name};
    if (name.rfind(attention, 0) != 0) return {"decoder." + name};
    const std::string rest = name.substr(attention.size()), kind = "." + detail::last_name(name);
    if (rest.rfind("to_qkv", 0) == 0)
      return {file + query + kind, file + key + kind, file + value + kind};
    if (rest.rfind("to_out", 0) == 0) return {file + proj + kind};
    return {file + rest};
  };
}

}  // namespace rae
