#include "rae/train/evaluation_history.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"
#include "rae/spec/weight_types.hpp"
#include "train/shared_work.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHistoryFormat = "rae history 1";

/// The number in "step-0001000.safetensors"; -1 for another name.
index_t step_of(const fs::path& path) {
  const std::string name = path.stem().string(), prefix = "step-";
  index_t step = -1;
  if (path.extension() != ".safetensors" || !name.starts_with(prefix)) return -1;
  const char* end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + prefix.size(), end, step);
  return read.ec == std::errc() && read.ptr == end ? step : -1;
}

/// Everything but the bundle on which a point depends.
ConfigNode settings_of(const ImageDataset& train, const ImageDataset& test,
                       const EvaluationOptions& o) {
  ConfigNode out = ConfigNode::map(
      {{"samples", o.samples},
       {"guided_samples", o.guided_samples},
       {"steps", o.steps},
       {"seed", std::to_string(o.seed)},
       {"dtype", std::string(name_of(o.dtype))},
       {"reuse_error", o.reuse_error},
       {"inception", o.inception.has_value()},
       {"classifier", ConfigNode::map({{"first_channels", o.classifier.first_channels},
                                       {"features", o.classifier.features},
                                       {"label_smoothing", o.classifier.label_smoothing},
                                       {"training", training_settings(o.classifier.training)}})},
       {"data", ConfigNode::list({static_cast<index_t>(train.manifest().checksum()),
                                  static_cast<index_t>(test.manifest().checksum())})}});
  if (o.guidance)
    out.set("guidance", ConfigNode::list({static_cast<double>(o.guidance->scale),
                                          static_cast<double>(o.guidance->t_min),
                                          static_cast<double>(o.guidance->t_max)}));
  return out;
}

/// A number of a report, NaN if it is not there.
double value_at(const ConfigNode& report, const char* section, const char* name) {
  const ConfigNode* part = report.find(section);
  const ConfigNode* value = part == nullptr ? nullptr : part->find(name);
  return value == nullptr || value->is_null() ? std::numeric_limits<double>::quiet_NaN()
                                              : value->as_number();
}

/// The distance of real training pictures, which both kinds of samples have.
double real_distance(const ConfigNode& report) {
  const double of_unguided = value_at(report, "unguided", "training_frechet_distance");
  return std::isnan(of_unguided) ? value_at(report, "guided", "training_frechet_distance")
                                 : of_unguided;
}

/// The points of history.json and their files.
class HistoryFile {
 public:
  /// Reads the points of these settings; those of others are left out.
  HistoryFile(std::string folder, ConfigNode settings)
      : folder_(std::move(folder)), settings_(std::move(settings)) {
    std::error_code none;
    if (folder_.empty() || !fs::exists(in("history.json"), none)) return;
    const ConfigNode all = ConfigNode::load(in("history.json"));
    if (all.get_or("format", "") != kHistoryFormat || !(all.at("settings") == settings_)) return;
    for (const ConfigNode& point : all.at("points").elements()) old_.push_back(point);
  }

  /// Takes the point of a bundle from the file. Returns false when it is not there.
  bool take(const KeptBundle& bundle, std::uint32_t checksum) {
    const auto same = [&](const ConfigNode& point) {
      return point.at("step").as_integer() == bundle.step &&
             point.at("checksum").as_integer() == static_cast<index_t>(checksum);
    };
    const auto found = std::find_if(old_.begin(), old_.end(), same);
    if (found == old_.end()) return false;
    add(bundle, checksum, found->at("report"));
    return true;
  }

  /// Adds a point.
  void add(const KeptBundle& bundle, std::uint32_t checksum, const ConfigNode& report) {
    points_.push_back({bundle.step, report});
    nodes_.push_back(ConfigNode::map(
        {{"step", bundle.step}, {"checksum", static_cast<index_t>(checksum)}, {"report", report}}));
  }

  /// Writes all points so far. Throws FileError.
  void write() const {
    if (folder_.empty()) return;
    const ConfigNode all = ConfigNode::map({{"format", kHistoryFormat},
                                            {"settings", settings_},
                                            {"points", ConfigNode::list(nodes_)}});
    write_file_atomically(in("history.csv"), history_csv(points_));
    write_file_atomically(in("history.svg"), svg_plot(history_plot(points_)));
    write_file_atomically(in("history.json"), all.to_json(2) + "\n");
  }

  [[nodiscard]] std::vector<HistoryPoint> take_points() { return std::move(points_); }

 private:
  [[nodiscard]] std::string in(const char* name) const {
    return (fs::path(folder_) / name).string();
  }

  std::string folder_;
  ConfigNode settings_;
  std::vector<ConfigNode> old_;
  ConfigNode::List nodes_;
  std::vector<HistoryPoint> points_;
};

}  // namespace

std::vector<KeptBundle> kept_bundles(const std::string& run) {
  const fs::path folder = fs::path(run) / "history";
  std::vector<KeptBundle> out;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (const index_t step = step_of(at->path()); step >= 0)
      out.push_back({step, at->path().string()});
  if (out.empty())
    raise<FileError>("'", folder.string(),
                     "' has no bundles; a training keeps them with the member dit.keep_every of "
                     "its recipe");
  std::sort(out.begin(), out.end(),
            [](const KeptBundle& a, const KeptBundle& b) { return a.step < b.step; });
  return out;
}

