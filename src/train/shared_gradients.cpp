#include "train/shared_gradients.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace rae::detail {

namespace {

/// Elements [begin, begin + count) of a vector or tensor as a flat view.
View<float> range(float* data, index_t begin, index_t count) {
  return {data + begin, Shape{count}};
}

std::span<std::byte> bytes_of(Tensor<float>& tensor) {
  return std::as_writable_bytes(tensor.span());
}

/// The moments and averages of a parameter.
std::vector<Tensor<float>*> state_of(AdamW<float>::Slot& slot) {
  std::vector<Tensor<float>*> out{&slot.exp_avg, &slot.exp_avg_sq, &slot.ema};
  for (Tensor<float>& average : slot.further_emas) out.push_back(&average);
  return out;
}

}  // namespace

SharedGradients::SharedGradients(AdamW<float>& optimizer, const RankSharing& ranks)
    : optimizer_(optimizer),
      communicator_(*ranks.communicator),
      sharded_(ranks.shard_optimizer),
      overlap_(ranks.overlap),
      bucket_bytes_(ranks.bucket_bytes > 0
                        ? ranks.bucket_bytes
                        : std::max<index_t>(index_t{4} << 20,
                                            ranks.communicator->size() * (index_t{128} << 10))) {
  share_state();
  optimizer_.share(this);
}

/// The parameters in the order in which the first backward pass has completed their gradients. It
/// depends only on the operations of the pass, so a continued run makes the same buckets.
void SharedGradients::make_buckets() {
  const std::size_t count_of_slots = optimizer_.slots().size();
  seen_.resize(count_of_slots);
  std::vector<std::uint64_t> order;
  for (std::size_t i = count_of_slots; i-- > 0;) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::uint64_t a, std::uint64_t b) {
    return seen_[a].operation < seen_[b].operation;
  });
  communicator_.broadcast(std::span(order));
  index_t size = bucket_bytes_;  // of the last bucket
  for (const std::size_t i : order) {
    if (size >= bucket_bytes_) {
      buckets_.emplace_back();
      size = 0;
    }
    Bucket& bucket = buckets_.back();
    const index_t count = optimizer_.slots()[i].parameter.value().numel();
    bucket.pieces.push_back({i, static_cast<index_t>(bucket.values.size()), count, seen_[i].first});
    bucket.values.resize(bucket.values.size() + static_cast<std::size_t>(count));
    size += count * static_cast<index_t>(sizeof(float));
  }
  seen_ = {};
}

/// Every rank begins with the state of rank 0, which may come from a checkpoint.
void SharedGradients::share_state() {
  std::int64_t steps = optimizer_.steps();
  communicator_.broadcast(std::span(&steps, 1));
  optimizer_.set_steps(static_cast<index_t>(steps));
  for (auto& slot : optimizer_.slots()) {
    communicator_.broadcast(bytes_of(slot.parameter.mutable_value()));
    communicator_.broadcast(bytes_of(slot.ema));
    for (Tensor<float>& average : slot.further_emas) communicator_.broadcast(bytes_of(average));
    if (steps == 0) continue;  // the moments are zero
    communicator_.broadcast(bytes_of(slot.exp_avg));
    communicator_.broadcast(bytes_of(slot.exp_avg_sq));
  }
}

void SharedGradients::begin_last_pass() {
  last_pass_ = true;
  if (buckets_.empty()) {
    seen_.clear();
    for (const auto& slot : optimizer_.slots())
      seen_.push_back({slot.parameter.grad_changes(), slot.parameter.grad_changes(), 0});
  }
  for (Bucket& bucket : buckets_)
    for (Piece& piece : bucket.pieces)
      piece.first = optimizer_.slots()[piece.slot].parameter.grad_changes();
}

bool SharedGradients::is_complete(const Bucket& bucket) const {
  return std::all_of(bucket.pieces.begin(), bucket.pieces.end(), [&](const Piece& piece) {
    return optimizer_.slots()[piece.slot].parameter.grad_changes() - piece.first >= piece.complete;
  });
}

/// Moves the gradients of a bucket into its memory and starts their sum.
void SharedGradients::start(Bucket& bucket) {
  for (Piece& piece : bucket.pieces) {
    const Var<float>& parameter = optimizer_.slots()[piece.slot].parameter;
    const auto to = bucket.values.begin() + static_cast<std::ptrdiff_t>(piece.begin);
    piece.given = !parameter.grad().empty();
    if (piece.given) {
      const std::span<const float> gradient = parameter.grad().span();
      std::copy(gradient.begin(), gradient.end(), to);
      parameter.clear_grad();
    } else {
      std::fill_n(to, static_cast<std::size_t>(piece.count), 0.0f);
    }
  }
  std::vector<float> memory;
  if (!memory_.empty()) {
    memory = std::move(memory_.back());
    memory_.pop_back();
  }
  bucket.sum.emplace(communicator_, std::span(bucket.values), !sharded_, std::move(memory));
}

/// Keeps the memory of a sum that does not need it any more.
void SharedGradients::keep_memory(Bucket& bucket) {
  if (std::vector<float> memory = bucket.sum->take_memory(); !memory.empty())
    memory_.push_back(std::move(memory));
}

