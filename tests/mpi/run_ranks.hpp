// Runs the `rae` program as several ranks.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "tool/run_tool.hpp"

namespace rae::test {

/// A test whose programs are started by mpirun: more ranks than processors are allowed, and so is
/// root, as whom containers run.
class RanksTest : public ToolTest {
 protected:
  RanksTest() {
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    ::setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
    ::setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
  }

  /// Starts `rae` as `count` ranks; the process is that of mpirun.
  [[nodiscard]] pid_t start_ranks(int count, const std::vector<std::string>& arguments) const {
    std::vector<std::string> all{"-q", "-n", std::to_string(count), RAE_TOOL};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return start(std::move(all), {}, RAE_MPIEXEC);
  }

  [[nodiscard]] ToolResult rae_ranks(int count, const std::vector<std::string>& arguments) const {
    return finish(start_ranks(count, arguments));
  }
};

}  // namespace rae::test
