#include "rae/diffusion/diffusion_form.hpp"

#include <algorithm>
#include <cmath>

#include "support/golden.hpp"

namespace rae {
namespace {

constexpr DiffusionForm kAllForms[] = {
    DiffusionForm::constant, DiffusionForm::sbdm,       DiffusionForm::sigma,
    DiffusionForm::linear,   DiffusionForm::decreasing, DiffusionForm::increasing_decreasing};

TEST(DiffusionFormTest, ValuesByHand) {
  const LinearPath path;
  const auto at = [&](DiffusionForm form, double t) {
    return diffusion_coefficient(path, form, 0.5, t);
  };
  EXPECT_DOUBLE_EQ(at(DiffusionForm::constant, 0.25), 0.5);
  EXPECT_DOUBLE_EQ(at(DiffusionForm::sbdm, 0.25), 0.5 * 0.25 / 0.75);
  EXPECT_DOUBLE_EQ(at(DiffusionForm::sigma, 0.25), 0.125);
  EXPECT_DOUBLE_EQ(at(DiffusionForm::linear, 0.25), 0.125);
  EXPECT_DOUBLE_EQ(at(DiffusionForm::decreasing, 1.0), 0.25 * 1.5 * 1.5);
  EXPECT_DOUBLE_EQ(at(DiffusionForm::decreasing, 0.0), 0.25 * 0.5 * 0.5);
  EXPECT_DOUBLE_EQ(at(DiffusionForm::increasing_decreasing, 0.25), 0.25);
  EXPECT_DOUBLE_EQ(diffusion_coefficient(GvpPath{}, DiffusionForm::sigma, 2.0, 1.0 / 3), 1.0);
}

template <Path P>
void expect_golden_forms(const P& path, const std::string& name) {
  const test::Golden golden("transport_paths/io.safetensors");
  const double norm = test::golden_config("transport_paths").get<double>("diffusion_norm");
  const Tensor<float> t = golden("t");  // (5)
  for (const std::string form :
       {"constant", "SBDM", "sigma", "linear", "decreasing", "inccreasing-decreasing"})
    for (index_t i = 0; i < t.numel(); ++i) {
      const double ours =
          diffusion_coefficient(path, parse_diffusion_form(form), norm, static_cast<double>(t[i]));
      EXPECT_TRUE(test::near(ours, golden.part(name + ".diffusion." + form, i),
                             1e-6 * std::max(0.5, std::abs(ours))))
          << name << " " << form << " at t = " << t[i];
    }
}

TEST(DiffusionFormTest, AgreesWithTheOfficialForms) {
  expect_golden_forms(OfficialPath<LinearPath>{}, "Linear");
  expect_golden_forms(OfficialPath<GvpPath>{}, "GVP");
  expect_golden_forms(OfficialPath<VpPath>{}, "VP");
}

// The official sign of sbdm is that of a diffusion with reversed time.
TEST(DiffusionFormTest, OnlySbdmDependsOnTheFormulas) {
  const auto expect = [](const auto& path, const auto& official) {
    for (const DiffusionForm form : kAllForms)
      EXPECT_EQ(diffusion_coefficient(path, form, 0.7, 0.3),
                (form == DiffusionForm::sbdm ? -1.0 : 1.0) *
                    diffusion_coefficient(official, form, 0.7, 0.3))
          << name_of(form);
  };
  expect(LinearPath{}, OfficialPath<LinearPath>{});
  expect(GvpPath{}, OfficialPath<GvpPath>{});
  EXPECT_EQ(diffusion_coefficient(OfficialPath<VpPath>{}, DiffusionForm::sbdm, 2.0, 1.0),
            VpPath::kBetaMin);
}

/// With the form sbdm the sampler reverses the diffusion dx = (alpha' / alpha) x dt + g dW, with D
/// = g^2 / 2. For variance preserving paths g^2 = -2 alpha' / alpha.
TEST(DiffusionFormTest, SbdmIsHalfTheRateOfTheForwardDiffusion) {
  for (const double t : {0.1, 0.5, 0.9}) {
    const GvpPath gvp;
    EXPECT_NEAR(diffusion_coefficient(gvp, DiffusionForm::sbdm, 1.0, t),
                -gvp.d_alpha(t) / gvp.alpha(t), 1e-12);
    const VpPath vp;
    EXPECT_NEAR(
        diffusion_coefficient(vp, DiffusionForm::sbdm, 1.0, t) / (-vp.d_alpha(t) / vp.alpha(t)),
        1.0, 1e-9);
  }
  EXPECT_TRUE(std::isinf(diffusion_coefficient(LinearPath{}, DiffusionForm::sbdm, 1.0, 1.0)));
}

TEST(DiffusionFormTest, IsNeverNegative) {
  for (const DiffusionForm form : kAllForms)
    for (double t = 0.0; t < 1.0; t += 0.05)
      EXPECT_GE(diffusion_coefficient(LinearPath{}, form, 0.7, t), 0.0) << name_of(form);
}

TEST(DiffusionFormTest, NamesAreParsed) {
  for (const DiffusionForm form : kAllForms) EXPECT_EQ(parse_diffusion_form(name_of(form)), form);
  EXPECT_EQ(parse_diffusion_form("SBDM"), DiffusionForm::sbdm);
  EXPECT_EQ(parse_diffusion_form("inccreasing-decreasing"), DiffusionForm::increasing_decreasing);
  EXPECT_THROW((void)parse_diffusion_form("Sigma"), ArgumentError);
}

}  // namespace
}  // namespace rae
