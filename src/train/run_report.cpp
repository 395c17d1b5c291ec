#include "rae/train/run_report.hpp"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>

#include "io/base64.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "train/report_charts.hpp"
#include "train/report_page.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostReports = 2000;  // of a stage, in the page
constexpr std::size_t kMostPictures = 12;   // of a kind, in the page
constexpr index_t kWidestPicture = 1200;    // pixels

/// JSON that can stand in a script element: "<" cannot end it.
std::string json_in_html(const ConfigNode& node) {
  std::string out;
  for (const char c : node.to_json()) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

/// At most `most` elements at equal distances, the last one included.
template <class T>
std::vector<T> thinned(const std::vector<T>& all, std::size_t most) {
  if (all.size() <= most) return all;
  std::vector<T> out;
  for (std::size_t i = 1; i <= most; ++i) out.push_back(all[i * all.size() / most - 1]);
  return out;
}

/// The number in the name of a picture, "step-0000120.png"; -1 for other names.
index_t step_of(const std::string& name) {
  constexpr std::string_view kBegin = "step-", kEnd = ".png";
  if (name.size() <= kBegin.size() + kEnd.size() || name.size() > 30 ||
      name.rfind(kBegin, 0) != 0 || name.substr(name.size() - kEnd.size()) != kEnd)
    return -1;
  index_t step = 0;
  for (const char c : name.substr(
           kBegin.size(), std::min<std::size_t>(18, name.size() - kBegin.size() - kEnd.size()))) {
    if (c < '0' || c > '9') return -1;
    step = step * 10 + (c - '0');
  }
  return step;
}

/// A picture as the page shows it: step, size, the names of its rows, and the file.
ConfigNode picture(index_t step, const std::string& path) {
  Image image = Image::open(path);
  ConfigNode out;
  out.set("step", step);
  out.set("width", image.width());
  out.set("height", image.height());
  const std::map<std::string, std::string> text = read_png_text(path);
  if (const auto rows = text.find("rows"); rows != text.end()) {
    std::vector<ConfigNode> names;
    std::string_view rest = rows->second;
    while (true) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      names.emplace_back(rest.substr(0, end));
      if (end == rest.size()) break;
      rest.remove_prefix(end + 1);
    }
    out.set("rows", ConfigNode::list(std::move(names)));
  }
  std::vector<std::byte> bytes;
  if (image.width() > kWidestPicture) {
    const index_t height = std::max<index_t>(1, image.height() * kWidestPicture / image.width());
    bytes = image.resized(kWidestPicture, height).encode_png();
  } else {
    bytes = read_file(path);
  }
  out.set("image", "data:image/png;base64," + detail::base64(bytes));
  return out;
}

ConfigNode pictures(const fs::path& folder) {
  std::map<index_t, std::string> by_step;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (const index_t step = step_of(entry.path().filename().string()); step >= 0)
      by_step[step] = entry.path().string();
  std::vector<ConfigNode> out;
  for (const auto& [step, path] :
       thinned(std::vector<std::pair<index_t, std::string>>(by_step.begin(), by_step.end()),
               kMostPictures))
    out.push_back(picture(step, path));
  return ConfigNode::list(std::move(out));
}

std::string now_in_words() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}

std::string csv_field(const ConfigNode& value) {
  if (!value.is_string()) return value.to_json();
  std::string out = "\"";
  for (const char c : value.as_string()) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::vector<ConfigNode> read_training_log(const std::string& path) {
  std::error_code none;
  if (!fs::exists(path, none)) return {};
  const std::vector<std::byte> bytes = read_file(path);
  std::string_view rest = as_text(bytes);
  std::map<index_t, ConfigNode> by_step;
  double earlier_runs = 0, this_run = 0;
  for (std::size_t number = 1;; ++number) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    const ConfigNode line = ConfigNode::parse_json(rest.substr(0, end), concat(path, ":", number));
    rest.remove_prefix(end + 1);
    const ConfigNode* step = line.find("step");
    if (step == nullptr) continue;
    ConfigNode& report = by_step[step->as<index_t>()];
    for (const auto& [name, value] : line.members()) report.set(name, value);
    if (const ConfigNode* seconds = line.find("seconds")) {
      if (seconds->as_number() < this_run) earlier_runs += this_run;
      this_run = seconds->as_number();
      report.set("seconds", earlier_runs + this_run);
    }
  }
  std::vector<ConfigNode> out;
  for (auto& [step, report] : by_step) out.push_back(std::move(report));
  return out;
}

std::string training_log_csv(
    const std::vector<std::pair<std::string, std::vector<ConfigNode>>>& stages) {
  std::vector<std::string> columns{"stage", "step"};
  for (const auto& [stage, reports] : stages)
    for (const ConfigNode& report : reports)
      for (const auto& [name, value] : report.members())
        if (std::find(columns.begin(), columns.end(), name) == columns.end())
          columns.push_back(name);
  std::string out;
  for (const std::string& column : columns) out += (out.empty() ? "" : ",") + column;
  out += "\n";
  for (const auto& [stage, reports] : stages)
    for (const ConfigNode& report : reports) {
      out += stage;
      for (std::size_t i = 1; i < columns.size(); ++i) {
        out += ',';
        if (const ConfigNode* value = report.find(columns[i])) out += csv_field(*value);
      }
      out += "\n";
    }
  return out;
}

void write_run_report(const std::string& folder, const RunFacts& facts) {
  std::vector<std::pair<std::string, std::vector<ConfigNode>>> logs;
  std::vector<ConfigNode> stages;
  for (const ReportedStage& stage : facts.stages) {
    const fs::path log = fs::path(folder) / stage.name / "log.jsonl";
    logs.emplace_back(stage.name, read_training_log(log.string()));
    ConfigNode shown;
    shown.set("name", stage.name);
    shown.set("steps", stage.steps);
    shown.set("batch_size", stage.batch_size);
    std::vector<ConfigNode> reports = thinned(logs.back().second, kMostReports);
    shown.set("charts", detail::report_charts(reports));
    shown.set("reports", ConfigNode::list(std::move(reports)));
    stages.push_back(std::move(shown));
  }
  std::vector<ConfigNode> details;
  for (const auto& [name, value] : facts.details)
    details.push_back(ConfigNode::list({name, value}));
  ConfigNode data;
  data.set("title", facts.title);
  data.set("written", now_in_words());
  data.set("details", ConfigNode::list(std::move(details)));
  data.set("settings", facts.settings.to_json(2));
  data.set("stages", ConfigNode::list(std::move(stages)));
  data.set("samples", pictures(fs::path(folder) / "samples"));
  data.set("reconstructions", pictures(fs::path(folder) / "reconstructions"));

  AtomicFile page((fs::path(folder) / "report.html").string());
  page.write(detail::kReportPageHead);
  page.write(json_in_html(data));
  page.write(detail::kReportPageTail);
  page.commit();
  write_file_atomically((fs::path(folder) / "log.csv").string(), training_log_csv(logs));
}

}  // namespace rae
