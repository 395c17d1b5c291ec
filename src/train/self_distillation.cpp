#include "rae/train/self_distillation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "rae/core/parallel.hpp"

namespace rae {

void require_distillation(const DistillationOptions& o) {
  if (!(o.weight >= 0 && std::isfinite(o.weight)))
    raise<ArgumentError>("distillation: expected a weight of at least 0, got ", o.weight);
  if (o.prototypes < 2)
    raise<ArgumentError>("distillation: expected at least 2 prototypes, got ", o.prototypes);
  if (!(o.student_temp > 0 && o.teacher_temp > 0 && std::isfinite(o.student_temp) &&
        std::isfinite(o.teacher_temp)))
    raise<ArgumentError>("distillation: expected temperatures above 0, got ", o.student_temp,
                         " and ", o.teacher_temp);
  if (!(o.teacher_momentum >= 0 && o.teacher_momentum < 1))
    raise<ArgumentError>("distillation: expected a teacher_momentum in [0, 1), got ",
                         o.teacher_momentum);
}

Tensor<float> distillation_targets(const Tensor<float>& logits, double temperature) {
  const index_t rows = logits.extent(0), k = logits.extent(1);
  std::vector<double> centre(static_cast<std::size_t>(k));  // (K)
  const float* source = logits.data();
  for (index_t r = 0; r < rows; ++r)
    for (index_t i = 0; i < k; ++i)
      centre[static_cast<std::size_t>(i)] +=
          static_cast<double>(source[r * k + i]) / static_cast<double>(rows);
  Tensor<float> out(logits.shape());  // (R, K)
  float* target = out.data();
  parallel_for(rows, 8, [&](index_t r) {
    std::vector<double> shares(static_cast<std::size_t>(k));  // (K)
    double top = -HUGE_VAL, sum = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const auto logit = static_cast<double>(source[r * k + static_cast<index_t>(i)]);
      shares[i] = (logit - centre[i]) / temperature;
      top = std::max(top, shares[i]);
    }
    for (double& share : shares) sum += share = std::exp(share - top);
    for (std::size_t i = 0; i < shares.size(); ++i)
      target[r * k + static_cast<index_t>(i)] = static_cast<float>(shares[i] / sum);
  });
  return out;
}

DistillationTargets teacher_targets(const DistillationHead<Var<float>>& head,
                                    const Var<float>& other, const Var<float>& whole,
                                    const Tensor<float>& masked,
                                    const DistillationOptions& options) {
  const NoGrad<float> unrecorded;
  DistillationTargets out;
  out.pictures = distillation_targets(head.of_pictures(other).value(), options.teacher_temp);
  const float* chosen = masked.data();
  const index_t rows = masked.numel();
  for (index_t r = 0; r < rows; ++r) out.masked += static_cast<double>(chosen[r]);
  if (out.masked == 0) return out;
  const Tensor<float> logits = head.of_tokens(whole).value();  // (B, N, K)
  const index_t k = logits.extent(2);
  out.patches = distillation_targets(logits.reshaped({rows, k}), options.teacher_temp);
  float* target = out.patches.data();
  for (index_t r = 0; r < rows; ++r)
    if (chosen[r] == 0) std::fill_n(target + r * k, k, 0.0f);
  return out;
}

Var<float> distillation_loss(const DistillationHead<Var<float>>& head, const Var<float>& tokens,
                             const DistillationTargets& targets,
                             const DistillationOptions& options) {
  const auto sharpen = static_cast<float>(1 / options.student_temp);
  const Var<float> pictures =
      soft_cross_entropy_loss(scale(head.of_pictures(tokens), sharpen), targets.pictures);  // ()
  if (targets.masked == 0) return scale(pictures, 0.5f);
  const Shape all = targets.patches.shape();  // (B * N, K)
  const Var<float> logits = scale(reshape(head.of_tokens(tokens), all), sharpen);
  // Rows of visible patches add nothing to the mean over all rows.
  const double share = targets.masked / static_cast<double>(all[0]);
  return add(scale(pictures, 0.5f), scale(soft_cross_entropy_loss(logits, targets.patches),
                                          static_cast<float>(0.5 / share)));  // ()
}

}  // namespace rae