/// Notes the operation that is the last to change each gradient.
void SharedGradients::learn() {
  ++operations_;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const unsigned changes = optimizer_.slots()[i].parameter.grad_changes();
    if (changes == seen_[i].changes) continue;
    seen_[i].changes = changes;
    seen_[i].operation = operations_;
  }
}

void SharedGradients::poll() {
  if (last_pass_ && buckets_.empty()) return learn();
  if (!last_pass_ || !known_ || !overlap_) return;
  // Every rank starts the sums in the same order, that of the buckets.
  while (started_ < buckets_.size() && is_complete(buckets_[started_])) start(buckets_[started_++]);
  // Each look moves only a part of a long message on, and operations are far apart.
  constexpr int kLooks = 8;
  bool complete = false;
  for (int look = 0; look < kLooks && !complete; ++look) {
    complete = true;
    for (std::size_t i = 0; i < started_; ++i) {
      complete = buckets_[i].sum->poll() && complete;
      keep_memory(buckets_[i]);
    }
  }
}

/// Adds gradients that have come after the start of their bucket's sum: in the first step after a
/// change of the loss, whose operations are not those of the pass before. They are the same ones on
/// every rank.
void SharedGradients::add_late(Bucket& bucket) {
  const auto late = [&](const Piece& piece) {
    return !optimizer_.slots()[piece.slot].parameter.grad().empty();
  };
  if (std::none_of(bucket.pieces.begin(), bucket.pieces.end(), late)) return;
  std::vector<float> values(bucket.values.size(), 0.0f);
  for (Piece& piece : bucket.pieces) {
    if (!late(piece)) continue;
    const Var<float>& parameter = optimizer_.slots()[piece.slot].parameter;
    const std::span<const float> gradient = parameter.grad().span();
    std::copy(gradient.begin(), gradient.end(),
              values.begin() + static_cast<std::ptrdiff_t>(piece.begin));
    parameter.clear_grad();
    piece.given = true;
  }
  PendingSum(communicator_, std::span(values), !sharded_).wait();
  for (std::size_t i = 0; i < values.size(); ++i) bucket.values[i] += values[i];
}

double SharedGradients::gradient_norm() {
  const auto began = std::chrono::steady_clock::now();
  if (buckets_.empty()) {
    make_buckets();
    divide();
  }
  while (started_ < buckets_.size()) start(buckets_[started_++]);
  double squares = 0;
  for (Bucket& bucket : buckets_) {
    bucket.sum->wait();
    keep_memory(bucket);
    add_late(bucket);
    // Each rank adds the squares of its part, also where it has all of them, so that the norm does
    // not depend on the shards.
    const RankPart part = own_part(bucket, communicator_.rank());
    if (part.count() > 0)
      squares += sum_of_squares<float>(range(bucket.values.data(), part.begin, part.count()));
    for (Piece& piece : bucket.pieces)
      if (last_pass_)
        piece.complete = optimizer_.slots()[piece.slot].parameter.grad_changes() - piece.first;
  }
  known_ = last_pass_;
  last_pass_ = false;
  started_ = 0;
  const std::vector<double> all = communicator_.all_gather(
      std::span<const double>(std::vector<double>{squares, loss_, stop_ ? 1.0 : 0.0}));
  squares = loss_ = 0;
  stop_ = false;
  for (std::size_t r = 0; r < all.size(); r += 3) {
    squares += all[r];
    loss_ += all[r + 1];
    stop_ = stop_ || all[r + 2] != 0;
  }
  waited_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!std::isfinite(loss_)) raise<NumericError>("the loss is ", loss_);
  return std::sqrt(squares);
}

RankPart SharedGradients::own_part(const Bucket& bucket, int rank) const {
  return part_of(static_cast<index_t>(bucket.values.size()), rank, communicator_.size());
}

/// The elements of a parameter that belong to the shard of a rank.
RankPart SharedGradients::shard(const Bucket& bucket, const Piece& piece, int rank) const {
  const RankPart part = own_part(bucket, rank);
  const auto inside = [&](index_t i) {
    return std::clamp<index_t>(i - piece.begin, 0, piece.count);
  };
  return {inside(part.begin), inside(part.end)};
}

