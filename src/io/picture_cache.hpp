// Decoded pictures that a data set keeps in memory, because trainings read each of them many times.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"

namespace rae::detail {

/// Keeps each picture from its second reading on, if it has no more bytes than its share of the
/// budget: a data set that is read only once costs no memory. Can be used from several threads.
class PictureCache {
 public:
  /// For `pictures` pictures, of `budget` bytes together.
  PictureCache(std::size_t pictures, std::size_t budget)
      : most_(pictures == 0 ? 0 : budget / pictures), entries_(pictures) {}

  /// Picture `i`, decoded by `decode` unless it is kept. Throws as `decode`.
  [[nodiscard]] std::shared_ptr<const Image> get(std::size_t i, const Function<Image()>& decode) {
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      Entry& entry = entries_[i];
      if (entry.image) return entry.image;
      again = entry.was_read;
      entry.was_read = true;
    }
    auto image = std::make_shared<const Image>(decode());
    if (again && image->pixels().size() <= most_) {
      const std::lock_guard lock(mutex_);
      entries_[i].image = image;
    }
    return image;
  }

 private:
  struct Entry {
    std::shared_ptr<const Image> image;
    bool was_read = false;
  };

  std::size_t most_;  // bytes of one picture
  std::vector<Entry> entries_;
  std::mutex mutex_;
};

}  // namespace rae::detail
