// Work in pieces that the ranks share, and whose results rank 0 takes in order.
//
// The pieces are dealt out in turn: in every round each rank computes the next one, and rank 0
// gathers them. So rank 0 gets the same pieces in the same order as one process would compute them,
// whatever the number of ranks: files, sums and statistics have the same bytes, and a run that was
// interrupted continues with any number of ranks, because what is finished is always a beginning.
// Only rank 0 needs the place to which the results are written; there is one writer, as the locks
// of the outputs require, and no part has to be joined afterwards. Contiguous ranges for each rank
// would need either all results in memory or a file for each rank.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/tensor.hpp"
#include "rae/train/communicator.hpp"

namespace rae::detail {

/// The result of a piece of work: arrays, one after the other.
class Piece {
 public:
  Piece() = default;
  /// A piece that was received.
  explicit Piece(std::string bytes) : bytes_(std::move(bytes)) {}

  /// Appends an array.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put(std::span<const T> values) {
    if (values.empty()) return;
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  /// Reads the next elements of the arrays into `values`. Throws CommunicationError when there are
  /// fewer.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void get(std::span<T> values) {
    const std::size_t size = values.size_bytes();
    if (size > bytes_.size() - read_)
      raise<CommunicationError>("a piece of shared work has ", bytes_.size() - read_,
                                " bytes where ", size, " are expected");
    if (size > 0) std::memcpy(values.data(), bytes_.data() + read_, size);
    read_ += size;
  }
  /// The same as a vector.
  template <class T>
  [[nodiscard]] std::vector<T> get(std::size_t count) {
    std::vector<T> out(count);
    get(std::span<T>(out));
    return out;
  }

  /// All bytes as elements of one type.
  template <class T>
  requires(sizeof(T) == 1) [[nodiscard]] std::span<const T> values() const {
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size()};
  }

  /// Appends a tensor with its shape.
  template <class T>
  void put_tensor(const Tensor<T>& tensor) {
    const Shape& shape = tensor.shape();
    const auto rank = static_cast<index_t>(shape.rank());
    put(std::span<const index_t>(&rank, 1));
    put(std::span<const index_t>(shape.begin(), static_cast<std::size_t>(rank)));
    put(tensor.span());
  }
  /// Reads a tensor.
  template <class T>
  [[nodiscard]] Tensor<T> get_tensor() {
    const auto rank = get<index_t>(1).front();
    const std::vector<index_t> extents = get<index_t>(static_cast<std::size_t>(rank));
    Tensor<T> out{Shape(std::span<const index_t>(extents))};  // of the shape that was sent
    get(out.span());
    return out;
  }

  /// All arrays.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::as_bytes(std::span(bytes_));
  }
  /// Replaces this piece by that of rank 0. Every rank calls it.
  void broadcast(Communicator& ranks) { ranks.broadcast(bytes_); }

 private:
  std::string bytes_;
  std::size_t read_ = 0;
};

/// Computes the pieces [0, count), each on one rank, and gives them to `take` on rank 0 in order.
/// Every rank calls this with the same `count`. When `compute` or `take` throws on any rank, all
/// ranks throw, as `Communicator::agree`; the pieces of complete rounds have been taken before.
void share_in_order(Communicator& ranks, index_t count, const Function<Piece(index_t)>& compute,
                    const Function<void(index_t, Piece&)>& take);

}  // namespace rae::detail
