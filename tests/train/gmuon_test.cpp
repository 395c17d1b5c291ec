// GMuon against the official optimizer of RAEv2 without its low-precision casts.
#include <gtest/gtest.h>

#include <map>

#include "rae/kernels/orthogonalize.hpp"
#include "rae/train/adamw.hpp"
#include "support/golden.hpp"

namespace rae {
namespace {

using test::close;
using test::Golden;

/// The parameters of the golden case.
struct Parameters {
  std::map<std::string, Parameter<Var<float>>> all;

  explicit Parameters(const Golden& io) {
    const ConfigNode config = test::golden_config("v2_gmuon");
    for (const auto& [name, shape] : config.at("shapes").members()) {
      const Tensor<float> value = io("init." + name);  // as the parameter
      auto& parameter = all[name] = Parameter<Var<float>>(value.shape());
      parameter.set(value);
    }
  }
  template <class F>
  void parameters(F&& f) {
    for (auto& [name, parameter] : all) f(name, parameter);
  }
};

TEST(GMuon, FollowsTheOfficialTrajectory) {
  const Golden io("v2_gmuon/io.safetensors");
  const ConfigNode config = test::golden_config("v2_gmuon");
  const ConfigNode& own = config.at("optimizer");
  Parameters model(io);
  const MuonOptions muon{.momentum = own.get<double>("momentum"),
                         .weight_decay = own.get<double>("weight_decay"),
                         .nesterov = own.get<bool>("nesterov")};
  AdamW<float> optimizer(model, {.weight_decay = own.get<double>("weight_decay")},
                         config.get<double>("ema_decay"), {}, muon);
  std::set<std::string> expected, found;
  for (const ConfigNode& name : config.at("muon_parameters").elements())
    expected.insert(name.as_string());
  for (const auto& slot : optimizer.slots())
    if (slot.muon_parts > 0) found.insert(slot.name);
  EXPECT_EQ(found, expected);
  const auto rates = config.at("lr_used_per_step (muon group, adamw group)").elements();
  double travel = 0;
  for (index_t step = 0; step < config.get<index_t>("steps"); ++step) {
    for (auto& slot : optimizer.slots())
      slot.parameter.accumulate(io(concat("grad", step, ".", slot.name)));
    const double lr = rates[static_cast<std::size_t>(step)].elements()[0].as_number();
    travel += lr;
    const double norm = optimizer.step(lr, config.get<double>("clip_grad"));
    EXPECT_NEAR(norm, static_cast<double>(io(concat("gradnorm", step))[0]), 1e-5 * norm);
    for (const auto& slot : optimizer.slots()) {
      const std::string at = concat(step + 1, ".", slot.name);
      // Updates of matrices are about 0.2 sqrt(max(rows, columns)) of the rate.
      EXPECT_TRUE(close(slot.parameter.value(), io("fp32.step" + at), 1e-6 + 1e-5 * travel)) << at;
      EXPECT_TRUE(close(slot.ema, io("fp32.ema" + at), 1e-6 + 1e-5 * travel)) << at;
    }
  }
  for (const auto& slot : optimizer.slots()) {
    if (slot.muon_parts > 0) {
      EXPECT_TRUE(close(slot.exp_avg, io("fp32.momentum." + slot.name), 1e-6)) << slot.name;
      continue;
    }
    EXPECT_TRUE(close(slot.exp_avg, io("fp32.exp_avg." + slot.name), 1e-6)) << slot.name;
    EXPECT_TRUE(close(slot.exp_avg_sq, io("fp32.exp_avg_sq." + slot.name), 1e-6)) << slot.name;
  }
}

TEST(GMuon, OrthogonalisesAsTheOfficialIteration) {
  const Golden io("v2_gmuon/io.safetensors");
  for (const std::string& name : io.file().names()) {
    if (!name.starts_with("ns.in.")) continue;
    const std::string which = name.substr(6);
    const Tensor<float> in = io(name);  // (M, N)
    Tensor<float> out(in.shape());      // (M, N)
    orthogonalize<float>(in.view(), out.view());
    // The golden values, in float, differ from those in double by up to 3e-6, too.
    EXPECT_TRUE(close(out, io("ns.fp32." + which), 6e-6)) << which;
    const Tensor<double> exact = convert<double>(in);  // (M, N)
    Tensor<double> expected(in.shape());               // (M, N)
    orthogonalize<double>(exact.view(), expected.view());
    EXPECT_TRUE(close(out, convert<float>(expected), 4e-6)) << which;
  }
}

TEST(GMuon, PartsAreOrthogonalisedByThemselves) {
  Tensor<double> whole(Shape{6, 3}), grad(Shape{6, 3}), momentum(Shape{6, 3}, 0.0);
  Philox(3).fill_normal(grad.span());
  Philox(4).fill_normal(whole.span());
  const Tensor<double> start = whole;  // (6, 3)
  const MuonOptions options{.lr = 0.1, .weight_decay = 0.5};
  muon_step<double>(whole.view(), std::as_const(grad).view(), momentum.view(), 2, options);
  for (const index_t part : {0, 1}) {
    Tensor<double> p(Shape{3, 3}), m(Shape{3, 3}, 0.0);
    copy_elements(start.data() + 9 * part, 9, p.data());
    muon_step<double>(p.view(), grad.view().slice(0, 3 * part, 3), m.view(), 1, options);
    for (index_t i = 0; i < 9; ++i) EXPECT_EQ(p[i], whole[9 * part + i]);
  }
  EXPECT_THROW(muon_step<double>(whole.view(), grad.view(), momentum.view(), 4, options),
               ArgumentError);
}

TEST(GMuon, ParametersThatTheOfficialCodeGivesToMuon) {
  EXPECT_EQ(muon_parts("blocks.0.attn.qkv.weight", {72, 24}), 3);
  EXPECT_EQ(muon_parts("blocks.0.mlp.w12.weight", {128, 24}), 2);
  for (const char* name : {"ctx_embedder.embedding_table.weight", "t_embedder.learnable_tokens",
                           "final_layer.linear.weight", "s_projector.weight"})
    EXPECT_EQ(muon_parts(name, {8, 24}), 1) << name;
  for (const char* name : {"x_embedder.proj.weight", "s_embedder.proj.weight"})
    EXPECT_EQ(muon_parts(name, {8, 24}), 0) << name;
  EXPECT_EQ(muon_parts("t_embedder.W", {256}), 0);
}

}  // namespace
}  // namespace rae
