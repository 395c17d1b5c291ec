// `rae bench`: measures how fast whole networks run, compared with the peak rate of the machine.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/process_limits.hpp"
#include "io/suggestion.hpp"
#include "rae/io/file.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/spec/weight_types.hpp"
#include "rae/version.hpp"
#include "spec/model_size.hpp"
#include "tool/bench_model.hpp"
#include "tool/bench_profile.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/interrupt.hpp"
#include "tool/machine.hpp"
#include "tool/numbers.hpp"
#include "tool/peak.hpp"
#include "tool/progress.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

constexpr double kSampleSeconds = 0.05;  // faster networks run several times for one sample
constexpr int kMostRounds = 1000;
constexpr index_t kLargestBatch = 65536;
constexpr std::size_t kReadBytes = std::size_t{512} << 20;

struct BenchCommand {
  std::vector<std::string> models, types;
  int rounds = 5;
  index_t batch = 1;
  std::string json;
  bool profile = false, training = false;

  [[nodiscard]] BenchTask task() const {
    return training ? BenchTask::training_step : BenchTask::forward;
  }
};

/// A network in one data type, with its timings.
struct Line {
  const BenchNetwork* network;
  DType dtype;
  BenchSize size;
  std::vector<double> seconds{};  // of a forward pass or step, one for each round
  PassProfile profile{};          // with --profile

  [[nodiscard]] std::string label() const { return concat(network->name, " ", name_of(dtype)); }
};

struct Report {
  std::vector<Line> lines;
  index_t batch = 1;
  std::map<DType, std::vector<double>>
      peaks;                       // operations per second; a multiply-add counts as two
  std::vector<double> read_rates;  // bytes per second
  double load_before = 0;

  /// Operations per second of a network.
  [[nodiscard]] double rate(const Line& line) const {
    return 2 * line.size.products * static_cast<double>(batch) / bench::median(line.seconds);
  }
  [[nodiscard]] double fraction_of_peak(const Line& line) const {
    return rate(line) / bench::median(peaks.at(line.dtype));
  }
};

const BenchNetwork& find_network(const std::string& name) {
  std::vector<std::string> names;
  for (const BenchNetwork& network : bench_networks()) {
    if (network.name == name) return network;
    names.emplace_back(network.name);
  }
  std::string list;
  for (const std::string& each : names) list += concat(list.empty() ? "" : ", ", each);
  throw UsageError(concat("--models: unknown network '", name, "'", detail::suggestion(name, names),
                          "; there are ", list));
}

/// The networks and data types to measure, each pair once, in the order of the command line.
std::vector<Line> lines_of(const BenchCommand& command) {
  std::vector<const BenchNetwork*> networks;
  std::vector<DType> types;
  const auto add = [](auto& list, const auto& value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
  };
  for (const auto& words : command.models)
    for (const auto& word : split_list(words)) add(networks, &find_network(word));
  for (const auto& words : command.types)
    for (const auto& word : split_list(words)) {
      const auto found = std::find_if(std::begin(kWeightTypes), std::end(kWeightTypes),
                                      [&](DType type) { return name_of(type) == word; });
      if (found == std::end(kWeightTypes))
        throw UsageError(concat("--dtype: expected ", weight_type_names(), ", got '", word, "'"));
      add(types, *found);
    }
  if (networks.empty() || types.empty())
    throw UsageError("nothing to measure: --models and --dtype need at least one name each");
  std::vector<Line> lines;
  for (const BenchNetwork* network : networks)
    for (const DType type : types)
      if (network->supports(type, command.task()))
        lines.push_back({network, type, size_of_network(*network, type, command.task())});
  if (lines.empty() && command.training)
    throw UsageError("nothing to measure: --training: expected a transformer in f32 or bf16");
  if (lines.empty())
    throw UsageError("nothing to measure: --dtype: expected f32 for a network of convolutions");
  return lines;
}

/// All networks are in memory at the same time, since their rounds alternate.
void require_memory(const std::vector<Line>& lines, index_t batch) {
  const std::uint64_t available = detail::available_memory();
  if (available == 0) return;
  std::uint64_t needed = kReadBytes, largest = 0;
  for (const Line& line : lines) {
    const std::uint64_t bytes =
        line.size.weight_bytes + static_cast<std::uint64_t>(batch) * line.size.work_bytes;
    needed += bytes;
    largest = std::max(largest, bytes);
  }
  if (needed <= available) return;
  raise<MemoryError>("bench: ", plural(static_cast<index_t>(lines.size()), "network"), " with ",
                     plural(batch, "picture"), " each take ", detail::in_gigabytes(needed),
                     ", but only ", detail::in_gigabytes(available),
                     " of memory are free; measure fewer at a time (--models, --dtype)",
                     batch > 1 ? " or a smaller --batch" : "", "; the largest alone takes ",
                     detail::in_gigabytes(largest));
}

