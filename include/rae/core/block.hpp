// Block: the memory of one tensor, with a count of the tensors that share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "rae/error.hpp"

namespace rae::detail {

/// A count that threads change at the same time: std::atomic<int> without the 24,000 lines of its
/// header.
class ReferenceCount {
 public:
  void set_one() noexcept { __atomic_store_n(&count_, 1, __ATOMIC_RELAXED); }
  void add() noexcept { __atomic_fetch_add(&count_, 1, __ATOMIC_RELAXED); }
  /// True for the last one.
  [[nodiscard]] bool remove() noexcept {
    return __atomic_fetch_sub(&count_, 1, __ATOMIC_ACQ_REL) == 1;
  }
  [[nodiscard]] bool is_one() const noexcept {
    return __atomic_load_n(&count_, __ATOMIC_ACQUIRE) == 1;
  }

 private:
  int count_ = 1;
};

struct Block;

/// Where blocks come from and are returned to, other than the heap.
class BlockSource {
 public:
  virtual Block* take(std::size_t bytes) = 0;
  virtual void give_back(Block* block) noexcept = 0;

 protected:
  ~BlockSource() = default;
};

/// Header in front of every tensor's elements, which start one alignment unit after it.
struct Block {
  ReferenceCount references;
  std::size_t capacity = 0;       // bytes after the header
  BlockSource* source = nullptr;  // where it returns to; null: the heap
  void* from_calloc = nullptr;    // the address to free instead, when the memory came as zeros
  Block* next = nullptr;          // in the list of free blocks of its source
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

/// Where this thread's tensors take their memory; null: the heap.
inline thread_local BlockSource* current_source = nullptr;

inline Block* allocate_block(std::size_t bytes) {
  return current_source ? current_source->take(bytes) : heap_block(bytes);
}

/// The same, all zeros.
inline Block* allocate_zeros(std::size_t bytes) {
  if (current_source == nullptr && bytes >= kLargeBlock) return zero_block(bytes);
  Block* block = allocate_block(bytes);
  std::memset(reinterpret_cast<char*>(block) + kAlignment, 0, bytes);
  return block;
}

inline void retain(Block* block) noexcept {
  if (block) block->references.add();
}

inline void release(Block* block) noexcept {
  if (!block || !block->references.remove()) return;
  if (block->source)
    block->source->give_back(block);
  else
    free_block(block);
}

}  // namespace rae::detail
