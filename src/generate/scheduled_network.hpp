// A diffusion network that is evaluated along a schedule of times: the part that depends only on
// time and label is computed once for many steps in one product for each layer, and the backbone of
// a network with a head (DiT^DH) may be reused by steps that would hardly change it.
//
// The reuse follows the encoder sharing of "DDT: Decoupled Diffusion Transformer" (Wang et al.
// 2025, section 3.4), but decides for each picture as it goes: a backbone's output s that changed
// by the share d between its last two evaluations, at times r and q, is taken to change by d |q -
// t| / |r - q| until time t.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "rae/generate/work.hpp"
#include "rae/models/backbone.hpp"

namespace rae::detail {

/// How a network is evaluated.
struct Schedule {
  std::vector<float> times{};          ///< descending; others are computed when they are asked for
  std::vector<std::int64_t> labels{};  ///< all that may occur at those times, "no label" included
  double reuse_error = 0;  ///< bound of the estimated relative change of s that is neglected; 0: s
                           ///< is always computed
  index_t conditioning_bytes = 64 << 20;  ///< that the conditioning of many steps may take; longer
                                          ///< schedules are computed in parts
};

/// A network (see flow_sampling.hpp) for one batch of pictures, whose numbers of images must not
/// change. Counts its work in `work`.
class ScheduledNetwork {
 public:
  /// `reuse_error` is without effect on a network without a head.
  ScheduledNetwork(OwnedPointer<const BackboneNetwork<Tensor<float>>> network, Schedule schedule,
                   SamplingWork& work);

  /// The network's output (k B, C, h, w) for x (B, C, h, w), one time, k labels for each image (k
  /// B).
  Tensor<float> operator()(const Tensor<float>& x, float t, std::span<const std::int64_t> labels);

 private:
  using Rows = Conditioning<Tensor<float>>;

  /// Conditioning of all pairs of some times and labels: row i * labels + j is that of time i and
  /// label j.
  struct Table {
    std::vector<float> times;
    std::vector<std::int64_t> labels;  // ascending, each once
    Rows rows;
  };

  /// The last evaluations of the backbone for one row.
  struct Remembered {
    bool present = false, has_rate = false;
    float time = 0;
    double rate = 0;  // relative change of s by time
  };

  void condition(float t, std::span<const std::int64_t> labels);
  [[nodiscard]] bool find(const Table& table, float t, std::span<const std::int64_t> labels);
  void fill(Table& table, std::span<const float> times, std::vector<std::int64_t> labels);
  Tensor<float> reuse(const Tensor<float>& x, float t);
  void evaluate_backbone(const Tensor<float>& tokens, float t);
  void remember(index_t row, float t, const float* s, index_t size);

  OwnedPointer<const BackboneNetwork<Tensor<float>>> network_;
  Schedule schedule_;
  SamplingWork& work_;
  Table planned_, unplanned_;
  std::vector<std::int64_t> ids_;       // rows of a table for the current labels
  Rows rows_;                           // the contents of those rows
  std::vector<Remembered> remembered_;  // for each row
  std::vector<std::int64_t> fresh_;     // rows whose backbone is evaluated
  Tensor<float> s_;                     // (rows, N * h), as it was evaluated last
};

}  // namespace rae::detail
