#include "train/report_charts.hpp"

#include <algorithm>
#include <string_view>

#include "io/plot_axis.hpp"
#include "rae/io/svg_plot.hpp"

namespace rae::detail {
namespace {

/// The title of the chart of a number in the log.
std::string chart_title(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kTitles[] = {
      {"lr", "Learning rate"},
      {"grad_norm", "Gradient norm, before clipping"},
      {"images_per_second", "Pictures per second"},
      {"knn_accuracy", "k-NN accuracy of the encoder's tokens"},
      {"psnr", "PSNR of reconstructed training pictures, dB"},
      {"held_out_psnr", "PSNR of reconstructed held-out pictures, dB"},
      {"lpips", "LPIPS"},
      {"l1", "L1 of pixels"}};
  for (const auto& [key, title] : kTitles)
    if (key == name) return std::string(title);
  return name;
}

PlotSeries curve(const std::vector<ConfigNode>& reports, const std::string& key,
                 const std::string& name) {
  PlotSeries out;
  out.name = name;
  for (const ConfigNode& report : reports) {
    const ConfigNode* value = report.find(key);
    if (value == nullptr ||
        (value->kind() != ConfigNode::Kind::number && value->kind() != ConfigNode::Kind::integer))
      continue;
    out.x.push_back(static_cast<double>(report.get<index_t>("step")));
    out.y.push_back(value->as_number());
  }
  return out;
}

/// Adds the chart of these curves unless all are empty.
void add_chart(const std::string& title, std::vector<PlotSeries> curves,
               std::vector<ConfigNode>& out) {
  curves.erase(std::remove_if(curves.begin(), curves.end(),
                              [](const PlotSeries& series) { return series.x.empty(); }),
               curves.end());
  if (curves.empty()) return;
  std::string last;
  for (const PlotSeries& series : curves)
    last += (last.empty() ? "" : ", ") + (curves.size() > 1 ? series.name + " " : "") +
            short_number(series.y.back());
  Plot plot;
  plot.title = title;
  plot.heading = false;
  plot.panel_height = 250;
  plot.panels.resize(1);
  plot.panels[0].x.label = "step";
  plot.panels[0].series = std::move(curves);
  out.push_back(ConfigNode::map({{"title", title}, {"last", last}, {"svg", svg_plot(plot)}}));
}

}  // namespace

ConfigNode report_charts(const std::vector<ConfigNode>& reports) {
  std::vector<ConfigNode> out;
  add_chart("Loss", {curve(reports, "loss", "train"), curve(reports, "held_out_loss", "held-out")},
            out);
  std::vector<std::string> names{"stage", "step", "loss", "held_out_loss", "seconds"};
  for (const ConfigNode& report : reports)
    for (const auto& [name, value] : report.members()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      names.push_back(name);
      add_chart(chart_title(name), {curve(reports, name, name)}, out);
    }
  return ConfigNode::list(std::move(out));
}

}  // namespace rae::detail
