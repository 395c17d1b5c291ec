#include "rae/models/conv_decoder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "rae/autograd/gradcheck.hpp"
#include "rae/kernels/reference/conv.hpp"
#include "rae/kernels/reference/group_norm.hpp"
#include "rae/nn/outline.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

const ConvDecoderConfig kTiny{.latent_channels = 3,
                              .channels = 2,
                              .block_channels = {4, 6},
                              .layers_per_block = 1,
                              .groups = 2};

/// The decoder as plain loops over the weights of a file of AutoencoderKL, by their names in it.
class PlainDecoder {
 public:
  explicit PlainDecoder(std::map<std::string, Tensor<double>> weights)
      : weights_(std::move(weights)) {}

  Tensor<double> operator()(const Tensor<double>& latents) const {
    Tensor<double> x = conv(conv(latents, "post_quant_conv"), "decoder.conv_in");  // (B, C, h, w)
    x = residual(x, "decoder.mid_block.resnets.0.");
    x = attend(x, "decoder.mid_block.attentions.0.");
    x = residual(x, "decoder.mid_block.resnets.1.");
    for (const char* block : {"decoder.up_blocks.0.", "decoder.up_blocks.1."}) {
      for (const char* layer : {"resnets.0.", "resnets.1."})
        x = residual(x, std::string(block) + layer);
      const std::string up = std::string(block) + "upsamplers.0.conv";
      if (weights_.count(up + ".weight") > 0) x = conv(doubled(x), up);
    }
    return conv(silu_of(norm(x, "decoder.conv_norm_out")), "decoder.conv_out");
  }

 private:
  const Tensor<double>& weight(const std::string& name) const { return weights_.at(name); }

  Tensor<double> conv(const Tensor<double>& x, const std::string& name) const {
    const Tensor<double>& w = weight(name + ".weight");  // (O, C, k, k)
    const index_t k = w.extent(2), pad = k / 2;
    Tensor<double> out(x.shape().with(1, w.extent(0)));  // (B, O, h, w)
    reference::conv2d<double>(x, w, weight(name + ".bias"), {k, k, 1, pad, pad}, out);
    return out;
  }
  Tensor<double> norm(const Tensor<double>& x, const std::string& name) const {
    const Shape s = x.shape();
    const Tensor<double> flat = x.reshaped({s[0], s[1], s[2] * s[3]});  // (B, C, P)
    Tensor<double> out(flat.shape());                                   // (B, C, P)
    reference::group_norm<double>(flat, weight(name + ".weight"), weight(name + ".bias"),
                                  kTiny.groups, 1e-6, out);
    return out.reshaped(s);
  }
  static Tensor<double> silu_of(Tensor<double> x) {
    for (double& value : x.span()) value = value / (1 + std::exp(-value));
    return x;
  }
  static Tensor<double> sum(Tensor<double> x, const Tensor<double>& y) {
    for (index_t i = 0; i < x.numel(); ++i) x[i] += y.data()[i];
    return x;
  }
  static Tensor<double> doubled(const Tensor<double>& x) {
    const Shape s = x.shape();
    Tensor<double> out(Shape{s[0], s[1], 2 * s[2], 2 * s[3]});  // (B, C, 2h, 2w)
    for (index_t i = 0; i < out.numel(); ++i) {
      const index_t column = i % (2 * s[3]), row = i / (2 * s[3]) % (2 * s[2]),
                    plane = i / (4 * s[2] * s[3]);
      out[i] = x.data()[(plane * s[2] + row / 2) * s[3] + column / 2];
    }
    return out;
  }
  Tensor<double> residual(const Tensor<double>& x, const std::string& name) const {
    Tensor<double> h = conv(silu_of(norm(x, name + "norm1")), name + "conv1");  // (B, O, h, w)
    h = conv(silu_of(norm(h, name + "norm2")), name + "conv2");
    const bool changes = weights_.count(name + "conv_shortcut.weight") > 0;
    return sum(h, changes ? conv(x, name + "conv_shortcut") : x);
  }
  /// x W^T + b at each position of x (B, C, h, w).
  Tensor<double> project(const Tensor<double>& x, const std::string& name) const {
    const Tensor<double>& w = weight(name + ".weight");  // (O, C)
    const Tensor<double>& b = weight(name + ".bias");    // (O)
    Tensor<double> out(x.shape().with(1, w.extent(0)));  // (B, O, h, w)
    reference::conv2d<double>(x, w.reshaped({w.extent(0), w.extent(1), 1, 1}), b, {1, 1, 1, 0, 0},
                              out);
    return out;
  }
  Tensor<double> attend(const Tensor<double>& x, const std::string& name) const {
    const Shape s = x.shape();
    const index_t c = s[1], n = s[2] * s[3];
    const Tensor<double> h = norm(x, name + "group_norm");  // (B, C, h, w)
    const Tensor<double> q = project(h, name + "to_q"), k = project(h, name + "to_k"),
                         v = project(h, name + "to_v");  // (B, C, h, w) each
    Tensor<double> out(s, 0.0);                          // (B, C, h, w)
    for (index_t b = 0; b < s[0]; ++b)
      for (index_t i = 0; i < n; ++i) {
        std::vector<double> p(static_cast<std::size_t>(n));
        double total = 0;
        for (index_t j = 0; j < n; ++j) {
          double score = 0;
          for (index_t d = 0; d < c; ++d)
            score += q.data()[(b * c + d) * n + i] * k.data()[(b * c + d) * n + j];
          total += p[static_cast<std::size_t>(j)] =
              std::exp(score / std::sqrt(static_cast<double>(c)));
        }
        for (index_t j = 0; j < n; ++j)
          for (index_t d = 0; d < c; ++d)
            out[(b * c + d) * n + i] +=
                p[static_cast<std::size_t>(j)] / total * v.data()[(b * c + d) * n + j];
      }
    return sum(project(out, name + "to_out.0"), x);
  }

