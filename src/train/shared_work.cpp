#include "train/shared_work.hpp"

#include <algorithm>
#include <utility>

namespace rae::detail {

void share_in_order(Communicator& ranks, index_t count, const Function<Piece(index_t)>& compute,
                    const Function<void(index_t, Piece&)>& take) {
  const index_t size = ranks.size();
  std::vector<std::string> arrived;  // on rank 0: the pieces of the last round
  index_t next = 0;                  // the piece to take
  const auto take_arrived = [&] {
    for (std::string& bytes : std::exchange(arrived, {})) {
      Piece piece(std::move(bytes));
      take(next++, piece);
    }
  };
  for (index_t first = 0; first < count; first += size) {
    Piece own;
    // Rank 0 takes the last round while the others compute.
    ranks.agree([&] {
      take_arrived();
      if (first + ranks.rank() < count) own = compute(first + ranks.rank());
    });
    arrived = ranks.gather(own.bytes());
    if (ranks.is_root()) arrived.resize(static_cast<std::size_t>(std::min(size, count - first)));
  }
  ranks.on_root(take_arrived);
}

}  // namespace rae::detail