void SharedGradients::update(index_t step, const AdamWOptions& options, double scale,
                             std::span<const double> ema_decays) {
  for (Bucket& bucket : buckets_) {
    for (const Piece& piece : bucket.pieces) {
      auto& slot = optimizer_.slots()[piece.slot];
      const RankPart part =
          sharded_ ? shard(bucket, piece, communicator_.rank()) : RankPart{0, piece.count};
      if (part.count() == 0) continue;
      const View<float> parameter =
          range(slot.parameter.mutable_value().data(), part.begin, part.count());
      const auto of = [&](Tensor<float>& tensor) { return range(tensor.data(), 0, part.count()); };
      if (piece.given && slot.muon_parts > 0)  // never sharded: see RankSharing::require_shareable
        optimizer_.update(slot,
                          {bucket.values.data() + piece.begin, slot.parameter.value().shape()},
                          options, scale);
      else if (piece.given)
        adamw_step<float>(parameter,
                          range(bucket.values.data(), piece.begin + part.begin, part.count()),
                          of(slot.exp_avg), of(slot.exp_avg_sq), step, options, scale);
      for (std::size_t k = 0; k < ema_decays.size(); ++k)
        ema_update<float>(of(slot.average(k)), parameter, ema_decays[k]);
    }
    if (!sharded_) continue;
    // The new weights of all ranks, through the memory of the bucket.
    const RankPart own = own_part(bucket, communicator_.rank());
    for (const Piece& piece : bucket.pieces) {
      const RankPart part = shard(bucket, piece, communicator_.rank());
      const float* weights = optimizer_.slots()[piece.slot].parameter.value().data();
      std::copy(weights + part.begin, weights + part.end,
                bucket.values.begin() + static_cast<std::ptrdiff_t>(piece.begin + part.begin));
    }
    const unsigned channel = communicator_.new_channel();
    std::vector<OutgoingBytes> outgoing;
    std::vector<IncomingBytes> incoming;
    const auto bytes = [&](const RankPart& part) {
      return std::as_writable_bytes(std::span(bucket.values)
                                        .subspan(static_cast<std::size_t>(part.begin),
                                                 static_cast<std::size_t>(part.count())));
    };
    for (int r = 0; r < communicator_.size(); ++r) {
      if (r == communicator_.rank()) continue;
      outgoing.push_back({r, bytes(own)});
      incoming.push_back({r, bytes(own_part(bucket, r))});
    }
    const auto transfer = communicator_.start(channel, std::move(outgoing), std::move(incoming));
    communicator_.wait(*transfer, "all_gather");
    for (const Piece& piece : bucket.pieces)
      std::copy_n(bucket.values.begin() + static_cast<std::ptrdiff_t>(piece.begin),
                  static_cast<std::size_t>(piece.count),
                  optimizer_.slots()[piece.slot].parameter.mutable_value().data());
  }
}

/// Assembles the shards of a tensor of the optimiser's state.
void SharedGradients::complete_tensor(const Bucket& bucket, const Piece& piece,
                                      Tensor<float>& tensor, bool everywhere) {
  const unsigned channel = communicator_.new_channel();
  if (communicator_.is_root()) {
    Tensor<float> full(optimizer_.slots()[piece.slot].parameter.shape());  // (*)
    std::vector<IncomingBytes> incoming;
    for (int r = 0; r < communicator_.size(); ++r) {
      const RankPart part = shard(bucket, piece, r);
      if (part.count() == 0) continue;
      if (r == 0)
        std::copy_n(std::as_const(tensor).data(), static_cast<std::size_t>(part.count()),
                    full.data() + part.begin);
      else
        incoming.push_back({r, std::as_writable_bytes(
                                   full.span().subspan(static_cast<std::size_t>(part.begin),
                                                       static_cast<std::size_t>(part.count())))});
    }
    const auto transfer = communicator_.start(channel, {}, std::move(incoming));
    communicator_.wait(*transfer, "gather");
    tensor = std::move(full);
  } else {
    std::vector<OutgoingBytes> outgoing;
    if (shard(bucket, piece, communicator_.rank()).count() > 0)
      outgoing.push_back({0, std::as_bytes(std::as_const(tensor).span())});
    const auto transfer = communicator_.start(channel, std::move(outgoing), {});
    communicator_.wait(*transfer, "gather");
    if (everywhere) tensor = Tensor<float>(optimizer_.slots()[piece.slot].parameter.shape());
  }
  if (everywhere) communicator_.broadcast(bytes_of(tensor));
}

void SharedGradients::complete(bool everywhere) {
  if (!sharded_ || buckets_.empty()) return;  // before the first step, all ranks have all
  for (const Bucket& bucket : buckets_)
    for (const Piece& piece : bucket.pieces) {
      auto& slot = optimizer_.slots()[piece.slot];
      for (Tensor<float>* tensor : state_of(slot))
        complete_tensor(bucket, piece, *tensor, everywhere);
    }
  full_ = everywhere || communicator_.is_root();
}

void SharedGradients::divide() {
  if (!sharded_ || !full_ || buckets_.empty()) return;
  for (const Bucket& bucket : buckets_)
    for (const Piece& piece : bucket.pieces) {
      auto& slot = optimizer_.slots()[piece.slot];
      const RankPart part = shard(bucket, piece, communicator_.rank());
      for (Tensor<float>* tensor : state_of(slot)) {
        Tensor<float> own;  // (n), empty where this rank has no element
        if (part.count() > 0) {
          own = Tensor<float>(Shape{part.count()});
          std::copy_n(std::as_const(*tensor).data() + part.begin,
                      static_cast<std::size_t>(part.count()), own.data());
        }
        *tensor = std::move(own);
      }
    }
  full_ = false;
}

double SharedGradients::bytes_sent() const noexcept {
  double elements = 0;
  for (const Bucket& bucket : buckets_) elements += static_cast<double>(bucket.values.size());
  const double n = communicator_.size();
  return 2 * (n - 1) / n * elements * sizeof(float);
}

}  // namespace rae::detail
