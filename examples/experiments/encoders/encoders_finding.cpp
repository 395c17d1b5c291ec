#include <algorithm>

#include "encoders/plan.hpp"

namespace rae::experiments {
namespace {

/// The mean of a number over the seeds of each encoder.
std::vector<double> means_of(const std::vector<std::string>& names,
                             const std::vector<ConfigNode>& results, const char* key) {
  std::vector<double> out;
  for (const std::string& name : names)
    out.push_back(spread_of(results_at(results, {{"encoder", name}}), key).mean);
  return out;
}

PlotPanel panel_of(const std::vector<std::string>& names, const std::vector<ConfigNode>& results,
                   const char* key, const char* label) {
  PlotPanel out{.x = {.label = label}, .y = {.label = "Frechet distance", .scale = PlotScale::log}};
  PlotSeries series{.name = "encoders", .mark = PlotMark::points};
  series.x = means_of(names, results, key);
  for (const std::string& name : names) {
    const Spread spread = spread_of(results_at(results, {{"encoder", name}}), "distance");
    series.y.push_back(spread.mean);
    series.low.push_back(spread.low);
    series.high.push_back(spread.high);
    series.labels.push_back(name);
  }
  // Room for the names beside the points.
  const auto [low, high] = std::minmax_element(series.x.begin(), series.x.end());
  if (const double room = (*high - *low) / 4; room > 0) {
    out.x.low = *low - room;
    out.x.high = *high + room;
  }
  out.series.push_back(std::move(series));
  return out;
}

/// Pairs of encoders of which the one with the higher number has the smaller distance, of how many.
std::string pairs_in_words(const std::vector<double>& numbers,
                           const std::vector<double>& distances) {
  index_t agreed = 0, pairs = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      ++pairs;
      agreed += (numbers[i] > numbers[j]) == (distances[i] < distances[j]);
    }
  return concat(agreed, " of ", pairs);
}

std::string conclusion_of(const std::vector<std::string>& names,
                          const std::vector<ConfigNode>& results) {
  const auto mean = [&](const char* key) { return means_of(names, results, key); };
  const std::vector<double> distance = mean("distance"), knn = mean("knn");
  const auto best = [&](const std::vector<double>& values, bool largest) {
    const auto at = largest ? std::max_element(values.begin(), values.end())
                            : std::min_element(values.begin(), values.end());
    return names[static_cast<std::size_t>(at - values.begin())];
  };
  const std::string drawn = best(distance, false), known = best(knn, true),
                    seen = best(mean("rec_distance"), false);
  return concat("The ", drawn, " encoder has the least distance of samples, the ", known,
                " one the highest k-NN accuracy, the ", seen,
                " one the least distance of reconstructions. Of two encoders the one with the "
                "higher number has the smaller distance of samples in ",
                pairs_in_words(knn, distance), " pairs for the k-NN accuracy, in ",
                pairs_in_words(mean("linear"), distance), " for the linear probe, in ",
                pairs_in_words(mean("effective_rank"), distance), " for the effective rank and in ",
                pairs_in_words(mean("anisotropy"), distance), " for the anisotropy. ",
                drawn == known ? "Here semantic latents are the best to generate in."
                               : "The most semantic latents are not the best to generate in here.");
}

}  // namespace

Finding encoders_finding(const EncodersPlan& plan, const std::vector<std::string>& names,
                         const std::vector<ConfigNode>& results) {
  Finding out;
  out.title = "Encoders: quality of the representation and of the pictures";
  out.claim =
      "The paper (sections 3 and 4): frozen representations keep enough detail to decode (rFID "
      "0.49 "
      "with DINOv2-B, 0.53 with SigLIP2-B, 0.16 with MAE-B, 0.62 with SD-VAE), and semantic ones "
      "are better to generate in: gFID 2.16 on the latents of DINOv2-B, 11.70 on SD-VAE's.";
  out.measured = concat(
      "Measured here: encoders of the same sizes after ", plan.encoder_steps * plan.networks.batch,
      " pictures of pretraining by labels, by masked pictures or by self-distillation, and a "
      "random "
      "one. k-NN and linear probe see the mean token of a picture; effective rank and anisotropy "
      "are "
      "those of single tokens. Distances are Frechet distances to the real test set in the "
      "features "
      "of the classifier of `rae evaluate`: of reconstructions, and of ",
      plan.samples, " samples without guidance of a DiT^DH after ", plan.dit_steps * plan.dit_batch,
      " pictures; ", seeds_in_words(plan.seeds), ".");
  out.header = {"encoder",
                "k-NN",
                "linear probe",
                "effective rank",
                "anisotropy",
                "distance of reconstructions",
                "distance of samples",
                "class consistency"};
  for (const std::string& name : names) {
    const auto own = results_at(results, {{"encoder", name}});
    std::vector<std::string> row{name};
    for (const char* key : {"knn", "linear", "effective_rank", "anisotropy", "rec_distance",
                            "distance", "consistency"})
      row.push_back(with_spread(spread_of(own, key)));
    out.rows.push_back(std::move(row));
  }
  out.conclusion = conclusion_of(names, results);
  out.plot = {.title = "Frechet distance of samples over the quality of the representation",
              .description = "One point for each encoder, over k-NN accuracy and effective rank.",
              .panels = {panel_of(names, results, "knn", "k-NN accuracy"),
                         panel_of(names, results, "effective_rank", "effective rank of tokens")},
              .columns = 2};
  return out;
}

}  // namespace rae::experiments
