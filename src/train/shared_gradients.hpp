// The gradients of a model that several ranks train together: added over the ranks in buckets while
// the backward pass still runs, and the update that follows.
//
// Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training" (2020),
// section 3.2 (buckets, overlap); Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training
// Trillion Parameter Models" (2020), section 5.1 (shards of the optimiser's state).
#pragma once

#include <optional>
#include <vector>

#include "rae/train/adamw.hpp"
#include "rae/train/training_loop.hpp"

namespace rae::detail {

/// Replaces the update of an optimiser while it exists.
class SharedGradients final : public SharedUpdate<float> {
 public:
  /// Gives all ranks the parameters, moments, averages and step of rank 0. `ranks` has several.
  SharedGradients(AdamW<float>& optimizer, const RankSharing& ranks);
  ~SharedGradients() override { optimizer_.share(nullptr); }
  SharedGradients(const SharedGradients&) = delete;
  SharedGradients& operator=(const SharedGradients&) = delete;

  /// The last backward pass before the update begins: `poll` starts the sums of complete gradients.
  void begin_last_pass();
  /// Moves the sums on; to be called after each operation of the last backward pass.
  void poll();

  /// A number that the next `gradient_norm` adds over the ranks, and the sum of the last time.
  void set_loss(double own) noexcept { loss_ = own; }
  [[nodiscard]] double loss() const noexcept { return loss_; }
  /// A wish to stop, which the next `gradient_norm` shares, and whether any rank had one.
  void set_stop(bool own) noexcept { stop_ = own; }
  [[nodiscard]] bool stop() const noexcept { return stop_; }

  [[nodiscard]] double gradient_norm() override;
  void update(index_t step, const AdamWOptions& options, double scale,
              std::span<const double> ema_decays) override;

  /// Completes sharded moments and averages on rank 0, or everywhere, until `divide`.
  void complete(bool everywhere);
  /// Leaves each rank its shard again.
  void divide();

  /// The number of buckets, 0 before the first step, and of those whose sums have begun in this
  /// step.
  [[nodiscard]] std::size_t buckets() const noexcept { return buckets_.size(); }
  [[nodiscard]] std::size_t started() const noexcept { return started_; }
  /// Seconds of the last step that this rank waited for sums after its backward pass.
  [[nodiscard]] double waited() const noexcept { return waited_; }
  /// Bytes that this rank sends in each step.
  [[nodiscard]] double bytes_sent() const noexcept;

 private:
  /// A parameter in a bucket.
  struct Piece {
    std::size_t slot = 0;
    index_t begin = 0, count = 0;  // elements in the bucket
    unsigned first = 0;            // changes of the gradient before the last pass
    unsigned complete = 0;         // changes of the gradient in such a pass
    bool given = false;            // a gradient has reached it in this step
  };
  struct Bucket {
    std::vector<Piece> pieces;
    std::vector<float> values;  // the gradients of the pieces, concatenated
    std::optional<PendingSum> sum{};
  };

  void make_buckets();
  void learn();
  [[nodiscard]] bool is_complete(const Bucket& bucket) const;
  void start(Bucket& bucket);
  void keep_memory(Bucket& bucket);
  void add_late(Bucket& bucket);
  [[nodiscard]] RankPart own_part(const Bucket& bucket, int rank) const;
  [[nodiscard]] RankPart shard(const Bucket& bucket, const Piece& piece, int rank) const;
  void share_state();
  void complete_tensor(const Bucket& bucket, const Piece& piece, Tensor<float>& tensor,
                       bool everywhere);

  AdamW<float>& optimizer_;
  Communicator& communicator_;
  bool sharded_, overlap_;
  bool full_ = true;  // this rank has whole moments and averages
  index_t bucket_bytes_;

  /// The changes of a gradient before and in the first pass, and the operation of the last one.
  struct Seen {
    unsigned first = 0, changes = 0, operation = 0;
  };
  std::vector<Seen> seen_;                  // by slot, in the first pass
  unsigned operations_ = 0;                 // of the first pass
  std::vector<Bucket> buckets_;             // made in the first step
  std::vector<std::vector<float>> memory_;  // for the sums of coming buckets
  std::size_t started_ = 0;                 // buckets whose sums have begun in this step
  bool known_ = false;                      // how many changes complete each gradient
  bool last_pass_ = false;
  double loss_ = 0, waited_ = 0;
  bool stop_ = false;
};

}  // namespace rae::detail
