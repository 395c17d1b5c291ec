#include <algorithm>
#include <cmath>
#include <limits>

#include "width/plan.hpp"

namespace rae::experiments {
namespace {

/// The networks of one line of the plot: plain ones of a depth, or those with the head.
std::vector<ConfigNode> networks(const std::vector<ConfigNode>& results, index_t tokens,
                                 index_t width, index_t depth, index_t head) {
  return results_at(results,
                    {{"tokens", tokens}, {"width", width}, {"depth", depth}, {"head", head}});
}

PlotSeries line_of(const WidthPlan& plan, const std::vector<ConfigNode>& results, index_t tokens,
                   index_t depth, index_t head, const std::string& key, const std::string& name) {
  PlotSeries out;
  out.name = name;
  for (const index_t width : plan.widths) {
    const Spread spread = spread_of(networks(results, tokens, width, depth, head), key);
    if (spread.count == 0) continue;
    out.x.push_back(static_cast<double>(width));
    out.y.push_back(spread.mean);
    out.low.push_back(spread.low);
    out.high.push_back(spread.high);
  }
  return out;
}

Plot width_plot(const WidthPlan& plan, const std::vector<ConfigNode>& results) {
  Plot out;
  out.title = "Loss of overfitting one picture over the width of the network";
  out.description =
      "One panel for each token dimension. Losses of plain networks fall along the bound of "
      "Theorem "
      "1 until the width reaches the token dimension; those with a wide head are low everywhere.";
  out.columns = static_cast<index_t>(plan.tokens.size());
  out.panel_width = 320;
  out.panel_height = 300;
  for (const index_t tokens : plan.tokens) {
    PlotPanel panel;
    panel.title = concat("tokens of ", tokens, " elements");
    panel.x.label = "width of the backbone";
    panel.x.scale = PlotScale::log;
    for (const index_t width : plan.widths)
      panel.x.ticks.emplace_back(static_cast<double>(width), std::to_string(width));
    panel.y.scale = PlotScale::log;
    if (tokens == plan.tokens.front()) panel.y.label = "loss";
    for (const index_t depth : plan.depths)
      panel.series.push_back(
          line_of(plan, results, tokens, depth, 0, "loss", concat("DiT, ", depth, " blocks")));
    panel.series.push_back(
        line_of(plan, results, tokens, plan.depths[0], plan.head, "loss",
                concat("DiT^DH, ", plan.depths[0], " blocks and a head of width ", plan.head)));
    PlotSeries bound = line_of(plan, results, tokens, plan.depths[0], 0, "bound", "Theorem 1");
    bound.mark = PlotMark::line;
    bound.dashed = true;
    bound.low.clear();
    bound.high.clear();
    panel.series.push_back(std::move(bound));
    out.panels.push_back(std::move(panel));
  }
  return out;
}

std::vector<std::vector<std::string>> width_table(const WidthPlan& plan,
                                                  const std::vector<ConfigNode>& results) {
  std::vector<std::vector<std::string>> out;
  for (const index_t tokens : plan.tokens) {
    const auto add = [&](const std::string& name, index_t depth, index_t head, const char* key) {
      std::vector<std::string> row{std::to_string(tokens), name};
      for (const index_t width : plan.widths) {
        Spread spread = spread_of(networks(results, tokens, width, depth, head), key);
        if (std::string(key) == "bound") spread.count = std::min<index_t>(spread.count, 1);
        row.push_back(with_spread(spread));
      }
      out.push_back(std::move(row));
    };
    for (const index_t depth : plan.depths)
      add(concat("DiT, ", depth, " blocks"), depth, 0, "loss");
    add(concat("DiT^DH, head ", plan.head), plan.depths[0], plan.head, "loss");
    add("Theorem 1", plan.depths[0], 0, "bound");
  }
  return out;
}

/// The largest and the smallest value of `of` over the results that `chosen` selects.
template <class Chosen, class Of>
Spread range_of(const std::vector<ConfigNode>& results, const Chosen& chosen, const Of& of) {
  std::vector<ConfigNode> values;
  for (const ConfigNode& result : results)
    if (chosen(result)) values.push_back(ConfigNode::map({{"value", of(result)}}));
  return spread_of(values, "value");
}

std::string conclusion_of(const WidthPlan& plan, const std::vector<ConfigNode>& results) {
  const auto number = [](const char* key) {
    return [key](const ConfigNode& result) { return result.get<double>(key); };
  };
  const auto narrow = [](const ConfigNode& r) {
    return r.get<index_t>("head") == 0 && r.get<index_t>("width") < r.get<index_t>("tokens");
  };
  const Spread excess = range_of(results, narrow, [](const ConfigNode& r) {
    return r.get<double>("loss") / r.get<double>("bound");
  });
  const Spread wide = range_of(
      results, [&](const ConfigNode& r) { return r.get<index_t>("head") == 0 && !narrow(r); },
      number("loss"));
  const Spread low = range_of(results, narrow, number("loss"));
  const Spread head = range_of(
      results, [](const ConfigNode& r) { return r.get<index_t>("head") > 0; }, number("loss"));
  // Twice the depth: the ratio of the losses of otherwise equal networks.
  const Spread depth = range_of(
      results,
      [&](const ConfigNode& r) {
        return narrow(r) && r.get<index_t>("depth") == plan.depths.back();
      },
      [&](const ConfigNode& r) {
        const auto shallow = results_at(results, {{"tokens", r.at("tokens")},
                                                  {"width", r.at("width")},
                                                  {"depth", plan.depths.front()},
                                                  {"head", index_t{0}},
                                                  {"seed", r.at("seed")}});
        return r.get<double>("loss") / shallow.at(0).get<double>("loss");
      });
  std::string out = "Networks that are narrower than a token end at a loss of " +
                    three_digits(low.low) + " to " + three_digits(low.high) + ", which is " +
                    three_digits(excess.low) + " to " + three_digits(excess.high) +
                    " times the bound of Theorem 1" +
                    (excess.low < 0.98 ? " (below it, which contradicts the theorem)" : "") +
                    ". With " + std::to_string(plan.depths.back()) + " blocks instead of " +
                    std::to_string(plan.depths.front()) + " the loss is " +
                    three_digits(depth.low) + " to " + three_digits(depth.high) +
                    " times as large: depth " + (depth.low > 0.9 ? "does not help" : "helps here") +
                    ". Networks at least as wide as a token end at " + three_digits(wide.low) +
                    " to " + three_digits(wide.high) + ".";
  if (head.count > 0)
    out += " The same narrow backbones with a wide head end at " + three_digits(head.low) + " to " +
           three_digits(head.high) + ": the head " +
           (head.high < low.low ? "rescues all of them." : "does not rescue all of them.");
  return out;
}

}  // namespace

Finding width_finding(const WidthPlan& plan, const std::vector<ConfigNode>& results) {
  Finding out;
  out.title = "Width: a DiT must be as wide as a token";
  out.claim =
      "The paper (section 4, Table 3, Figure 3): a DiT that is narrower than the token dimension "
      "cannot even overfit a single picture, and more depth does not help. Its losses for tokens "
      "of "
      "768 elements are 0.52 at width 384, 0.024 at width 768 and 0.0013 at width 1024. Theorem 1 "
      "bounds the loss of a network of width d from below by the sum of the n - d smallest "
      "eigenvalues of the covariance of noise - latents. A wide, shallow head (section 5) provides "
      "the width.";
  out.measured = concat(
      "Measured here: the loss per element after ", plan.steps, " steps of ", plan.batch,
      " noises on one picture of 16 tokens, whose latents are those of a frozen random ViT; the "
      "mean of ",
      plan.seeds, " seeds and their standard deviation (each seed has another picture).");
  out.header = {"token", "network"};
  for (const index_t width : plan.widths) out.header.push_back(concat("width ", width));
  out.rows = width_table(plan, results);
  out.conclusion = conclusion_of(plan, results);
  out.plot = width_plot(plan, results);
  return out;
}

}  // namespace rae::experiments