std::vector<HistoryPoint> evaluate_history(std::span<const KeptBundle> bundles,
                                           OwnedPointer<const ImageDataset> train,
                                           OwnedPointer<const ImageDataset> test,
                                           const EvaluationOptions& options) {
  if (bundles.empty()) raise<ArgumentError>("evaluate_history: expected bundles");
  if (options.samples <= 0 && options.guided_samples <= 0)
    raise<ArgumentError>("evaluate_history: expected samples, guided samples or both");
  if (!options.layer_types.empty())
    raise<ArgumentError>("evaluate_history: layer_types are those of one bundle");
  SerialCommunicator alone;
  Communicator& ranks = options.ranks != nullptr ? *options.ranks : alone;
  EvaluationOptions own = options;
  own.folder.clear();
  own.reconstruction = false;
  own.probes = false;
  own.neighbour_queries = 0;
  std::optional<HistoryFile> file;  // on rank 0
  ranks.on_root([&] {
    if (!options.folder.empty()) {
      if (!fs::is_directory(options.folder)) raise<FileError>(options.folder, ": is not a folder");
      own.classifier_file = (fs::path(options.folder) / "classifier.safetensors").string();
    }
    file.emplace(options.folder, settings_of(*train, *test, options));
  });
  for (const KeptBundle& bundle : bundles) {
    std::uint32_t checksum = 0;
    std::uint8_t known = 0;
    ranks.on_root([&] {
      checksum = detail::crc32_of(MappedFile(bundle.path).bytes());
      known = file->take(bundle, checksum) ? 1 : 0;
    });
    if (ranks.size() > 1) ranks.broadcast(std::as_writable_bytes(std::span(&known, 1)));
    if (known == 0) {
      std::optional<Bundle> model;
      ranks.agree([&] { model.emplace(Bundle::load(bundle.path)); });
      own.on_progress = [&](const EvaluationProgress& p) {
        return !options.on_progress ||
               options.on_progress(
                   {p.part == "classifier" ? p.part : concat("step ", bundle.step, ": ", p.part),
                    p.done, p.total});
      };
      const EvaluationReport report = evaluate(*model, train, test, own);
      ranks.on_root([&] { file->add(bundle, checksum, to_config(report)); });
    }
    ranks.on_root([&] { file->write(); });
  }
  return file ? file->take_points() : std::vector<HistoryPoint>();
}

std::string history_csv(std::span<const HistoryPoint> points) {
  std::string out =
      "step,class_consistency,frechet_distance,guided_class_consistency,guided_frechet_distance,"
      "training_frechet_distance,real_class_consistency\n";
  for (const HistoryPoint& point : points) {
    out += std::to_string(point.step);
    const ConfigNode& r = point.report;
    for (const double value :
         {value_at(r, "unguided", "class_consistency"), value_at(r, "unguided", "frechet_distance"),
          value_at(r, "guided", "class_consistency"), value_at(r, "guided", "frechet_distance"),
          real_distance(r), value_at(r, "classifier", "accuracy")}) {
      char text[32] = "";
      if (std::isfinite(value)) std::snprintf(text, sizeof text, "%.6g", value);
      out += concat(",", text);
    }
    out += "\n";
  }
  return out;
}

Plot history_plot(std::span<const HistoryPoint> points) {
  const auto series = [&](const char* name, const auto& value_of, bool dashed = false) {
    PlotSeries out{.name = name, .dashed = dashed};
    if (dashed) out.mark = PlotMark::line;
    for (const HistoryPoint& point : points) {
      out.x.push_back(static_cast<double>(point.step));
      out.y.push_back(value_of(point.report));
    }
    return out;
  };
  const auto all_of = [&](const char* name, double factor, const auto& of_real) {
    const auto at = [&](const char* section) {
      return [=](const ConfigNode& r) { return factor * value_at(r, section, name); };
    };
    std::vector<PlotSeries> out;
    for (PlotSeries& each :
         std::vector{series("without guidance", at("unguided")),
                     series("with guidance", at("guided")), series("real pictures", of_real, true)})
      if (std::any_of(each.y.begin(), each.y.end(), [](double y) { return std::isfinite(y); }))
        out.push_back(std::move(each));
    return out;
  };
  constexpr double kPercent = 100;
  const std::string model =
      points.empty() ? std::string() : points.front().report.get_or("model", "");
  Plot out;
  out.title = model.empty() ? "Quality over the training" : concat(model, " over its training");
  out.description =
      "Frechet distance to the real test pictures in a classifier's features, and the share of "
      "samples that show the requested class, over the steps of stage 2";
  out.columns = 2;
  out.panels = {{.title = "Frechet distance to the test pictures",
                 .x = {.label = "steps of stage 2"},
                 .y = {.label = "distance", .scale = PlotScale::log},
                 .series = all_of("frechet_distance", 1, real_distance)},
                {.title = "Samples of the requested class",
                 .x = {.label = "steps of stage 2"},
                 .y = {.label = "per cent"},
                 .series = all_of("class_consistency", kPercent, [](const ConfigNode& r) {
                   return kPercent * value_at(r, "classifier", "accuracy");
                 })}};
  return out;
}

}  // namespace rae
