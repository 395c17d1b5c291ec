// Compiler, processor and load, which are reported with measurements.
#include "tool/machine.hpp"

#include <cstdlib>
#include <fstream>

#include "rae/error.hpp"

namespace rae::tool {

std::string compiler() {
#if defined(__clang__)
  return concat("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#elif defined(__GNUC__)
  return concat("g++ ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#else
  return "unknown";
#endif
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

double load_average() {
  double last_minute = -1;
  return ::getloadavg(&last_minute, 1) == 1 ? last_minute : -1;
}

}  // namespace rae::tool
