// How long a model of official size takes until its first step, from a file in the system's cache, and how much memory.
//
//   bench_load --write FILE         DiT^DH-XL with its decoder and random weights, 5.0 GB
//   bench_load FILE [f32|bf16|int8]
//
// Until its first step begins: from the start of the process, by which the dynamic linker's work counts, to the end of that step, less what
// a step takes when nothing is new to it. So what a first step waits for, such as pages that are mapped, counts as loading.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "rae/core/random.hpp"
#include "rae/nn/outline.hpp"
#include "rae/pipeline/generator.hpp"
#include "rae/pipeline/weight_types.hpp"

namespace {

using rae::index_t;
using rae::Tensor;

/// Random weights under which the variance of 1 passes through every matrix unchanged.
template <template <class> class Model, class Config>
void add_weights(rae::Bundle& bundle, const std::string& prefix, const Config& config) {
  for (const auto& [name, shape, use] : rae::parameter_shapes<Model>(config)) {
    Tensor<float> values(shape);  // the parameter's shape
    const float scale = shape.rank() < 2 ? 0.1f : std::sqrt(3.0f / static_cast<float>(shape[shape.rank() - 1]));
    const rae::Philox random(1, bundle.tensors.size());
    rae::parallel_ranges(shape.numel(), index_t{4096}, [&, out = values.data()](index_t begin, index_t end, index_t) {
      for (index_t i = begin; i < end; ++i) out[i] = scale * static_cast<float>(2 * random.uniform(static_cast<std::uint64_t>(i)) - 1);
    });
    bundle.tensors.emplace(prefix + name, std::move(values));
  }
}

void write(const std::string& path) {
  rae::Bundle bundle;
  bundle.config.name = "random DiT^DH-XL";
  bundle.config.encoder_size = 224;
  bundle.config.image_size = 256;
  bundle.config.decoder = rae::DecoderConfig{};
  bundle.config.dit = rae::DitDhConfig{};
  add_weights<rae::Decoder>(bundle, "decoder.", *bundle.config.decoder);
  add_weights<rae::DitDh>(bundle, "dit.", *bundle.config.dit);
  bundle.save(path);
}

/// Seconds since the process was started.
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

void measure(const std::string& path, rae::DType dtype) {
  const rae::Generator generator = rae::Generator::load(path, {.keep_loaded = false, .dtype = dtype});
  std::vector<double> done;  // when each step was
  rae::GenerateOptions options{.labels = {1}, .steps = 3};
  options.on_step = [&](const rae::StepInfo&) {
    done.push_back(age());
    return true;
  };
  (void)generator.sample_latents(options);
  const double step = done.at(2) - done.at(1);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%s, %s: begins after %.2f s; a step takes %.2f s; %.2f GB resident at most\n", path.c_str(),
              rae::weight_type_name(dtype).data(), done.at(0) - step, step, static_cast<double>(usage.ru_maxrss) * 1024e-9);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 2 && words[0] == "--write")
      write(words[1]);
    else if (words.size() == 1 || words.size() == 2)
      measure(words[0], rae::parse_weight_type(words.size() == 2 ? words[1] : "f32"));
    else
      throw rae::ArgumentError("bench_load FILE [f32|bf16|int8], or bench_load --write FILE");
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
