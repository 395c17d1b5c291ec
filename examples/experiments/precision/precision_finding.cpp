#include <algorithm>

#include "precision/plan.hpp"

namespace rae::experiments {
namespace {

using Results = std::vector<ConfigNode>;

Spread of(const Results& results, const std::string& weights, const char* key) {
  return spread_of(results_at(results, {{"weights", weights}}), key);
}

/// "89.3 ± 0.4".
std::string percent(Spread spread) {
  spread.mean *= 100;
  spread.deviation *= 100;
  return with_spread(spread);
}

/// The names of the weights of a kind, or of all, in the order of the results.
std::vector<std::string> names_of(const Results& results, const std::string& kind = "") {
  std::vector<std::string> out;
  for (const ConfigNode& result : results) {
    const auto name = result.get<std::string>("weights");
    if ((kind.empty() || result.get<std::string>("kind") == kind) &&
        std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(name);
  }
  return out;
}

/// Points of one kind: a score over the size or time.
PlotSeries points_of(const Results& results, const std::string& kind, const char* x,
                     const char* y) {
  PlotSeries out{.name = kind, .mark = PlotMark::points};
  for (const std::string& name : names_of(results, kind)) {
    const Spread spread = of(results, name, y);
    out.x.push_back(of(results, name, x).mean);
    out.y.push_back(spread.mean);
    out.low.push_back(spread.low);
    out.high.push_back(spread.high);
    out.labels.push_back(name);
  }
  return out;
}

/// The loss of class consistency against f32, in points.
double points_lost(const Results& results, const std::string& name) {
  return 100 * (of(results, "f32", "consistency").mean - of(results, name, "consistency").mean);
}

std::string conclusion_of(const Results& results) {
  std::string least = "f32";
  for (const std::string& name : names_of(results))
    if (points_lost(results, name) <= 1 &&
        of(results, name, "megabytes").mean < of(results, least, "megabytes").mean)
      least = name;
  const auto distance = [&](const std::string& name) {
    return three_digits(of(results, name, "distance").mean);
  };
  std::string out = concat(
      "The smallest weights within 1 point of the class consistency of f32 are those of: ", least,
      ", with ", three_digits(of(results, least, "megabytes").mean), " MB instead of ",
      three_digits(of(results, "f32", "megabytes").mean), ". int4 loses ",
      three_digits(points_lost(results, "int4")), " points, and its distance is ", distance("int4"),
      " instead of ", distance("f32"), "; that of a mix as large is ", distance(kMixAsLargeAsInt4));
  const auto tuned = names_of(results, kFineTuned);
  if (!tuned.empty())
    out += concat("; after fine-tuning it is ", distance(tuned.front()), ", and ",
                  three_digits(points_lost(results, tuned.front())), " points are lost");
  return out + ".";
}

}  // namespace

Finding precision_finding(const PrecisionPlan& plan, const PrecisionContext& context,
                          const std::vector<ConfigNode>& results) {
  Finding out;
  out.title = "Precision: which bits of the weights are free";
  out.claim =
      "Not in the paper, which does not change the types of weights. The aim: int4 within 1 point "
      "of the class consistency of f32.";
  out.measured = concat(
      "Measured here: ", plan.samples, " samples without guidance of the model ", context.model,
      ", from the same noise for all types: their "
      "Frechet distance to the real test set in the features of the classifier of rae evaluate "
      "(as many real training pictures have ",
      three_digits(context.floor),
      "), the share that it assigns to the class asked for (real test pictures: ",
      three_digits(100 * context.accuracy),
      " %), the size of decoder and diffusion network in a packed "
      "file, and the time of one core for a picture. A mix has for each layer the type that its "
      "sensitivity, measured with ",
      plan.calibration,
      " latents, suggests: in a file that is not "
      "larger than with one type, or with a relative error of each network of at most ",
      100 * plan.loss, " %; ", seeds_in_words(plan.seeds), " of the noise.");
  out.header = {"weights", "class consistency, %", "distance", "size, MB", "ms for a picture"};
  for (const std::string& name : names_of(results))
    out.rows.push_back({name, percent(of(results, name, "consistency")),
                        with_spread(of(results, name, "distance")),
                        three_digits(of(results, name, "megabytes").mean),
                        with_spread(of(results, name, "milliseconds"))});
  out.conclusion = conclusion_of(results);
  out.plot = {.title = "Quality over the size of the weights",
              .description =
                  "Distance and class consistency over size and time for types of "
                  "weights.",
              .columns = 2};
  for (const char* key : {"distance", "consistency"})
    for (const char* over : {"megabytes", "milliseconds"}) {
      PlotPanel panel{
          .x = {.label = over == std::string("megabytes") ? "size, MB" : "ms for a picture"},
          .y = {.label =
                    key == std::string("distance") ? "Frechet distance" : "class consistency"}};
      for (const char* kind : {kOneType, kMixed, kFineTuned})
        if (!names_of(results, kind).empty())
          panel.series.push_back(points_of(results, kind, over, key));
      out.plot.panels.push_back(std::move(panel));
    }
  return out;
}

}  // namespace rae::experiments
