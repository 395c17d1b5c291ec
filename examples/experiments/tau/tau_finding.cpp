#include <limits>

#include "tau/plan.hpp"

namespace rae::experiments {
namespace {

/// Results of a law at a strength; without noise there is no law.
std::vector<ConfigNode> at(const std::vector<ConfigNode>& results, const std::string& law,
                           double tau) {
  return results_at(results, {{"law", tau > 0 ? law : "none"}, {"tau", tau}});
}

PlotPanel panel_of(const TauPlan& plan, const std::vector<ConfigNode>& results, const char* key,
                   const char* title) {
  PlotPanel out{.title = title, .x = {.label = "tau"}, .y = {.label = "Frechet distance"}};
  for (const double tau : plan.taus) out.x.ticks.emplace_back(tau, concat(tau));
  for (const std::string& law : kTauLaws) {
    PlotSeries series{.name = law};
    for (const double tau : plan.taus) {
      const Spread spread = spread_of(at(results, law, tau), key);
      series.x.push_back(tau);
      series.y.push_back(spread.mean);
      series.low.push_back(spread.low);
      series.high.push_back(spread.high);
    }
    out.series.push_back(std::move(series));
  }
  return out;
}

std::string conclusion_of(const TauPlan& plan, const std::vector<ConfigNode>& results) {
  const auto clean = at(results, "", 0);
  const Spread drawn = spread_of(clean, "distance"), rec = spread_of(clean, "rec_distance");
  // The noise with the least distance of samples.
  double best = std::numeric_limits<double>::infinity();
  std::vector<ConfigNode> chosen;
  std::string name;
  for (const std::string& law : kTauLaws)
    for (const double tau : plan.taus)
      if (const auto own = at(results, law, tau);
          tau > 0 && spread_of(own, "distance").mean < best) {
        best = spread_of(own, "distance").mean;
        chosen = own;
        name = concat("tau = ", tau, " (", law, ")");
      }
  const Spread rec_best = spread_of(chosen, "rec_distance");
  const Compared samples = compare(spread_of(chosen, "distance"), drawn),
                 reconstructions = compare(rec_best, rec);
  const char* verdict =
      samples == Compared::neither ? "The seeds differ as much: noise does not change the samples."
      : samples == Compared::more  ? "The claim does not hold here: noise makes samples worse."
      : reconstructions == Compared::more
          ? "The trade holds here: worse reconstructions, better samples."
          : "Noise improves the samples here, and costs no reconstruction.";
  return concat("Of the decoders with noise, that with ", name,
                " has the least distance of samples: ", three_digits(best), " instead of ",
                three_digits(drawn.mean),
                " without noise, while the distance of reconstructions is ",
                three_digits(rec_best.mean), " instead of ", three_digits(rec.mean), ". ", verdict);
}

}  // namespace

Finding tau_finding(const TauPlan& plan, double floor, const std::vector<ConfigNode>& results) {
  Finding out;
  out.title = "Tau: decoders trained on noised latents";
  out.claim =
      "The paper (section 4): a decoder that is trained on latents with added noise tolerates the "
      "errors of the diffusion network. Reconstructions become slightly worse (rFID 0.49 to 0.57), "
      "samples better (gFID 4.81 to 4.28), for tau = 0.8.";
  out.measured = concat(
      "Measured here: the Frechet distance to the real test set, in the features of the classifier "
      "of `rae evaluate`, of reconstructed test pictures and of ",
      plan.samples,
      " samples without guidance, whose latents one DiT^DH has drawn for all decoders. The "
      "decoders "
      "differ in the noise of their training alone: sigma = tau U(0, 1), as in the official code, "
      "or "
      "sigma = |N(0, tau^2)|, as in the paper. As many real training pictures as samples have a "
      "distance of ",
      three_digits(floor), "; decoders: ", seeds_in_words(plan.seeds), ".");
  out.header = {"law",
                "tau",
                "distance of reconstructions",
                "PSNR in dB",
                "distance of samples",
                "class consistency"};
  const auto add_row = [&](const std::string& law, double tau) {
    const auto own = at(results, law, tau);
    out.rows.push_back(
        {tau > 0 ? law : "no noise", concat(tau), with_spread(spread_of(own, "rec_distance")),
         with_spread(spread_of(own, "psnr")), with_spread(spread_of(own, "distance")),
         with_spread(spread_of(own, "consistency"))});
  };
  add_row("", 0);
  for (const std::string& law : kTauLaws)
    for (const double tau : plan.taus)
      if (tau > 0) add_row(law, tau);
  out.conclusion = conclusion_of(plan, results);
  out.plot = {.title = "Frechet distance over the strength of the decoder's noise",
              .description = "Distances of reconstructions and of samples, for two laws of noise.",
              .panels = {panel_of(plan, results, "rec_distance", "reconstructions"),
                         panel_of(plan, results, "distance", "samples")},
              .columns = 2};
  return out;
}

}  // namespace rae::experiments
