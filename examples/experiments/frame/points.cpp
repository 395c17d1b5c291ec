#include "frame/points.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>

#include "rae/io/file.hpp"

namespace rae::experiments {
namespace {

namespace fs = std::filesystem;

/// The results by the JSON of the settings of their points.
using Stored = std::map<std::string, ConfigNode>;

Stored read_stored(const std::string& path, const ConfigNode& settings) {
  Stored out;
  if (!fs::exists(path)) return out;
  const ConfigNode all = ConfigNode::load(path);
  if (!(all.at("settings") == settings))
    raise<ConfigError>(path, ": these points were measured with other settings (",
                       all.at("settings").to_json(), ", now ", settings.to_json(),
                       "); delete the file, or choose another folder by --out");
  for (const ConfigNode& point : all.at("points").elements())
    out.emplace(point.at("at").to_json(), point.at("result"));
  return out;
}

void write_stored(const std::string& path, const ConfigNode& settings,
                  const std::vector<Point>& points, const Stored& stored) {
  ConfigNode::List list;
  for (const Point& point : points)
    if (const auto found = stored.find(point.at.to_json()); found != stored.end())
      list.push_back(ConfigNode::map({{"at", point.at}, {"result", found->second}}));
  ConfigNode all;
  all.set("settings", settings);
  all.set("points", ConfigNode::list(std::move(list)));
  write_file_atomically(path, all.to_json(1) + "\n");
}

/// "tokens 48, width 32".
std::string in_words(const ConfigNode& values) {
  std::string out;
  for (const auto& [key, value] : values.members()) {
    std::string shown = value.is_string() ? value.as_string() : value.to_json();
    if (value.kind() == ConfigNode::Kind::number) shown = concat(value.as_number());
    out += (out.empty() ? "" : ", ") + key + " " + shown;
  }
  return out;
}

std::string minutes(double seconds) {
  if (seconds < 120) return concat(std::ceil(seconds), " s");
  return concat(std::ceil(seconds / 60), " min");
}

void write_results_csv(const std::string& path, const std::vector<ConfigNode>& results) {
  std::vector<std::string> columns;
  for (const ConfigNode& result : results)
    for (const auto& [key, value] : result.members())
      if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
  std::string out;
  for (const std::string& column : columns) out += (out.empty() ? "" : ",") + column;
  out += "\n";
  for (const ConfigNode& result : results) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) out += ',';
      if (const ConfigNode* value = result.find(columns[i])) out += value->to_json();
    }
    out += "\n";
  }
  write_file_atomically(path, out);
}

}  // namespace

std::vector<ConfigNode> measure_points(const Options& options, const ConfigNode& settings,
                                       const std::vector<Point>& points) {
  using Clock = std::chrono::steady_clock;
  fs::create_directories(options.out);
  const std::string path = options.out + "/points.json";
  Stored stored = read_stored(path, settings);
  double cost_left = 0, cost_done = 0, seconds_done = 0;
  index_t number = 0, measured = 0;
  for (const Point& point : points)
    if (!stored.count(point.at.to_json())) cost_left += point.cost;
  for (const Point& point : points) {
    ++number;
    const std::string key = point.at.to_json();
    if (stored.count(key)) continue;
    if (measured == options.points)
      raise<Cancelled>(options.name, ": ", stored.size(), " of ", points.size(), " points are in ",
                       path, "; the same command measures the others");
    const Clock::time_point begin = Clock::now();
    const ConfigNode result = point.measure();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    stored.emplace(key, result);
    write_stored(path, settings, points, stored);
    ++measured;
    cost_done += point.cost;
    cost_left -= point.cost;
    seconds_done += seconds;
    std::printf("point %lld of %zu: %s: %s (%.1f s), %s left\n", static_cast<long long>(number),
                points.size(), in_words(point.at).c_str(), in_words(result).c_str(), seconds,
                minutes(std::max(0.0, cost_left) * seconds_done / cost_done).c_str());
    std::fflush(stdout);
  }
  std::vector<ConfigNode> out;
  for (const Point& point : points) {
    ConfigNode all = point.at;
    for (const auto& [key, value] : stored.at(point.at.to_json()).members()) all.set(key, value);
    out.push_back(std::move(all));
  }
  write_results_csv(options.out + "/" + options.name + ".csv", out);
  return out;
}

std::vector<ConfigNode> results_at(const std::vector<ConfigNode>& results,
                                   const ConfigNode::Map& values) {
  std::vector<ConfigNode> out;
  for (const ConfigNode& result : results)
    if (std::all_of(values.begin(), values.end(), [&](const ConfigNode::Member& wanted) {
          const ConfigNode* value = result.find(wanted.first);
          return value != nullptr && *value == wanted.second;
        }))
      out.push_back(result);
  return out;
}

Spread spread_of(const std::vector<ConfigNode>& results, const std::string& key) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Spread out;
  double sum = 0, squares = 0;
  for (const ConfigNode& result : results) {
    const double value = result.get<double>(key);
    out.low = out.count == 0 ? value : std::min(out.low, value);
    out.high = out.count == 0 ? value : std::max(out.high, value);
    sum += value;
    ++out.count;
  }
  if (out.count == 0) return {kNone, kNone, kNone, kNone, 0};
  out.mean = sum / static_cast<double>(out.count);
  for (const ConfigNode& result : results) {
    const double difference = result.get<double>(key) - out.mean;
    squares += difference * difference;
  }
  if (out.count > 1) out.deviation = std::sqrt(squares / static_cast<double>(out.count - 1));
  return out;
}

}  // namespace rae::experiments
