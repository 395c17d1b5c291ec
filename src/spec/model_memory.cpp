#include "spec/model_memory.hpp"

#include <cstdio>

namespace rae::detail {

std::string in_gigabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g GB", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace rae::detail
