// Sampling with internal guidance against the official sampler of RAEv2.
#include <gtest/gtest.h>

#include "generate/flow_sampling.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "support/golden.hpp"
#include "support/golden_token_dit.hpp"

namespace rae {
namespace {

using detail::FlowSampling;
using detail::Network;
using detail::NetworkWithBase;
using test::expect_close;
using test::Golden;

/// The network of the golden case, and the numbers of its evaluations.
class InternalGuidanceGolden : public testing::Test {
 protected:
  InternalGuidanceGolden()
      : node_(test::golden_config("v2_sampling")),
        golden_("v2_sampling/io.safetensors"),
        model_(test::token_dit_dh_sizes(node_)) {
    fill_weights(model_,
                 {TensorSource::open(test::data_path("golden/v2_sampling/weights.safetensors")),
                  token_dit_names(true)});
    const Tensor<std::int64_t> y = golden_.get<std::int64_t>("y");  // (B)
    labels_.assign(y.span().begin(), y.span().end());
  }

  /// Scale and interval; nothing for null.
  template <class G>
  static std::optional<G> guidance(const ConfigNode& node) {
    if (node.is_null()) return {};
    const auto value = [&](std::size_t i) {
      return static_cast<float>(node.elements()[i].as_number());
    };
    G out;
    out.scale = value(0);
    out.t_min = value(1);
    out.t_max = value(2);
    return out;
  }

  /// The settings of a run of the golden case.
  [[nodiscard]] FlowSampling settings(const std::string& run) const {
    const ConfigNode& r = node_.at("runs").at(run);
    FlowSampling how;
    how.grid = full_time_grid(r.get<index_t>("num_steps"), node_.get<double>("time_dist_shift"));
    how.prediction =
        r.get<std::string>("prediction") == "x" ? Prediction::data : Prediction::velocity;
    how.floor = node_.get<double>("t_eps");
    how.null_label = model_.config().num_classes;
    how.guidance = guidance<Cfg>(r.at("cfg")).value_or(Cfg{});
    how.internal_guidance = guidance<InternalGuidance>(r.at("ig"));
    if (const ConfigNode& scale = r.at("ig_unconditional_scale"); !scale.is_null())
      how.internal_guidance->unconditional_scale = static_cast<float>(scale.as_number());
    return how;
  }

  Tensor<float> sample(const std::string& run) {
    const auto condition = [&](float t, std::span<const std::int64_t> y) {
      const auto rows = static_cast<index_t>(y.size());
      conditions_ += rows;
      return model_.conditioning(Tensor<float>(Shape{rows}, t), y);
    };
    const Network network = [&](const Tensor<float>& x, float t, std::span<const std::int64_t> y) {
      ++plain_;
      return model_(x, condition(t, y));
    };
    const NetworkWithBase with_base = [&](const Tensor<float>& x, float t,
                                          std::span<const std::int64_t> y) {
      ++guided_;
      return model_.outputs(x, condition(t, y), {.base = true});
    };
    plain_ = guided_ = conditions_ = 0;
    return detail::sample_flow(network, settings(run), golden_("noise"), labels_, {}, {}, {},
                               with_base);
  }

  ConfigNode node_;
  Golden golden_;
  TokenDitDh<Tensor<float>> model_;
  std::vector<std::int64_t> labels_;
  index_t plain_ = 0, guided_ = 0, conditions_ = 0;
};

TEST_F(InternalGuidanceGolden, EveryRunMatches) {
  for (const auto& [run, settings] : node_.at("runs").members())
    expect_close(sample(run), golden_("final." + run), 5e-5, run);
}

TEST_F(InternalGuidanceGolden, GridsEndAtZero) {
  for (const index_t steps : {8, 50, 100, 300}) {
    const std::vector<float> grid = full_time_grid(steps, 8.0);
    expect_close(Tensor<float>(Shape{steps + 1}, grid), golden_(concat("grid.", steps)), 1e-6);
    EXPECT_EQ(grid.back(), 0.0f);
  }
}

// One forward pass a step; the null label and the base head are evaluated only where they count.
TEST_F(InternalGuidanceGolden, NothingIsEvaluatedInVain) {
  const auto images = static_cast<index_t>(labels_.size());
  (void)sample("ig_8");
  EXPECT_EQ(plain_ + guided_, 8);
  EXPECT_EQ(conditions_, 8 * images);
  const auto count = [](const std::vector<float>& grid, float low, float high) {
    return std::count_if(grid.begin(), grid.end() - 1,
                         [=](float t) { return t >= low && t <= high; });
  };
  EXPECT_EQ(guided_, count(settings("ig_8").grid, 0.1f, 1.0f));
  (void)sample("igcfg_8");
  EXPECT_EQ(plain_ + guided_, 8);
  EXPECT_EQ(conditions_, (8 + count(settings("ig_8").grid, 0.6f, 0.9f)) * images);
  (void)sample("plain_8");
  EXPECT_EQ(guided_, 0);
}

TEST(InternalGuidance, IsOffWhereBothScalesAreOne) {
  EXPECT_FALSE(InternalGuidance{}.enabled());
  EXPECT_FALSE((InternalGuidance{.unconditional_scale = 1.0f}.enabled()));
  EXPECT_TRUE((InternalGuidance{.unconditional_scale = 1.3f}.enabled()));
  const InternalGuidance guidance{1.78f, 0.1f, 0.9f};
  EXPECT_TRUE(guidance.active(0.1f) && guidance.active(0.9f));
  EXPECT_FALSE(guidance.active(0.0999) || guidance.active(0.901));
  EXPECT_EQ(guidance.without_label(), 1.78f);
  EXPECT_THROW(require_internal_guidance({-1.0f}), ArgumentError);
  EXPECT_THROW(require_internal_guidance({.unconditional_scale = -1.0f}), ArgumentError);
}

}  // namespace
}  // namespace rae
