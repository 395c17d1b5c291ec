// Self-distillation in stage 0: the encoder predicts, for a masked picture, how an average of its
// own earlier weights sees the whole picture and another variation of it.
//
// Source: Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers" (DINO),
// of whose centring the momentum is 0 here: the mean over the batch; Zhou et al. 2022, "iBOT: Image
// BERT Pre-Training with Online Tokenizer" for masked patches. There are no small crops.
#pragma once

#include "rae/nn/linear.hpp"
#include "rae/ops/loss.hpp"
#include "rae/ops/norm.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Numbers of the self-distillation.
struct DistillationOptions {
  double weight = 0;                ///< of its loss; 0: none
  index_t prototypes = 1024;        ///< K, outputs whose shares are predicted
  double student_temp = 0.1;        ///< temperature of the trained encoder's shares
  double teacher_temp = 0.04;       ///< the same of the teacher; lower, so that targets are sharper
  double teacher_momentum = 0.996;  ///< decay of the average that is the teacher, in [0, 1)
};

/// Throws ArgumentError for numbers out of range.
void require_distillation(const DistillationOptions& options);

/// The head that teacher and student have, for pictures and patches alike.
template <Operand X>
struct DistillationHead {
  Linear<X> hidden;      // D -> D
  Linear<X> prototypes;  // D -> K

  DistillationHead() = default;
  /// For tokens of `width` elements.
  DistillationHead(index_t width, index_t count)
      : hidden(width, width), prototypes(width, count, false) {}

  /// Logits (B, N, K) of tokens (B, N, D): cosines, up to the lengths of the prototypes.
  X of_tokens(const X& tokens) const {
    using T = typename X::value_type;
    const X inner = hidden(tokens, Activation::gelu);  // (B, N, D)
    const X logits = prototypes(normalize(NormParameters<X>{}, inner));
    return scale(logits, static_cast<T>(1 / math::sqrt(static_cast<double>(inner.shape()[2]))));
  }

  /// Logits (B, K) of the mean of the tokens (B, N, D) of each picture.
  X of_pictures(const X& tokens) const {
    using T = typename X::value_type;
    const Shape s = tokens.shape();                                       // (B, N, D)
    const Tensor<T> shares(Shape{1, s[1]}, T(1) / static_cast<T>(s[1]));  // (1, N)
    const X mean = linear(transpose(tokens), X(shares), X());             // (B, D, 1)
    return reshape(of_tokens(reshape(mean, {s[0], 1, s[2]})), {s[0], prototypes.weight.shape()[0]});
  }

  template <class F>
  void parameters(F&& f) {
    visit("hidden.", hidden, f);
    visit("prototypes.", prototypes, f);
  }
};

/// The targets of rows of logits (R, K): softmax((logits - their mean over the rows) /
/// temperature).
[[nodiscard]] Tensor<float> distillation_targets(const Tensor<float>& logits, double temperature);

/// How the teacher sees the pictures of a step.
struct DistillationTargets {
  Tensor<float> pictures;  ///< (B, K), of another variation of each picture
  Tensor<float> patches;   ///< (B * N, K), of each whole picture; rows of patches that the student
                           ///< sees, too, are 0
  double masked = 0;       ///< number of the other rows
};

/// Half the cross-entropy with the targets of the pictures, half the mean of that with the targets
/// of the masked patches, if there are any. `tokens` (B, N, D) are those of the student.
[[nodiscard]] Var<float> distillation_loss(const DistillationHead<Var<float>>& head,
                                           const Var<float>& tokens,
                                           const DistillationTargets& targets,
                                           const DistillationOptions& options);

/// The targets of a step by the head of the teacher: of its tokens (B, N, D) for the other
/// variation and for the whole pictures. `masked` (B, N) is 1 where the student does not see a
/// patch, else 0.
[[nodiscard]] DistillationTargets teacher_targets(const DistillationHead<Var<float>>& head,
                                                  const Var<float>& other, const Var<float>& whole,
                                                  const Tensor<float>& masked,
                                                  const DistillationOptions& options);

}  // namespace rae
