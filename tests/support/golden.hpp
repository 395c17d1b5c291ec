// Golden data: tensors that were computed by the reference implementation, and comparison with
// them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "rae/io/config.hpp"
#include "rae/io/safetensors.hpp"
#include "support/parity.hpp"

namespace rae::test {

/// Path of a file in the folder of test data.
std::string data_path(const std::string& name);

/// The configuration of a golden case: `golden_config("ddt_train")`.
inline ConfigNode golden_config(const std::string& name) {
  return ConfigNode::load(data_path("golden/" + name + "/config.json"));
}

/// One golden file: `Golden golden("ddt_train/io.safetensors"); golden("x")` is a Tensor<float>.
class Golden {
 public:
  explicit Golden(const std::string& file)
      : case_(file.substr(0, file.find('/'))),
        file_(SafetensorsFile::open(data_path("golden/" + file))) {}

  /// A stored float tensor.
  Tensor<float> operator()(std::string_view name) const { return get<float>(name); }

  /// A stored tensor of another type: `golden.get<std::int64_t>("y")`.
  template <Element T>
  Tensor<T> get(std::string_view name) const {
    return Parity::remember(file_.read<T>(name), case_, std::string(name));
  }

  /// Element `index` along the first dimension of a stored tensor (N, ...).
  template <Element T = float>
  Tensor<T> part(std::string_view name, index_t index) const {
    const Tensor<T> all = file_.read<T>(name);  // (N, ...)
    std::vector<index_t> extents;
    for (int d = 1; d < all.shape().rank(); ++d) extents.push_back(all.shape()[d]);
    const Shape shape{std::span<const index_t>(extents)};
    const auto n = static_cast<std::size_t>(shape.numel());
    return Parity::remember(
        Tensor<T>(shape, all.span().subspan(static_cast<std::size_t>(index) * n, n)), case_,
        concat(name, "[", index, "]"));
  }

  bool contains(std::string_view name) const { return file_.contains(name); }
  const SafetensorsFile& file() const { return file_; }

 private:
  std::string case_;
  SafetensorsFile file_;
};

/// Fails unless both shapes are equal and no element differs by more than `tolerance(index)`. The
/// message names the element with the largest ratio of difference to tolerance. NaN fails.
template <Element T, class Tolerance>
testing::AssertionResult close_each(const Tensor<T>& actual, const Tensor<T>& expected,
                                    Tolerance&& tolerance) {
  if (!(actual.shape() == expected.shape()))
    return testing::AssertionFailure() << "shape " << actual.shape().to_string() << ", expected "
                                       << expected.shape().to_string();
  if (actual.empty() != expected.empty())
    return testing::AssertionFailure() << "one tensor is empty";
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
    const double share = difference == 0.0 ? 0.0 : difference / tolerance(i);
    if (share <= worst) continue;
    worst = share;
    at = i;
    if (std::isnan(difference)) break;
  }
  if (actual.numel() == 0) return testing::AssertionSuccess();
  const double difference = std::abs(number(a[at]) - number(e[at])),
               rms = std::sqrt(square / static_cast<double>(actual.numel()));
  const bool holds = worst <= 1.0;
  Parity::record(e, difference, rms, tolerance(at), holds);
  if (holds) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "difference " << difference << " at flat index " << at << " of "
         << actual.shape().to_string() << ": got " << number(a[at]) << ", expected "
         << number(e[at]) << "; tolerance " << tolerance(at) << ", rms difference " << rms;
}

/// Like `close_each`, with one tolerance for all elements.
template <Element T>
testing::AssertionResult close(const Tensor<T>& actual, const Tensor<T>& expected,
                               double tolerance) {
  return close_each(actual, expected, [tolerance](index_t) { return tolerance; });
}

/// Fails unless a number agrees within `tolerance` with a tensor of one element.
template <Element T>
testing::AssertionResult near(double actual, const Tensor<T>& expected, double tolerance) {
  if (expected.numel() != 1)
    return testing::AssertionFailure()
           << "expected one element, got " << expected.shape().to_string();
  const double number = static_cast<double>(expected[0]), difference = std::abs(actual - number);
  const bool holds = difference <= tolerance;
  Parity::record(expected.data(), difference, difference, tolerance, holds);
  if (holds) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "got " << actual << ", expected " << number << "; tolerance " << tolerance;
}

/// EXPECT that two tensors agree within `tolerance`; a failure is reported under the name `what`.
template <Element T>
void expect_close(const Tensor<T>& actual, const Tensor<T>& expected, double tolerance,
                  std::string_view what = "") {
  EXPECT_TRUE(close(actual, expected, tolerance)) << what;
}

}  // namespace rae::test
