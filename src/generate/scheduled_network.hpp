// A diffusion network that is evaluated at a schedule of times. The conditioning, which depends
// only on time and label, is computed for many steps by one product for each layer. The output of
// the backbone of a network with a head (DiT^DH) may be reused by steps in which it would hardly
// change.
//
// The reuse follows the encoder sharing of "DDT: Decoupled Diffusion Transformer" (Wang et al.
// 2025, section 3.4), but is decided for each picture during sampling: if the relative change of
// the backbone's output s between its last two evaluations, at times r and q, was d, its change
// from time q to time t is estimated as d |q - t| / |r - q|.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "rae/generate/work.hpp"
#include "rae/models/backbone.hpp"

namespace rae::detail {

/// Settings of the evaluation of a network.
struct Schedule {
  std::vector<float> times{};  ///< descending; other times are computed when they are requested
  std::vector<std::int64_t> labels{};  ///< all labels at those times, with the null label
  double reuse_error = 0;  ///< largest estimated relative change of s that is neglected; 0: s
                           ///< is always computed
  index_t conditioning_bytes = 64 << 20;  ///< limit for the conditioning of many steps; longer
                                          ///< schedules are computed in parts
};

/// A network (see flow_sampling.hpp) for one batch of pictures, whose size must not change. Counts
/// evaluations in `work`.
class ScheduledNetwork {
 public:
  /// `reuse_error` has no effect on a network without a head.
  ScheduledNetwork(OwnedPointer<const BackboneNetwork<Tensor<float>>> network, Schedule schedule,
                   SamplingWork& work);

  /// The network's output (k B, C, h, w) for x (B, C, h, w), one time, and k labels per image (k
  /// B).
  Tensor<float> operator()(const Tensor<float>& x, float t, std::span<const std::int64_t> labels);

  /// The same with the predictions of the base head, in the same forward pass. Does not reuse
  /// outputs of the backbone. Throws ArgumentError for a network without that head.
  NetworkOutputs<Tensor<float>> with_base(const Tensor<float>& x, float t,
                                          std::span<const std::int64_t> labels);

 private:
  using Rows = Conditioning<Tensor<float>>;

  /// The conditioning of all pairs of these times and labels; row i * labels.size() + j is that of
  /// time i and label j.
  struct Table {
    std::vector<float> times;
    std::vector<std::int64_t> labels;  // ascending, without repetition
    Rows rows;
  };

  /// The last evaluations of the backbone for one row.
  struct Remembered {
    bool present = false, has_rate = false;
    float time = 0;
    double rate = 0;  // relative change of s per unit of time
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
  std::vector<std::int64_t> ids_;       // the rows of a table for the current labels
  Rows rows_;                           // the conditioning in those rows
  std::vector<Remembered> remembered_;  // for each row
  std::vector<std::int64_t> fresh_;     // rows whose backbone is evaluated
  Tensor<float> s_;                     // (rows, N * h), the last output of the backbone
};

}  // namespace rae::detail
