#include <algorithm>
#include <cmath>
#include <limits>

#include "samplers/plan.hpp"

namespace rae::experiments {
namespace {

using Results = std::vector<ConfigNode>;

bool is_reference(const SamplersPlan& plan, const ConfigNode& result) {
  return result.get<std::string>("method") == "euler" &&
         result.get<double>("setting") == static_cast<double>(plan.reference_steps);
}

/// One score of a method over the evaluations, in their order.
PlotSeries line_of(const Results& results, const std::string& method, const char* key) {
  Results own = results_at(results, {{"method", method}});
  std::sort(own.begin(), own.end(), [](const ConfigNode& a, const ConfigNode& b) {
    return a.get<double>("evaluations") < b.get<double>("evaluations");
  });
  PlotSeries out{.name = method, .dashed = method == kReuse};
  for (const ConfigNode& result : own) {
    if (result.find(key) == nullptr) continue;
    out.x.push_back(result.get<double>("evaluations"));
    out.y.push_back(result.get<double>(key));
  }
  return out;
}

/// The result with the fewest evaluations whose distance is at most `most`; null without one.
const ConfigNode* cheapest(const Results& results, double most) {
  const ConfigNode* out = nullptr;
  for (const ConfigNode& result : results)
    if (result.find("distance") != nullptr && result.get<double>("distance") <= most &&
        (out == nullptr || result.get<double>("evaluations") < out->get<double>("evaluations")))
      out = &result;
  return out;
}

std::string conclusion_of(const SamplersPlan& plan, const Results& results) {
  constexpr double kMargin = 1.05;
  const auto reference = std::find_if(results.begin(), results.end(), [&](const ConfigNode& each) {
    return is_reference(plan, each);
  });
  const double goal = reference->get<double>("distance");
  const auto words = [](const ConfigNode* result) {
    return result == nullptr ? std::string("none")
                             : concat(result->get<std::string>("method"), " with ",
                                      three_digits(result->get<double>("evaluations")));
  };
  return concat("The distance of ", plan.reference_steps, " Euler steps, ", three_digits(goal),
                ", is reached within 5 % with the fewest evaluations by: ",
                words(cheapest(results, kMargin * goal)), "; among Euler steps: ",
                words(cheapest(results_at(results, {{"method", "euler"}}), kMargin * goal)),
                "; with a reused backbone: ",
                words(cheapest(results_at(results, {{"method", kReuse}}), kMargin * goal)), ".");
}

}  // namespace

Finding samplers_finding(const SamplersPlan& plan, const SamplersContext& context,
                         const std::vector<ConfigNode>& results) {
  Finding out;
  out.title = "Samplers: few steps are enough";
  out.claim =
      "The paper (section 4 and appendix): all results are sampled with 50 Euler steps; the "
      "official "
      "code offers the solvers of torchdiffeq beside them.";
  out.measured = concat(
      "Measured here: ", plan.samples, " samples without guidance of the model ", context.model,
      ", from the same noise for all methods: their Frechet distance to the real test set in the "
      "features of the classifier of rae evaluate (as many real training pictures have ",
      three_digits(context.floor), "), and the PSNR of the first ", plan.pairs,
      " against those of ", plan.reference_steps,
      " Euler steps. Evaluations are those of the network for a picture. ",
      "Adaptive methods have equal absolute and relative tolerances. Where the backbone is reused, "
      "in ",
      plan.reuse_steps,
      " Euler steps, evaluations are those of the backbone; the head is "
      "evaluated in each step. One seed.");
  const auto score = [](const ConfigNode& result, const char* key) {
    return result.find(key) == nullptr ? "diverges" : three_digits(result.get<double>(key));
  };
  out.header = {"method", "steps, tolerance or limit", "evaluations", "distance", "PSNR, dB"};
  std::vector<std::string> methods;
  for (const ConfigNode& result : results) {
    const auto method = result.get<std::string>("method");
    if (std::find(methods.begin(), methods.end(), method) == methods.end())
      methods.push_back(method);
    out.rows.push_back({method, concat(result.get<double>("setting")),
                        three_digits(result.get<double>("evaluations")), score(result, "distance"),
                        is_reference(plan, result) ? "reference" : score(result, "psnr")});
  }
  out.conclusion = conclusion_of(plan, results);

  Results compared;  // without the reference, whose PSNR is infinite
  for (const ConfigNode& result : results)
    if (!is_reference(plan, result)) compared.push_back(result);
  const std::vector<std::vector<std::string>> groups{
      {"euler", "midpoint", "heun", "heun3", "rk4"},
      {"euler", "explicit_adams", "implicit_adams", kReuse},
      {"euler", "dpmpp_2m", "dpmpp_3m", "unipc", "ab2"},
      {"euler", "adaptive_heun", "fehlberg2", "bosh3", "dopri5", "dopri8"}};
  const char* titles[] = {"fixed steps", "multistep, reused backbone", "few steps",
                          "adaptive steps"};
  out.plot = {.title = "Samples over the evaluations of the network",
              .description = "Distance and PSNR over evaluations for all methods.",
              .columns = 4,
              .panel_width = 380};
  for (const bool distance : {true, false})
    for (std::size_t i = 0; i < groups.size(); ++i) {
      PlotPanel panel{.title = distance ? titles[i] : "",
                      .x = {.label = "evaluations", .scale = PlotScale::log},
                      .y = {.label = distance ? "Frechet distance" : "PSNR, dB",
                            .scale = distance ? PlotScale::log : PlotScale::linear}};
      for (const std::string& method : groups[i])
        if (std::find(methods.begin(), methods.end(), method) != methods.end())
          panel.series.push_back(distance ? line_of(results, method, "distance")
                                          : line_of(compared, method, "psnr"));
      out.plot.panels.push_back(std::move(panel));
    }
  return out;
}

}  // namespace rae::experiments
