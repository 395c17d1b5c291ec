// The plot of the performance page: the fraction of the machine's peak that each network reaches,
// beside that of its peers, from the measurements of tests/bench/peers/compare.py.
//   bench_models_plot MODELS.json OUT.svg
#include <cstdio>
#include <exception>
#include <map>

#include "rae/io/config.hpp"
#include "rae/io/file.hpp"
#include "rae/io/svg_plot.hpp"

namespace {

/// A plot with one row for each network and type, the first at the top.
rae::Plot plot_of(const rae::ConfigNode& models) {
  std::vector<rae::PlotSeries> series(1);
  series[0].name = "rae";
  std::map<std::string, std::size_t> numbers;
  for (const auto& [program, version] : models.at("programs").members()) {
    numbers[program] = series.size();
    series.emplace_back().name = program == "torch" ? "PyTorch" : program;
  }
  rae::Plot out;
  out.title = "Fraction of the measured peak, one picture";
  out.description = "A row for each network and type of its weights, a point for each program.";
  rae::PlotPanel panel;
  double row = 0;
  for (const rae::ConfigNode& network : models.at("networks").elements()) {
    const auto type = network.get<std::string>("dtype");
    const double work = 2 * network.get<double>("products_per_picture") *
                        models.get<double>("batch") /
                        models.at("peak_per_second").get<double>(type);
    panel.y.ticks.emplace_back(row, network.get<std::string>("name") + " " + type);
    const auto add = [&](rae::PlotSeries& to, double fraction) {
      to.x.push_back(fraction);
      to.y.push_back(row);
    };
    add(series[0], network.get<double>("fraction_of_peak"));
    if (const rae::ConfigNode* peers = network.find("peers"))
      for (const rae::ConfigNode& peer : peers->elements())
        if (const auto found = numbers.find(peer.get<std::string>("program"));
            found != numbers.end() && peer.get<std::string>("dtype") == type)
          add(series[found->second], work / peer.get<double>("seconds"));
    row -= 1;
  }
  for (rae::PlotSeries& each : series) each.mark = rae::PlotMark::points;
  panel.series = std::move(series);
  panel.x.low = 0;
  panel.x.high = 1;
  panel.y.low = row + 0.5;
  panel.y.high = 0.5;
  out.panel_width = 616;
  out.panel_height = static_cast<rae::index_t>(60 - 24 * row);
  out.panels.push_back(std::move(panel));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODELS.json OUT.svg\n", argv[0]), 2;
  try {
    rae::write_file_atomically(argv[2], rae::svg_plot(plot_of(rae::ConfigNode::load(argv[1]))));
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
