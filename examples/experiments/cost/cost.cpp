// The cost of decoding: ViT decoders B, L and XL against the convolutional decoder of SD-VAE, at
// 256 x 256 pixels, with random weights. Table 1 of the paper.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "frame/finding.hpp"
#include "frame/options.hpp"
#include "frame/points.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/workspace.hpp"
#include "rae/models/initialize.hpp"
#include "rae/spec/forward_cost.hpp"

namespace rae::experiments {
namespace {

/// Median of the seconds of a call, after one that is not measured.
template <class F>
double seconds_of(int rounds, F&& run) {
  using Clock = std::chrono::steady_clock;
  run();
  std::vector<double> all;
  for (int i = 0; i < rounds; ++i) {
    const Clock::time_point begin = Clock::now();
    run();
    all.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::nth_element(all.begin(), all.begin() + rounds / 2, all.end());
  return all[static_cast<std::size_t>(rounds / 2)];
}

/// The numbers of one decoder for one picture.
template <class Model>
ConfigNode measure(Model& model, const Shape& input, const ForwardCost& cost, DType dtype,
                   int rounds) {
  initialize(model, 1);
  const index_t parameters = count_parameters(model);
  pack_parameters(model, dtype);
  Tensor<float> x(input);  // tokens (1, N, C) or latents (1, C, h, w)
  Philox(2).fill_normal(x.span());
  Workspace workspace;
  const double seconds = seconds_of(rounds, [&] {
    const WorkspaceScope scope(workspace);
    (void)model(x);
  });
  const double giga = static_cast<double>(cost.total()) * 1e-9;
  return ConfigNode::map({{"gmac", giga},
                          {"million_parameters", static_cast<double>(parameters) * 1e-6},
                          {"milliseconds", 1e3 * seconds},
                          {"gflops_per_second", 2 * giga / seconds}});
}

struct Row {
  std::string name, title;
  double paper;  // GMAC of linear layers and convolutions in Table 1
  DecoderConfig vit;
};

std::vector<Row> rows_of(bool quick) {
  if (quick)
    return {{"vit-b",
             "ViT-B",
             22.2,
             {.grid_h = 2,
              .grid_w = 2,
              .in_dim = 8,
              .hidden_size = 16,
              .num_layers = 1,
              .num_heads = 2,
              .intermediate_size = 32}}};
  return {{"vit-b",
           "ViT-B",
           22.2,
           {.hidden_size = 768, .num_layers = 12, .num_heads = 12, .intermediate_size = 3072}},
          {"vit-l", "ViT-L", 78.1, {.hidden_size = 1024, .num_layers = 24}},
          {"vit-xl", "ViT-XL", 106.7, {}}};
}

void run(const Options& options) {
  const int rounds = options.quick ? 1 : 5;
  const std::vector<Row> rows = rows_of(options.quick);
  ConvDecoderConfig conv;
  if (options.quick) conv = {.block_channels = {4, 8}, .layers_per_block = 1, .groups = 2};
  const index_t side = (options.quick ? 16 : 256) / conv.scale();

  std::vector<Point> points;
  for (const Row& row : rows)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      Point point;
      point.at = ConfigNode::map({{"decoder", row.name}, {"type", std::string(name_of(dtype))}});
      point.cost = row.paper;
      point.measure = [=] {
        Decoder<Tensor<float>> model(row.vit);
        return measure(model, {1, row.vit.grid_h * row.vit.grid_w, row.vit.in_dim},
                       forward_cost(row.vit), dtype, rounds);
      };
      points.push_back(std::move(point));
    }
  Point convolutional;
  convolutional.at = ConfigNode::map({{"decoder", "sd-vae"}, {"type", "f32"}});
  convolutional.cost = 310;
  convolutional.measure = [=] {
    ConvDecoder<Tensor<float>> model(conv);
    return measure(model, {1, conv.latent_channels, side, side}, forward_cost(conv, side, side),
                   DType::f32, rounds);
  };
  points.push_back(std::move(convolutional));
  const std::vector<ConfigNode> results = measure_points(
      options, ConfigNode::map({{"rounds", rounds}, {"threads", num_threads()}}), points);

  const ConfigNode& sd_vae = results.back();
  const auto number = [](const char* format, double value) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return std::string(text);
  };
  Finding finding;
  finding.title = "The ViT decoder is many times cheaper than SD-VAE's";
  finding.claim =
      "Table 1 of the paper: decoders ViT-B, L and XL take 22.2, 78.1 and 106.7 GFLOPs (as "
      "multiply-adds of linear layers and convolutions), that of SD-VAE 310.4: 14 times as many as "
      "ViT-B's.";
  finding.measured = concat("One picture of 256 x 256 pixels, random weights, ", num_threads(),
                            " threads; medians of ", rounds,
                            " rounds. Multiply-adds are counted exactly, with those of attention.");
  finding.header = {
      "decoder", "type", "parameters", "GMAC", "ms", "GFLOP/s", "cheaper than SD-VAE's", "faster"};
  PlotSeries f32{.name = "f32", .mark = PlotMark::points},
      bf16{.name = "bf16", .mark = PlotMark::points};
  for (const ConfigNode& result : results) {
    const double giga = result.get<double>("gmac"), ms = result.get<double>("milliseconds");
    const std::string type = result.get<std::string>("type"),
                      decoder = result.get<std::string>("decoder");
    finding.rows.push_back({decoder, type,
                            number("%.1f M", result.get<double>("million_parameters")),
                            number("%.1f", giga), number("%.0f", ms),
                            number("%.0f", result.get<double>("gflops_per_second")),
                            number("%.1fx", sd_vae.get<double>("gmac") / giga),
                            number("%.1fx", sd_vae.get<double>("milliseconds") / ms)});
    PlotSeries& series = type == "f32" ? f32 : bf16;
    series.x.push_back(giga);
    series.y.push_back(ms);
    series.labels.push_back(decoder);
  }
  const auto ratio = [&](const ConfigNode& result, const char* key) {
    return number("%.1f", sd_vae.get<double>(key) / result.get<double>(key));
  };
  finding.conclusion =
      concat("Counted, SD-VAE's decoder takes ", ratio(results.front(), "gmac"),
             " times the multiply-adds of ViT-B's; measured on the kernels of this library, ",
             ratio(results.front(), "milliseconds"), " times the time in f32.");
  finding.plot = {.title = "Cost of decoding one picture of 256 x 256 pixels",
                  .description = "Milliseconds over multiply-adds of the decoders.",
                  .panels = {{.x = {.label = "GMAC", .scale = PlotScale::log},
                              .y = {.label = "milliseconds", .scale = PlotScale::log},
                              .series = {f32, bf16}}}};
  write_finding(options, finding);
}

}  // namespace
}  // namespace rae::experiments

int main(int argc, char** argv) {
  return rae::experiments::run_experiment(argc, argv, "cost", rae::experiments::run);
}
