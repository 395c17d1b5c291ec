#include "support/golden.hpp"

namespace rae::test {

std::string data_path(const std::string& name) {
  return std::string(RAE_TEST_DATA_DIR) + "/" + name;
}

}  // namespace rae::test
