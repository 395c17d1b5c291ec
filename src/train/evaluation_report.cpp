#include <cmath>
#include <cstdio>

#include "rae/spec/weight_types.hpp"
#include "rae/train/evaluation.hpp"
#include "train/shown_classes.hpp"

namespace rae {

namespace {

ConfigNode number(double value) { return std::isfinite(value) ? ConfigNode(value) : ConfigNode(); }

ConfigNode numbers(const std::vector<double>& values) {
  ConfigNode::List out;
  for (const double value : values) out.push_back(number(value));
  return ConfigNode::list(std::move(out));
}

ConfigNode to_config(const SampleQuality& q) {
  ConfigNode out = ConfigNode::map(
      {{"count", q.count},
       {"steps", q.steps},
       {"cfg", static_cast<double>(q.guidance.scale)},
       {"cfg_interval",
        numbers({static_cast<double>(q.guidance.t_min), static_cast<double>(q.guidance.t_max)})},
       {"class_consistency", number(q.class_consistency)},
       {"by_class", numbers(q.by_class)},
       {"frechet_distance", number(q.frechet_distance)},
       {"training_frechet_distance", number(q.training_frechet_distance)}});
  if (q.inception)
    out.set("inception",
            ConfigNode::map({{"to_test", number(q.inception->to_test)},
                             {"to_training", number(q.inception->to_training)},
                             {"training_to_test", number(q.inception->training_to_test)}}));
  return out;
}

ConfigNode to_config(const ReconstructionQuality& q) {
  ConfigNode out = ConfigNode::map({{"psnr", number(q.psnr)}, {"ssim", number(q.ssim)}});
  const auto set = [&](const char* name, const std::optional<double>& value) {
    if (value) out.set(name, number(*value));
  };
  set("class_consistency", q.class_consistency);
  set("frechet_distance", q.frechet_distance);
  set("inception_distance", q.inception_distance);
  return out;
}

/// printf into a string; every line of the table is short.
template <class... Values>
std::string print(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string percent(double share) {
  return std::isfinite(share) ? print("%.1f %%", 100 * share) : "-";
}

std::string row(const std::string& name, const std::string& value, const std::string& beside = "") {
  return print("%-44s %12s", name.c_str(), value.c_str()) +
         (beside.empty() ? "" : "   (" + beside + ")") + "\n";
}

std::string to_text(const SampleQuality& q, const std::string& name, double real_accuracy) {
  const std::string what =
      print("%s (%lld, %lld steps, cfg %.3g)", name.c_str(), static_cast<long long>(q.count),
            static_cast<long long>(q.steps), static_cast<double>(q.guidance.scale));
  return what + "\n" +
         row("  class consistency", percent(q.class_consistency),
             "real test set: " + percent(real_accuracy)) +
         row("  Frechet distance to the test set", print("%.3f", q.frechet_distance),
             print("as many training pictures: %.3f", q.training_frechet_distance)) +
         (!q.inception
              ? std::string()
              : row("  FID (Inception) to the test set", print("%.2f", q.inception->to_test),
                    print("as many training pictures: %.2f", q.inception->training_to_test)) +
                    row("  FID to these training pictures",
                        print("%.2f", q.inception->to_training)));
}

}  // namespace

ConfigNode to_config(const EvaluationReport& r) {
  ConfigNode out;
  out.set("model", r.model);
  out.set("dtype", r.dtype);
  out.set("train_pictures", r.train_pictures);
  out.set("test_pictures", r.test_pictures);
  ConfigNode::List names;
  for (const std::string& name : r.class_names) names.emplace_back(name);
  out.set("class_names", ConfigNode::list(std::move(names)));
  if (!r.classifier_by_class.empty())
    out.set("classifier", ConfigNode::map({{"accuracy", number(r.classifier_accuracy)},
                                           {"by_class", numbers(r.classifier_by_class)}}));
  if (r.unguided) out.set("unguided", to_config(*r.unguided));
  if (r.guided) out.set("guided", to_config(*r.guided));
  if (r.neighbours) {
    const NeighbourQuality& n = *r.neighbours;
    out.set("neighbours", ConfigNode::map({{"queries", n.queries},
                                           {"samples_mean", number(n.samples_mean)},
                                           {"samples_least", number(n.samples_least)},
                                           {"test_mean", number(n.test_mean)},
                                           {"test_least", number(n.test_least)},
                                           {"rows", numbers(n.rows)}}));
  }
  if (r.reconstruction) out.set("reconstruction", to_config(*r.reconstruction));
  if (r.probes) {
    const ProbeQuality& p = *r.probes;
    out.set("probes", ConfigNode::map({{"pictures", p.pictures},
                                       {"knn_latents", number(p.knn_latents)},
                                       {"knn_pixels", number(p.knn_pixels)},
                                       {"linear_latents", number(p.linear_latents)},
                                       {"linear_pixels", number(p.linear_pixels)}}));
  }
  return out;
}

std::string to_text(const EvaluationReport& r) {
  std::string out =
      print("%s%s: %lld training and %lld test pictures, %zu classes\n",
            r.model.substr(0, 100).c_str(), r.dtype == "f32" ? "" : concat(" in ", r.dtype).c_str(),
            static_cast<long long>(r.train_pictures), static_cast<long long>(r.test_pictures),
            r.class_names.size());
  if (!r.classifier_by_class.empty())
    out += row("classifier on the real test set", percent(r.classifier_accuracy));
  if (r.unguided) out += to_text(*r.unguided, "samples", r.classifier_accuracy);
  if (r.guided) out += to_text(*r.guided, "guided samples", r.classifier_accuracy);
  if (r.unguided || r.guided) {
    out += print("  %-24s %10s %10s %10s\n", "class consistency of", "real", "unguided", "guided");
    const auto classes = static_cast<index_t>(r.class_names.size());
    const index_t rows = detail::shown_rows(classes);
    for (index_t i = 0; i < rows; ++i) {
      const auto c = static_cast<std::size_t>(detail::shown_class(i, rows, classes));
      out += print("  %-24.24s %10s %10s %10s\n", r.class_names[c].c_str(),
                   percent(r.classifier_by_class[c]).c_str(),
                   r.unguided ? percent(r.unguided->by_class[c]).c_str() : "-",
                   r.guided ? percent(r.guided->by_class[c]).c_str() : "-");
    }
    if (const std::string note = detail::shown_note(rows, classes); !note.empty())
      out += concat("  (", note, ", as in the pictures of samples; evaluation.json has all)\n");
  }
  if (r.neighbours) {
    const NeighbourQuality& n = *r.neighbours;
    out += row("nearest training picture of a sample, mean", print("%.2f", n.samples_mean),
               print("of a test picture: %.2f", n.test_mean));
    out += row("  least", print("%.2f", n.samples_least),
               print("of a test picture: %.2f", n.test_least));
  }
  if (r.reconstruction) {
    out += row("reconstruction PSNR", print("%.2f dB", r.reconstruction->psnr));
    out += row("reconstruction SSIM", print("%.4f", r.reconstruction->ssim));
    const ReconstructionQuality& q = *r.reconstruction;
    if (q.class_consistency)
      out += row("  class consistency", percent(*q.class_consistency),
                 "originals: " + percent(r.classifier_accuracy));
    if (q.frechet_distance)
      out += row("  Frechet distance to the originals", print("%.3f", *q.frechet_distance));
    if (q.inception_distance)
      out += row("  rFID (Inception)", print("%.2f", *q.inception_distance));
  }
  if (r.probes) {
    out += row("k-NN accuracy of the latents", percent(r.probes->knn_latents),
               "of raw pixels: " + percent(r.probes->knn_pixels));
    out += row("linear probe of the latents", percent(r.probes->linear_latents),
               "of raw pixels: " + percent(r.probes->linear_pixels));
  }
  return out;
}

}  // namespace rae
