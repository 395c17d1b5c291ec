// Block: the memory of one tensor, with a count of the tensors that share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "rae/error.hpp"

namespace rae::detail {

/// A reference count that several threads may change at the same time. Used in place of
/// std::atomic<int>, whose header has 24,000 lines. The count starts at 1.
class ReferenceCount {
 public:
  /// Sets the count to 1.
  void set_one() noexcept { __atomic_store_n(&count_, 1, __ATOMIC_RELAXED); }
  /// Adds one holder.
  void add() noexcept { __atomic_fetch_add(&count_, 1, __ATOMIC_RELAXED); }
  /// Removes one holder; true if it was the last.
  [[nodiscard]] bool remove() noexcept {
    return __atomic_fetch_sub(&count_, 1, __ATOMIC_ACQ_REL) == 1;
  }
  /// True when there is exactly one holder.
  [[nodiscard]] bool is_one() const noexcept {
    return __atomic_load_n(&count_, __ATOMIC_ACQUIRE) == 1;
  }

 private:
  int count_ = 1;
};

struct Block;

/// An allocator of blocks other than the heap, such as the pool of a Workspace.
class BlockSource {
 public:
  /// A block of at least `bytes` bytes with one holder. Throws std::bad_alloc, ArgumentError.
  virtual Block* take(std::size_t bytes) = 0;
  /// Takes a block back that has no holder any more.
  virtual void give_back(Block* block) noexcept = 0;

 protected:
  ~BlockSource() = default;
};

/// Header of a tensor's memory. The elements start kAlignment bytes after its address.
struct Block {
  ReferenceCount references;
  std::size_t capacity = 0;       // bytes after the header
  BlockSource* source = nullptr;  // takes the block back; null: the heap
  void* from_calloc = nullptr;    // the address to pass to free, if calloc allocated the block
  Block* next = nullptr;          // in the source's list of free blocks
};

/// Alignment of a tensor's elements, in bytes.
inline constexpr std::size_t kAlignment = 64;
static_assert(sizeof(Block) <= kAlignment);

/// Blocks of zeros of at least this many bytes come from calloc, which maps fresh pages.
inline constexpr std::size_t kLargeBlock = std::size_t{1} << 22;

/// Throws ArgumentError for a size beyond any address space, which would overflow when the header
/// is added.
inline void require_block_size(std::size_t bytes) {
  if (bytes > (std::size_t{1} << 47))
    raise<ArgumentError>("a tensor of ", bytes, " bytes cannot be allocated");
}

/// A block of uninitialised elements from the heap. Throws std::bad_alloc, ArgumentError.
inline Block* heap_block(std::size_t bytes) {
  require_block_size(bytes);
  void* memory = ::operator new (kAlignment + bytes, std::align_val_t{kAlignment});
  Block* block = ::new (memory) Block;
  block->capacity = bytes;
  return block;
}

/// A large block of zeros. The system provides its pages only when they are first written. Throws
/// std::bad_alloc, ArgumentError.
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

/// Returns a block to the heap.
inline void free_block(Block* block) noexcept {
  void* const from_calloc = block->from_calloc;
  block->~Block();
  if (from_calloc != nullptr)
    std::free(from_calloc);
  else
    ::operator delete (static_cast<void*>(block), std::align_val_t{kAlignment});
}

/// The source of memory for tensors that this thread creates; null: the heap.
inline thread_local BlockSource* current_source = nullptr;

/// A block of uninitialised elements from the current source. Throws std::bad_alloc,
/// ArgumentError.
inline Block* allocate_block(std::size_t bytes) {
  return current_source ? current_source->take(bytes) : heap_block(bytes);
}

/// A block of zeros from the current source. Throws std::bad_alloc, ArgumentError.
inline Block* allocate_zeros(std::size_t bytes) {
  if (current_source == nullptr && bytes >= kLargeBlock) return zero_block(bytes);
  Block* block = allocate_block(bytes);
  std::memset(reinterpret_cast<char*>(block) + kAlignment, 0, bytes);
  return block;
}

/// Adds a holder; null is allowed.
inline void retain(Block* block) noexcept {
  if (block) block->references.add();
}

/// Removes a holder; the last one returns the block to its source. Null is allowed.
inline void release(Block* block) noexcept {
  if (!block || !block->references.remove()) return;
  if (block->source)
    block->source->give_back(block);
  else
    free_block(block);
}

}  // namespace rae::detail