/// Seconds of one forward pass.
double sample(BenchModel& model) {
  double start = bench::seconds();
  model.run();
  double elapsed = bench::seconds() - start;
  if (elapsed >= kSampleSeconds) return elapsed;
  int count = 0;
  for (start = bench::seconds(), elapsed = 0; elapsed < kSampleSeconds;
       elapsed = bench::seconds() - start, ++count)
    model.run();
  return elapsed / count;
}

Report measure(std::vector<Line> lines, const BenchCommand& command) {
  const int rounds = command.rounds;
  const index_t batch = command.batch;
  const bool profile = command.profile;
  Report report;
  report.lines = std::move(lines);
  report.batch = batch;
  report.load_before = load_average();
  const std::size_t count = report.lines.size();
  const auto steps =
      static_cast<double>(count * (static_cast<std::size_t>(rounds) + (profile ? 2 : 1)));
  ProgressBar bar("bench");
  double done = 0;
  const auto step = [&](const std::string& label) {
    stop_if_interrupted();
    bar.update(done, steps, label);
    ++done;
  };
  std::vector<std::unique_ptr<BenchModel>> models;
  for (const Line& line : report.lines) {
    step(concat("preparing ", line.label()));
    models.push_back(
        std::make_unique<BenchModel>(*line.network, line.dtype, batch, command.task()));
  }
  const std::vector<std::uint64_t> memory(kReadBytes / sizeof(std::uint64_t), 1);
  for (int round = 0; round < rounds; ++round) {
    report.read_rates.push_back(bench::read_rate(memory));
    for (std::size_t i = 0; i < count; ++i) {
      Line& line = report.lines[i];
      step(line.label());
      report.peaks[line.dtype].push_back(bench::peak(line.dtype, num_threads()));
      line.seconds.push_back(sample(*models[i]));
    }
  }
  for (std::size_t i = 0; i < count && profile; ++i) {
    step(concat("profile of ", report.lines[i].label()));
    report.lines[i].profile = profile_of([&] { models[i]->run(); });
  }
  return report;
}

std::string table_of(const Report& report, const BenchCommand& command) {
  std::string text =
      concat(processor(), ", kernels ", name_of(active_isa()), ", ",
             plural(num_threads(), "thread"), "; load ", format_fixed(report.load_before, 2),
             " before\nmedians of ", plural(command.rounds, "round"), ", batch ", command.batch,
             command.training ? ", steps of training" : "", "\n\npeak, GFLOP/s       ");
  for (const auto& [type, peaks] : report.peaks)
    text += concat(name_of(type), " ", format_fixed(bench::median(peaks) / 1e9, 0), "  ");
  text += concat("\nreading memory      ", format_fixed(bench::median(report.read_rates) / 1e9, 1),
                 " GB/s\n\n");
  char row[160];
  std::snprintf(row, sizeof row, "%-17s %-5s %11s %9s %10s %8s\n", "network", "type", "weights",
                "ms", "GFLOP/s", "of peak");
  text += row;
  for (const Line& line : report.lines) {
    std::snprintf(row, sizeof row, "%-17s %-5s %11s %9.2f %10.1f %8.3f\n",
                  std::string(line.network->name).c_str(), std::string(name_of(line.dtype)).c_str(),
                  format_bytes(line.size.weight_bytes).c_str(), 1e3 * bench::median(line.seconds),
                  report.rate(line) / 1e9, report.fraction_of_peak(line));
    text += row;
  }
  for (const Line& line : report.lines)
    if (!line.profile.parts.empty())
      text += concat("\n", line.label(), ", ", format_fixed(1e3 * line.profile.seconds, 2), " ms\n",
                     table_of(line.profile));
  return text;
}

