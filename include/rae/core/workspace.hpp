// Workspace: memory for repeated steps. Blocks released by tensors are kept and reused, so that the
// second step of a loop of equal steps allocates nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "rae/error.hpp"

namespace rae {

namespace detail {

class Pool;

/// Header in front of every tensor's elements. The elements start one alignment unit after it.
struct Block {
  std::atomic<int> references{1};
  std::size_t capacity = 0;     // bytes after the header
  Pool* pool = nullptr;         // to which it returns; null: the heap
  void* from_calloc = nullptr;  // the pointer to free instead, for zeroed memory
};

inline constexpr std::size_t kAlignment = 64;
static_assert(sizeof(Block) <= kAlignment);

/// Zeros of this size and more come as fresh pages of the system.
inline constexpr std::size_t kLargeBlock = std::size_t{1} << 22;

// A length that no address space holds would wrap around when the header is added.
inline void require_block_size(std::size_t bytes) {
  if (bytes > (std::size_t{1} << 47))
    raise<ArgumentError>("a tensor of ", bytes, " bytes cannot be allocated");
}

inline Block* heap_block(std::size_t bytes) {
  require_block_size(bytes);
  void* memory = ::operator new (kAlignment + bytes, std::align_val_t{kAlignment});
  Block* block = ::new (memory) Block;
  block->capacity = bytes;
  return block;
}

/// A large block of zeros, of which no page is taken before it is written.
inline Block* zero_block(std::size_t bytes) {
  require_block_size(bytes);
  void* memory = std::calloc(2 * kAlignment + bytes, 1);
  if (memory == nullptr) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(memory),
             aligned = (address + kAlignment - 1) / kAlignment * kAlignment;
  Block* block = ::new (static_cast<void*>(static_cast<char*>(memory) + (aligned - address))) Block;
  block->capacity = bytes;
  block->from_calloc = memory;
  return block;
}

inline void free_block(Block* block) noexcept {
  void* const from_calloc = block->from_calloc;
  block->~Block();
  if (from_calloc != nullptr)
    std::free(from_calloc);
  else
    ::operator delete (static_cast<void*>(block), std::align_val_t{kAlignment});
}

/// The free lists of a Workspace. Outlives it while tensors still hold its blocks.
class Pool {
 public:
  Pool() { free_.reserve(1024); }

  Block* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    // Best fit, but never a block more than twice as large: one huge block must not serve a tiny
    // tensor.
    std::size_t best = free_.size();
    for (std::size_t i = 0; i < free_.size(); ++i) {
      const std::size_t capacity = free_[i]->capacity;
      if (capacity >= bytes && capacity <= 2 * bytes &&
          (best == free_.size() || capacity < free_[best]->capacity))
        best = i;
      if (best == i && capacity == bytes) break;
    }
    ++live_;
    if (best != free_.size()) {
      Block* block = free_[best];
      free_[best] = free_.back();
      free_.pop_back();
      block->references.store(1, std::memory_order_relaxed);
      return block;
    }
    Block* block = nullptr;
    try {
      block = heap_block(bytes);
    } catch (...) {
      --live_;
      throw;
    }
    block->pool = this;
    reserved_ += bytes;
    ++allocations_;
    return block;
  }

  void give_back(Block* block) noexcept {
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      --live_;
      if (closed_) {
        free_block(block);
        last = live_ == 0;
      } else {
        free_.push_back(block);
      }
    }
    if (last) delete this;
  }

  /// Called when the workspace is destroyed: frees unused blocks, and the pool itself once the last
  /// tensor has released its block.
  void close() noexcept {
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      trim();
      closed_ = true;
      last = live_ == 0;
    }
    if (last) delete this;
  }

  void release_unused() noexcept {
    const std::lock_guard lock(mutex_);
    trim();
  }

  [[nodiscard]] std::size_t reserved() const noexcept { return reserved_; }
  [[nodiscard]] std::uint64_t allocations() const noexcept { return allocations_; }

 private:
  void trim() noexcept {
    for (Block* block : free_) {
      reserved_ -= block->capacity;
      free_block(block);
    }
    free_.clear();
  }

  mutable std::mutex mutex_;
  std::vector<Block*> free_;
  std::size_t live_ = 0;
  std::size_t reserved_ = 0;
  std::uint64_t allocations_ = 0;
  bool closed_ = false;
};

inline thread_local Pool* current_pool = nullptr;

inline Block* allocate_block(std::size_t bytes) {
  return current_pool ? current_pool->take(bytes) : heap_block(bytes);
}

/// The same, all zeros.
inline Block* allocate_zeros(std::size_t bytes) {
  if (current_pool == nullptr && bytes >= kLargeBlock) return zero_block(bytes);
  Block* block = allocate_block(bytes);
  std::memset(reinterpret_cast<char*>(block) + kAlignment, 0, bytes);
  return block;
}

inline void retain(Block* block) noexcept {
  if (block) block->references.fetch_add(1, std::memory_order_relaxed);
}

inline void release(Block* block) noexcept {
  if (!block || block->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (block->pool)
    block->pool->give_back(block);
  else
    free_block(block);
}

}  // namespace detail

/// Owns recycled memory. While a `WorkspaceScope` on it is alive, tensors created by this thread
/// take their memory here; a tensor may outlive both.
class Workspace {
 public:
  Workspace() : pool_(new detail::Pool) {}
  ~Workspace() { pool_->close(); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Bytes taken from the heap so far and not given back.
  [[nodiscard]] std::size_t reserved_bytes() const noexcept { return pool_->reserved(); }

  /// Number of times that the heap was asked for memory; constant once a loop is warm.
  [[nodiscard]] std::uint64_t allocations() const noexcept { return pool_->allocations(); }

  /// Gives memory that no tensor uses back to the heap.
  void release_unused() noexcept { pool_->release_unused(); }

 private:
  friend class WorkspaceScope;
  detail::Pool* pool_;
};

/// Makes a workspace the source of this thread's tensors until the end of the scope. Scopes nest.
class WorkspaceScope {
 public:
  explicit WorkspaceScope(Workspace& workspace) noexcept : previous_(detail::current_pool) {
    detail::current_pool = workspace.pool_;
  }
  ~WorkspaceScope() { detail::current_pool = previous_; }
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

 private:
  detail::Pool* previous_;
};

}  // namespace rae