  std::map<std::string, Tensor<double>> weights_;
};

/// The parameters of a model as the tensors of a file.
std::map<std::string, Tensor<double>> tensors_of(ConvDecoder<Tensor<double>>& model) {
  std::map<std::string, Tensor<double>> out;
  const NameMap names = conv_decoder_names();
  model.parameters([&](const std::string& name, auto& p) {
    const std::vector<std::string> files = names(name);
    const Tensor<double>& value = p.tensor();
    const Shape piece = value.shape().with(0, value.extent(0) / static_cast<index_t>(files.size()));
    const auto n = static_cast<std::size_t>(piece.numel());
    for (std::size_t i = 0; i < files.size(); ++i)
      out[files[i]] = Tensor<double>(piece, value.span().subspan(i * n, n));
  });
  return out;
}

void fill(ConvDecoder<Tensor<double>>& model) {
  std::uint64_t stream = 0;
  model.parameters([&](const std::string&, auto& p) {
    init_normal(p, p.shape().rank() > 1 ? 0.3 : 1.0, 11, ++stream);
  });
}

TEST(ConvDecoder, AgreesWithPlainLoops) {
  ConvDecoder<Tensor<double>> model(kTiny);
  fill(model);
  const PlainDecoder plain(tensors_of(model));
  const Tensor<double> latents = random_tensor<double>({2, 3, 3, 5}, 1);  // (B, C, h, w)
  const Tensor<double> pictures = model(latents);                         // (B, 2, 2h, 2w)
  EXPECT_TRUE((pictures.shape() == Shape{2, 2, 6, 10}));
  EXPECT_TRUE(test::close(pictures, plain(latents), 1e-11));
}

TEST(ConvDecoder, GradientsAgreeWithFiniteDifferences) {
  ConvDecoder<Var<double>> start(kTiny);
  initialize(start, 3);
  std::vector<Tensor<double>> inputs = {random_tensor<double>({1, 3, 2, 2}, 4)};
  start.parameters([&](const std::string&, auto& p) { inputs.push_back(p.tensor()); });
  const GradcheckResult result = gradcheck(
      [&](const std::vector<Var<double>>& in) {
        ConvDecoder<Var<double>> model(kTiny);
        std::size_t i = 1;
        model.parameters([&](const std::string&, auto& p) { p.value = in[i++]; });
        return model(in[0]);
      },
      inputs);
  EXPECT_LT(result.worst, 1e-6) << result.where;
}

TEST(ConvDecoder, ThreadCountDoesNotChangeABit) {
  ConvDecoder<Tensor<float>> model(ConvDecoderConfig{.block_channels = {32, 64}, .groups = 8});
  initialize(model, 1);
  const Tensor<float> latents = random_tensor<float>({1, 4, 9, 8}, 1);  // (B, C, h, w)
  EXPECT_TRUE(test::same_on_every_thread_count([&] { return model(latents); }));
}

TEST(ConvDecoder, HasTheParametersOfSdVae) {
  const auto parameters = parameter_shapes<ConvDecoder>(ConvDecoderConfig{});
  const auto shape_of = [&](const std::string& name) {
    for (const ParameterShape& p : parameters)
      if (p.name == name) return p.shape;
    return Shape{};
  };
  EXPECT_EQ(shape_of("conv_in.weight"), (Shape{512, 4, 3, 3}));
  EXPECT_EQ(shape_of("mid_block.attentions.0.to_qkv.weight"), (Shape{1536, 512}));
  EXPECT_EQ(shape_of("up_blocks.2.resnets.0.conv_shortcut.weight"), (Shape{256, 512, 1, 1}));
  EXPECT_EQ(shape_of("up_blocks.2.upsamplers.0.conv.weight"), (Shape{256, 256, 3, 3}));
  EXPECT_EQ(shape_of("up_blocks.3.resnets.2.conv2.weight"), (Shape{128, 128, 3, 3}));
  EXPECT_EQ(shape_of("up_blocks.3.upsamplers.0.conv.weight"), Shape{});
  EXPECT_EQ(shape_of("conv_out.bias"), (Shape{3}));
  EXPECT_EQ(ConvDecoderConfig{}.scale(), 8);
}

TEST(ConvDecoder, RefusesInvalidConfigurationsAndLatents) {
  using Model = ConvDecoder<Tensor<float>>;
  EXPECT_THROW(Model(ConvDecoderConfig{.latent_channels = 0}), ConfigError);
  EXPECT_THROW(Model(ConvDecoderConfig{.block_channels = {}}), ConfigError);
  EXPECT_THROW(Model(ConvDecoderConfig{.block_channels = {128, 100}}), ConfigError);
  EXPECT_THROW(Model(ConvDecoderConfig{.groups = 0}), ConfigError);
  const Model model(ConvDecoderConfig{.block_channels = {4}, .groups = 2});
  EXPECT_THROW((void)model(Tensor<float>(Shape{1, 3, 4, 4}, 0.0f)), ShapeError);
  EXPECT_THROW((void)model(Tensor<float>()), ShapeError);
}

}  // namespace
}  // namespace rae
