// Version, threads and a description of the system.
#include <string>

#include "capi/errors.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/version.hpp"

using rae::capi::guarded;

const char* rae_version(void) { return rae::kVersion; }

int rae_threads(void) { return rae::num_threads(); }

rae_status rae_set_threads(int threads) {
  return guarded([&] { rae::set_num_threads(threads); });
}

const char* rae_system_info(void) {
  thread_local std::string text;
  const rae_status status = guarded([&] {
    text = rae::concat("rae ", rae::kVersion, ", kernels ", rae::name_of(rae::active_isa()), ", ",
                       rae::num_threads(), " threads (", rae::parallel_backend(), ")");
  });
  return status == RAE_OK ? text.c_str() : rae_last_error();
}
