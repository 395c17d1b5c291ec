// Workspace: recycled memory of temporary tensors. Blocks that tensors release are kept and reused,
// so that only the first of several equal steps allocates memory. Sizes are rounded up, and a block
// is reused only for its own rounded size: each step then needs the same number of blocks of each
// size, in whatever order the blocks were released. If smaller tensors could take larger blocks, a
// later step might find a block taken that an earlier one had found free.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rae/core/block.hpp"

namespace rae {

namespace detail {

/// The C library's sched_yield, declared here because public headers include no header of the
/// system.
int yield_processor() noexcept __asm__("sched_yield");

/// A lock that is held for a few instructions only. Waiting threads yield their processor.
class ShortLock {
 public:
  void lock() noexcept {
    while (__atomic_test_and_set(&locked_, __ATOMIC_ACQUIRE)) yield_processor();
  }
  void unlock() noexcept { __atomic_clear(&locked_, __ATOMIC_RELEASE); }

 private:
  bool locked_ = false;
};

/// Holds a ShortLock until the end of the scope.
class ShortLockGuard {
 public:
  explicit ShortLockGuard(ShortLock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~ShortLockGuard() { lock_.unlock(); }
  ShortLockGuard(const ShortLockGuard&) = delete;
  ShortLockGuard& operator=(const ShortLockGuard&) = delete;

 private:
  ShortLock& lock_;
};

/// Bytes of the block for a request: rounded up to one of four sizes between two powers of two, by
/// less than a quarter (or 64 bytes), so that requests of about the same size share blocks.
constexpr std::size_t pooled_size(std::size_t bytes) noexcept {
  std::size_t step = kAlignment;
  while (8 * step <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

/// The free blocks of a Workspace. Lives until the workspace is destroyed and no tensor holds one
/// of its blocks any more.
class Pool final : public BlockSource {
 public:
  Block* take(std::size_t requested) override {
    require_block_size(requested);
    const std::size_t bytes = pooled_size(requested);
    if (Block* block = take_free(bytes)) return block;
    Block* block = nullptr;
    try {
      block = heap_block(bytes);
    } catch (...) {
      const ShortLockGuard guard(lock_);
      --live_;
      throw;
    }
    block->source = this;
    const ShortLockGuard guard(lock_);
    reserved_ += bytes;
    ++allocations_;
    return block;
  }

  void give_back(Block* block) noexcept override {
    bool last = false, closed = false;
    {
      const ShortLockGuard guard(lock_);
      --live_;
      closed = closed_;
      last = closed && live_ == 0;
      if (!closed) {
        block->next = free_;
        free_ = block;
      }
    }
    if (closed) free_block(block);
    if (last) delete this;
  }

  /// Called when the workspace is destroyed: frees unused blocks, and the pool itself once the last
  /// tensor has released its block.
  void close() noexcept {
    release_unused();
    bool last = false;
    {
      const ShortLockGuard guard(lock_);
      closed_ = true;
      last = live_ == 0;
    }
    release_unused();  // blocks that other threads have returned since the first call
    if (last) delete this;
  }

  /// Returns all free blocks to the heap.
  void release_unused() noexcept {
    Block* unused = nullptr;
    {
      const ShortLockGuard guard(lock_);
      unused = free_;
      free_ = nullptr;
      for (Block* block = unused; block != nullptr; block = block->next)
        reserved_ -= block->capacity;
    }
    while (unused != nullptr) {
      Block* const next = unused->next;
      free_block(unused);
      unused = next;
    }
  }

  /// As the members of Workspace.
  [[nodiscard]] std::size_t reserved() const noexcept { return reserved_; }
  [[nodiscard]] std::uint64_t allocations() const noexcept { return allocations_; }

 private:
  /// A free block of this size, or null. Either way the request counts as a live block; the caller
  /// must allocate one for null.
  Block* take_free(std::size_t bytes) noexcept {
    const ShortLockGuard guard(lock_);
    ++live_;
    Block** link = &free_;
    while (*link != nullptr && (*link)->capacity != bytes) link = &(*link)->next;
    Block* const block = *link;
    if (block == nullptr) return nullptr;
    *link = block->next;
    block->references.set_one();
    return block;
  }

  ShortLock lock_;
  Block* free_ = nullptr;
  std::size_t live_ = 0;
  std::size_t reserved_ = 0;
  std::uint64_t allocations_ = 0;
  bool closed_ = false;
};

}  // namespace detail

/// Owns recycled memory. While a `WorkspaceScope` for it exists, tensors that this thread creates
/// take their memory from it; a tensor may outlive both.
class Workspace {
 public:
  Workspace() : pool_(new detail::Pool) {}
  ~Workspace() { pool_->close(); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Bytes allocated from the heap and not returned to it, in use or free, of rounded sizes.
  [[nodiscard]] std::size_t reserved_bytes() const noexcept { return pool_->reserved(); }

  /// Number of allocations from the heap so far; constant after the first of several equal steps.
  [[nodiscard]] std::uint64_t allocations() const noexcept { return pool_->allocations(); }

  /// Returns memory that no tensor uses to the heap.
  void release_unused() noexcept { pool_->release_unused(); }

 private:
  friend class WorkspaceScope;
  detail::Pool* pool_;
};

/// Makes a workspace the source of this thread's tensors until the end of the scope. Scopes nest.
class WorkspaceScope {
 public:
  /// The workspace must live until the end of the scope.
  explicit WorkspaceScope(Workspace& workspace) noexcept : previous_(detail::current_source) {
    detail::current_source = workspace.pool_;
  }
  ~WorkspaceScope() { detail::current_source = previous_; }
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

 private:
  detail::BlockSource* previous_;
};

}  // namespace rae
