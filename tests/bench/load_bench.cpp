// Measures the time from the start of a program with a model of full size until its first step,
// from a file in the page cache, and the memory that it needs.
//
//   bench_load FILE [f32|bf16|int8] [--json FILE]
//
// FILE is a bundle, packed or not. If it does not exist, a bundle of 5 GB is written.
//
// The time begins with the process, so that the work of the dynamic linker is included. It ends
// with the first step, minus the time of the faster one of the next two steps. The waits of a first
// step, such as for mapped pages, therefore count as loading.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "bench/arguments.hpp"
#include "bench/xl_bundle.hpp"
#include "rae/generate/generator.hpp"
#include "rae/spec/weight_types.hpp"

namespace {

/// Seconds since the start of the process, with a resolution of 0.01 s.
double age() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  std::size_t at = text.rfind(')');
  for (int field = 2; field < 22; ++field) at = text.find(' ', at + 1);
  const double start = std::stod(text.substr(at + 1)) / static_cast<double>(sysconf(_SC_CLK_TCK));
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - start;
}

nlohmann::ordered_json measure(const rae::ModelFiles& files, std::optional<rae::DType> dtype) {
  const rae::Generator generator(files, {.keep_loaded = false, .dtype = dtype});
  std::vector<double> done;  // the time at the end of each step
  rae::GenerateOptions options{.labels = {207}, .steps = 4};
  options.on_step = [&](const rae::StepInfo&) {
    done.push_back(age());
    return true;
  };
  (void)generator.sample_latents(options);
  const double step = std::min(done.at(2) - done.at(1), done.at(3) - done.at(2));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return {{"dtype", rae::name_of(generator.dtype())},
          {"packed", files.packed.has_value()},
          {"begins", done.front() - step},
          {"step", step},
          {"resident_bytes", 1024 * usage.ru_maxrss}};
}

}  // namespace

int main(int argc, char** argv) {
  const rae::bench::Arguments arguments(argc - 1, argv + 1, 1);
  try {
    if (argc < 2) throw rae::ArgumentError("expected the name of a bundle");
    rae::bench::require_xl_bundle(argv[1]);
    std::optional<rae::DType> dtype;
    if (argc > 2 && std::string_view(argv[2]) != "--json") dtype = rae::parse_weight_type(argv[2]);
    const nlohmann::ordered_json result = measure(rae::ModelFiles::open(argv[1]), dtype);
    std::printf("%s\n", result.dump().c_str());
    rae::bench::Records records;
    records.add(result);
    return records.write(arguments) ? 0 : 1;
  } catch (const rae::Error& error) {
    std::fprintf(stderr, "bench_load: %s\n", error.what());
    return 1;
  }
}
