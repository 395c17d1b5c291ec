#include <algorithm>
#include <cmath>

#include "guidance/plan.hpp"

namespace rae::experiments {
namespace {

using Results = std::vector<ConfigNode>;

Spread at(const Results& results, const std::string& method, double scale, const char* key) {
  return spread_of(results_at(results, {{"method", method}, {"scale", scale}}), key);
}

/// "87.2 ± 0.3".
std::string percent(Spread spread) {
  spread.mean *= 100;
  spread.deviation *= 100;
  return with_spread(spread);
}

/// A score over the scale; all lines begin at the scale 1, without guidance.
PlotSeries line_of(const GuidancePlan& plan, const Results& results, const std::string& method,
                   const char* key) {
  PlotSeries out{.name = method};
  const auto add = [&](const std::string& name, double scale) {
    const Spread spread = at(results, name, scale, key);
    out.x.push_back(scale);
    out.y.push_back(spread.mean);
    out.low.push_back(spread.low);
    out.high.push_back(spread.high);
  };
  add(kNoGuidance, 1);
  for (const double scale : plan.scales) add(method, scale);
  return out;
}

/// The least mean distance of a method, and where it is.
struct Best {
  double scale = 1;
  Spread distance{}, recall{};
};

Best best_of(const GuidancePlan& plan, const Results& results, const std::string& method) {
  Best out;
  for (const double scale : plan.scales) {
    const Spread distance = at(results, method, scale, "distance");
    if (out.scale == 1 || distance.mean < out.distance.mean)
      out = {scale, distance, at(results, method, scale, "recall")};
  }
  return out;
}

std::string conclusion_of(const GuidancePlan& plan, const Results& results) {
  const Spread plain = at(results, kNoGuidance, 1, "distance");
  std::string out =
      concat("Without guidance the distance is ", three_digits(plain.mean), " and the recall ",
             three_digits(100 * at(results, kNoGuidance, 1, "recall").mean), " %.");
  for (const char* method : {kCfg, kInterval, kAutoguidance}) {
    const Best best = best_of(plan, results, method);
    out += concat(" The least distance with ", method, " is ", three_digits(best.distance.mean),
                  ", at ", best.scale, ", with a recall of ", three_digits(100 * best.recall.mean),
                  " %.");
  }
  const Spread automatic = best_of(plan, results, kAutoguidance).distance,
               cfg = best_of(plan, results, kCfg).distance;
  out += compare(automatic, plain) == Compared::less
             ? " Autoguidance lowers the distance, as the paper says."
             : " Autoguidance does not lower the distance of all seeds here.";
  const Compared against_cfg = compare(automatic, cfg);
  return out + (against_cfg == Compared::less      ? " It reaches a smaller one than CFG."
                : against_cfg == Compared::neither ? " It is as good as CFG."
                                                   : " CFG reaches a smaller one.");
}

}  // namespace

Finding guidance_finding(const GuidancePlan& plan, const GuidanceContext& context,
                         const std::vector<ConfigNode>& results) {
  Finding out;
  out.title = "Guidance: fidelity is paid with diversity";
  out.claim =
      "The paper (section 5): autoguidance by a smaller, less trained DiT^DH lowers the gFID of "
      "DiT^DH-XL at 256 x 256 from 1.51 to 1.13, at a scale of 1.42.";
  out.measured =
      concat("Measured here: ", plan.samples, " samples of the model ", context.model,
             " for each scale: their Frechet distance to the real test set in the features of the "
             "classifier of rae evaluate (as many real training pictures have ",
             three_digits(context.floor),
             "), the share that it assigns to the class asked for (real test ",
             "pictures: ", three_digits(100 * context.accuracy),
             " %), and improved precision and recall in the "
             "same features (Kynkäänniemi et al. 2019, k = 3). The interval is ",
             plan.low, " <= t <= ", plan.high,
             " in flow time, where 1 is noise; the guide of autoguidance is ", context.weak, "; ",
             seeds_in_words(plan.seeds), " of the noise.");
  out.header = {"guidance",     "scale",    "distance", "class consistency, %",
                "precision, %", "recall, %"};
  const auto add_row = [&](const char* method, double scale) {
    out.rows.push_back({method, concat(scale), with_spread(at(results, method, scale, "distance")),
                        percent(at(results, method, scale, "consistency")),
                        percent(at(results, method, scale, "precision")),
                        percent(at(results, method, scale, "recall"))});
  };
  add_row(kNoGuidance, 1);
  for (const char* method : {kCfg, kInterval, kAutoguidance})
    for (const double scale : plan.scales) add_row(method, scale);
  out.conclusion = conclusion_of(plan, results);
  out.plot = {.title = "Samples over the scale of guidance",
              .description =
                  "Distance, class consistency, precision and recall over the scale for "
                  "three kinds of guidance.",
              .columns = 2};
  const std::pair<const char*, const char*> scores[] = {{"distance", "Frechet distance"},
                                                        {"consistency", "class consistency"},
                                                        {"precision", "precision"},
                                                        {"recall", "recall"}};
  for (const auto& [key, label] : scores) {
    PlotPanel panel{.x = {.label = "scale"}, .y = {.label = label}};
    for (const char* method : {kCfg, kInterval, kAutoguidance})
      panel.series.push_back(line_of(plan, results, method, key));
    out.plot.panels.push_back(std::move(panel));
  }
  return out;
}

}  // namespace rae::experiments
