#include "frame/kept_training.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>

namespace rae::experiments {

TrainingContext kept_training(const Options& options, const std::string& stage,
                              const ConfigNode& settings) {
  const std::string folder = options.out + "/" + stage;
  std::filesystem::create_directories(folder);
  return {.stage = stage, .folder = folder, .settings = settings, .on_progress = print_tenths};
}

bool print_tenths(const TrainingProgress& now) {
  // The callback comes every `log_every` steps, so the first after each tenth is printed.
  const index_t tenth = std::max<index_t>(1, now.steps / 10), every = 50;
  if (now.step % tenth < std::min(every, tenth) && now.seconds > 10) {
    std::printf("%s: step %lld of %lld, %.0f pictures a second, %.0f min left\n", now.stage.c_str(),
                static_cast<long long>(now.step), static_cast<long long>(now.steps),
                now.images_per_second, std::ceil(now.eta_seconds / 60));
    std::fflush(stdout);
  }
  return true;
}

double cpu_seconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

}  // namespace rae::experiments
