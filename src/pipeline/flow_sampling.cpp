#include "pipeline/flow_sampling.hpp"

#include <utility>

#include "rae/diffusion/path.hpp"

namespace rae::detail {

Tensor<float> sample_flow(const Network& network, const FlowSampling& how, Tensor<float> noise, std::span<const std::int64_t> labels,
                          const std::function<bool(const StepInfo&)>& on_step) {
  const std::vector<std::int64_t> nobody(labels.size(), how.null_label);
  const auto velocity_with = [&](std::span<const std::int64_t> y) {
    return velocity_of(LinearPath{}, how.prediction, [&network, y](const Tensor<float>& x, float t) { return network(x, t, y); });
  };
  return sample(guided(velocity_with(labels), velocity_with(nobody), how.guidance), std::move(noise), how.grid, how.solver, on_step);
}

}  // namespace rae::detail
