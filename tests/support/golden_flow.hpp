// The tiny DiT^DH with which the official samplers were run: the cases sample_ode and sample_sde,
// which share its weights.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/golden_model.hpp"

namespace rae::test {

/// The model's velocity at (x, t) for the labels of the case, computed in type T. It counts its
/// evaluations.
template <Real T = float>
class GoldenFlow {
 public:
  GoldenFlow() : model_(dit_dh_config(golden_config("sample_ode").at("model"))) {
    const Golden weights("sample_ode/weights.safetensors");
    model_.parameters([&](const std::string& name, auto& p) {
      const Tensor<float> stored = weights(name);  // p's shape, or with extents of 1
      Tensor<T> values(p.shape());                 // p's shape
      std::copy_n(stored.span().begin(), stored.span().size(), values.span().begin());
      p.set(std::move(values));
    });
    pack_parameters(model_);
    // (B)
    const Tensor<std::int64_t> y = Golden("sample_ode/io.safetensors").get<std::int64_t>("y");
    labels_.assign(y.span().begin(), y.span().end());
  }

  /// x (B, C, h, w) -> velocity (B, C, h, w).
  Tensor<T> operator()(const Tensor<T>& x, T t) {
    ++evaluations;
    return model_(x, Tensor<T>(Shape{x.extent(0)}, t), labels_);
  }

  index_t evaluations = 0;

 private:
  DitDh<Tensor<T>> model_;
  std::vector<std::int64_t> labels_;
};

}  // namespace rae::test
