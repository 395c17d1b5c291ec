// Golden data: tensors that the reference implementation computed, and comparison with them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>

#include "rae/io/config.hpp"
#include "rae/io/safetensors.hpp"

namespace rae::test {

/// Path of a file in the folder of test data.
inline std::string data_path(const std::string& name) { return std::string(RAE_TEST_DATA_DIR) + "/" + name; }

/// The configuration of a golden case: `golden_config("ddt_train")`.
inline ConfigNode golden_config(const std::string& name) { return ConfigNode::load(data_path("golden/" + name + "/config.json")); }

/// One golden file: `Golden golden("ddt_train/io.safetensors"); golden("x")` is a Tensor<float>.
class Golden {
 public:
  explicit Golden(const std::string& file) : file_(SafetensorsFile::open(data_path("golden/" + file))) {}

  /// A stored float tensor.
  Tensor<float> operator()(std::string_view name) const { return file_.read<float>(name); }

  /// A stored tensor of another type: `golden.get<std::int64_t>("y")`.
  template <Element T>
  Tensor<T> get(std::string_view name) const {
    return file_.read<T>(name);
  }

  bool contains(std::string_view name) const { return file_.contains(name); }
  const SafetensorsFile& file() const { return file_; }

 private:
  SafetensorsFile file_;
};

/// Fails unless both shapes are equal and no element differs by more than `tolerance` (absolute). Names the worst element. NaN fails.
template <Element T>
testing::AssertionResult close(const Tensor<T>& actual, const Tensor<T>& expected, double tolerance) {
  if (!(actual.shape() == expected.shape()))
    return testing::AssertionFailure() << "shape " << actual.shape().to_string() << ", expected " << expected.shape().to_string();
  if (actual.empty() != expected.empty()) return testing::AssertionFailure() << "one tensor is empty";
  double worst = -1.0, square = 0.0;
  index_t at = 0;
  const T* a = actual.data();
  const T* e = expected.data();
  const auto number = [](T value) {
    if constexpr (std::same_as<T, bf16> || std::same_as<T, f16>)
      return static_cast<double>(static_cast<float>(value));
    else
      return static_cast<double>(value);
  };
  for (index_t i = 0; i < actual.numel(); ++i) {
    const double difference = std::abs(number(a[i]) - number(e[i]));
    square += difference * difference;
    if (difference <= worst) continue;
    worst = difference;
    at = i;
    if (std::isnan(difference)) break;
  }
  if (worst <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "max abs difference " << worst << " at flat index " << at << " of " << actual.shape().to_string()
                                     << ": got " << number(a[at]) << ", expected " << number(e[at]) << "; tolerance " << tolerance
                                     << ", rms difference " << std::sqrt(square / static_cast<double>(actual.numel()));
}

/// EXPECT that two tensors agree within `tolerance`; `what` names them in the report.
template <Element T>
void expect_close(const Tensor<T>& actual, const Tensor<T>& expected, double tolerance, std::string_view what = "") {
  EXPECT_TRUE(close(actual, expected, tolerance)) << what;
}

}  // namespace rae::test
