#include "train/shared_statistics.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "train/shared_work.hpp"

namespace rae::detail {
namespace {

/// The elements of `part` of each of the latents (n, elements), (n, part).
Tensor<float> columns(const Tensor<float>& latents, const RankPart& part) {
  const index_t n = latents.extent(0), size = latents.numel() / n;
  Tensor<float> out(Shape{n, part.count()});  // (n, part)
  for (index_t i = 0; i < n; ++i)
    std::copy_n(latents.data() + i * size + part.begin, part.count(),
                out.data() + i * part.count());
  return out;
}

/// The statistics of all elements, on every rank, from those of the ranks' parts.
LatentStatistics joined(Communicator& ranks, const LatentStatistics& own, const Shape& shape,
                        index_t pictures) {
  Piece piece;
  if (own.count() > 0) {
    const Tensor<double> mean = own.mean<double>(), squares = own.squares();  // (part)
    piece.put(mean.span());
    piece.put(squares.span());
  }
  Tensor<double> mean(shape), squares(shape);  // (C, h, w)
  const std::vector<std::string> all = ranks.all_gather(piece.bytes());
  for (int r = 0; r < ranks.size(); ++r) {
    const RankPart part = part_of(shape.numel(), r, ranks.size());
    Piece received(all[static_cast<std::size_t>(r)]);
    for (Tensor<double>* target : {&mean, &squares})
      received.get(target->span().subspan(static_cast<std::size_t>(part.begin),
                                          static_cast<std::size_t>(part.count())));
  }
  return LatentStatistics::restored(mean, squares, pictures);
}

}  // namespace

LatentStatistics shared_statistics(
    Communicator& ranks, index_t pictures, index_t batch,
    const Function<Tensor<float>(index_t first, index_t n)>& encode) {
  LatentStatistics statistics;  // of the elements of this rank's part
  const int size = ranks.size(), rank = ranks.rank();
  if (size == 1) {
    for (index_t first = 0; first < pictures; first += batch)
      statistics.update(encode(first, std::min(batch, pictures - first)));
    return statistics;
  }
  Shape shape;  // (C, h, w)
  for (index_t round = 0; round < pictures; round += batch * size) {
    // Pictures of a rank in this round: [round + r * batch, ... + count_of(r)).
    const auto count_of = [&](int r) {
      return std::clamp<index_t>(pictures - round - r * batch, 0, batch);
    };
    Tensor<float> latents;  // (n, C, h, w) of this rank
    ranks.agree([&] {
      if (const index_t n = count_of(rank); n > 0) {
        latents = encode(round + rank * batch, n);
        if (!all_finite(std::as_const(latents).span()))
          raise<NumericError>("LatentStatistics::update: the batch contains NaN or infinity");
      }
    });
    if (shape.rank() == 0) {  // rank 0 always has pictures
      Piece extents;
      if (ranks.is_root())
        extents.put(std::span(latents.shape().begin() + 1, latents.shape().end()));
      extents.broadcast(ranks);
      const std::vector<index_t> values =
          extents.get<index_t>(extents.bytes().size() / sizeof(index_t));
      shape = Shape(std::span<const index_t>(values));
    }
    std::vector<Tensor<float>> sent, received;  // (n, part)
    std::vector<OutgoingBytes> outgoing;
    std::vector<IncomingBytes> incoming;
    const RankPart own = part_of(shape.numel(), rank, size);
    for (int r = 0; r < size; ++r) {
      const RankPart part = part_of(shape.numel(), r, size);
      received.emplace_back();
      if (count_of(r) > 0 && own.count() > 0)
        received.back() = Tensor<float>(Shape{count_of(r), own.count()});
      sent.emplace_back();
      if (count_of(rank) > 0 && part.count() > 0) sent.back() = columns(latents, part);
    }
    for (int step = 1; step < size; ++step) {
      const int to = (rank + step) % size, from = (rank + size - step) % size;
      const auto t = static_cast<std::size_t>(to), f = static_cast<std::size_t>(from);
      if (!sent[t].empty()) outgoing.push_back({to, std::as_bytes(std::as_const(sent[t]).span())});
      if (!received[f].empty())
        incoming.push_back({from, std::as_writable_bytes(received[f].span())});
    }
    const auto exchange =
        ranks.start(ranks.new_channel(), std::move(outgoing), std::move(incoming));
    ranks.wait(*exchange, "statistics");
    received[static_cast<std::size_t>(rank)] = std::move(sent[static_cast<std::size_t>(rank)]);
    for (const Tensor<float>& part : received)
      if (!part.empty()) statistics.update(part);
  }
  return joined(ranks, statistics, shape, pictures);
}

}  // namespace rae::detail