nlohmann::ordered_json json_of(const Report& report, const BenchCommand& command) {
  nlohmann::ordered_json json{{"rae", std::string(kVersion)},
                              {"processor", processor()},
                              {"compiler", compiler()},
                              {"kernels", name_of(active_isa())},
                              {"threads", num_threads()},
                              {"batch", command.batch},
                              {"training", command.training},
                              {"rounds", command.rounds},
                              {"load_before", report.load_before},
                              {"read_bytes_per_second", bench::median(report.read_rates)}};
  for (const auto& [type, peaks] : report.peaks)
    json["peak_per_second"][name_of(type)] = bench::median(peaks);
  for (const Line& line : report.lines) {
    json["networks"].push_back({{"name", line.network->name},
                                {"dtype", name_of(line.dtype)},
                                {"parameters", line.size.parameters},
                                {"weight_bytes", line.size.weight_bytes},
                                {"products_per_picture", line.size.products},
                                {"seconds", bench::median(line.seconds)},
                                {"fraction_of_peak", report.fraction_of_peak(line)},
                                {"seconds_of_rounds", line.seconds}});
    if (command.profile) json["networks"].back()["profile"] = json_of(line.profile);
  }
  return json;
}

void run(const BenchCommand& command) {
  std::vector<Line> lines = lines_of(command);
  CommandFiles files;
  std::string json;
  if (!command.json.empty()) json = files.output("--json", command.json, {".json"});
  require_memory(lines, command.batch);
  const Report report = measure(std::move(lines), command);
  std::string table = table_of(report, command);
  table.pop_back();  // the last line end
  files.print(table);
  if (json.empty()) return;
  write_file_atomically(json, json_of(report, command).dump(2) + "\n");
  files.finish();
  files.print(concat("\n", command.json, ": these numbers and those of every round, as JSON"));
}

}  // namespace

void add_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchCommand>();
  options->models = {"dit-dh-xl,dit-dh-s,decoder-xl,dinov2-b"};
  options->types = {"f32,bf16,int8"};
  CLI::App* command =
      app.add_subcommand("bench", "Measure how fast whole networks run on this machine");
  command
      ->add_option("--models", options->models,
                   "networks to measure, a comma list of the names below")
      ->type_name("LIST")
      ->allow_extra_args(false)
      ->default_str(options->models.front());
  command
      ->add_option(
          "--dtype", options->types,
          "data types of the matrix products, a comma list of f32, bf16, int8, int8w and int4")
      ->type_name("LIST")
      ->allow_extra_args(false)
      ->default_str(options->types.front());
  add_whole_option(*command, "--rounds", options->rounds, "number of measurements of each network",
                   1, kMostRounds);
  add_whole_option(*command, "-b,--batch", options->batch, "pictures at a time", 1, kLargestBatch);
  command->add_flag("--training", options->training,
                    "steps of training instead of forward passes: forward and backward pass, AdamW "
                    "and moving average; f32 and bf16 only");
  command->add_flag("--profile", options->profile,
                    "also measure how the time of each network is divided among kinds of kernels, "
                    "and how near each kind is to its limit");
  command->add_option("--json", options->json, "also write all numbers to FILE.json, or - (stdout)")
      ->type_name("FILE");
  add_threads_option(*command);
  std::string names;
  for (const BenchNetwork& network : bench_networks()) {
    names += concat("  ", network.name, std::string(18 - network.name.size(), ' '),
                    network.description, "\n");
  }
  command->footer(
      "Networks of official sizes with random weights; nothing is read or downloaded:\n" + names +
      "\n"
      "In every round each network runs once, directly after a short burst of multiply-adds that\n"
      "measures the peak rate of the processor at that moment in the same data type; \"of peak\"\n"
      "is the ratio of the two. Only the multiply-adds of matrix products and of attention count,\n"
      "as two operations each. A diffusion transformer runs as in a sampler: the part of the\n"
      "conditioning that depends only on time and label was computed before.\n"
      "Run it on a quiet machine.\n"
      "\n"
      "--profile divides the time of warm passes or steps, which run after the rounds. The time\n"
      "of a kernel is that of the thread that calls it, without waiting for other threads, which\n"
      "is a part of its own; \"rest\" is everything outside kernels. Products include all that is\n"
      "fused with them (norms, activations, gates), attention its softmax and rotation.\n"
      "\"of limit\" is the time that the work would take at its limit over the time that it\n"
      "takes. The limit of products and attention is the peak rate in the type of each product;\n"
      "that of other kernels is the rate at which all threads read a buffer with as many bytes as\n"
      "a mean call reads and writes, in the caches if it fits there.\n"
      "\n"
      "Examples:\n"
      "  rae bench                                    the four networks of the paper's model\n"
      "  rae bench --models dit-dh-xl --dtype bf16 --threads 1\n"
      "  rae bench --models dinov2-b --dtype f32,int8 --profile\n"
      "  rae bench --models decoder-b,mae-b --batch 8 --rounds 20 --json numbers.json");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
