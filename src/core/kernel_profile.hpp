// Where the time of a computation goes: a profile counts the calls of kernels on the thread that
// makes it, with their times and their work. Without a profile, each call costs one test.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"

namespace rae::detail {

/// Kinds of kernels. `product` includes convolutions and everything that is fused with a product;
/// `attention` its products, softmax and rotation; `elementwise` sums, gates, softmax and losses;
/// `copy` everything that only moves numbers.
enum class KernelKind { product, attention, norm, activation, rotation, elementwise, copy, update };
inline constexpr std::size_t kKernelKinds = 8;

/// "products", "attention", "norms", ...
[[nodiscard]] std::string_view name_of(KernelKind kind) noexcept;

/// The work of a call.
struct KernelCost {
  double products = 0;      ///< multiply-adds
  double bytes = 0;         ///< of operands and results, each counted once
  DType type = DType::f32;  ///< of the operands of the products
};

/// All calls of a kind.
struct KernelWork {
  double seconds = 0;                 ///< without waiting for other threads
  double bytes = 0;                   ///< as in KernelCost
  std::array<double, 12> products{};  ///< multiply-adds, by DType
  index_t calls = 0;
};

/// The calls of this thread's kernels while it exists. Only one exists for a thread at a time.
class KernelProfile {
 public:
  KernelProfile() noexcept;
  ~KernelProfile();
  KernelProfile(const KernelProfile&) = delete;
  KernelProfile& operator=(const KernelProfile&) = delete;

  /// Sums over all calls so far. A call within another counts as part of the outer one.
  [[nodiscard]] const KernelWork& of(KernelKind kind) const noexcept {
    return kinds_[static_cast<std::size_t>(kind)];
  }
  /// Seconds in which this thread had started a loop of a kernel, and had no part of it left to do:
  /// it waited for other threads to begin or to finish theirs.
  [[nodiscard]] double waiting() const noexcept { return waiting_; }

 private:
  friend class ProfiledKernel;
  friend class ProfiledLoop;

  std::array<KernelWork, kKernelKinds> kinds_{};
  double waiting_ = 0;
  int depth_ = 0;  // of nested calls
};

/// The profile of this thread, or null.
inline thread_local constinit KernelProfile* current_profile = nullptr;

/// Seconds on a clock that never goes back.
[[nodiscard]] inline double profile_seconds() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Counts a call of a kernel from its construction to its destruction.
class ProfiledKernel {
 public:
  /// `cost()` gives the KernelCost of the call; it is only called with a profile.
  template <class Cost>
  ProfiledKernel(KernelKind kind, Cost&& cost) : profile_(current_profile) {
    if (profile_ != nullptr) [[unlikely]]
      begin(kind, cost);
  }
  ~ProfiledKernel() {
    if (profile_ != nullptr) [[unlikely]]
      end();
  }
  ProfiledKernel(const ProfiledKernel&) = delete;
  ProfiledKernel& operator=(const ProfiledKernel&) = delete;

 private:
  template <class Cost>
  void begin(KernelKind kind, Cost& cost) {
    if (++profile_->depth_ > 1) return;
    kind_ = kind;
    const KernelCost of_call = cost();
    KernelWork& work = profile_->kinds_[static_cast<std::size_t>(kind)];
    ++work.calls;
    work.bytes += of_call.bytes;
    work.products[static_cast<std::size_t>(of_call.type)] += of_call.products;
    waited_ = profile_->waiting_;
    start_ = profile_seconds();
  }
  void end() noexcept {
    if (--profile_->depth_ > 0) return;
    profile_->kinds_[static_cast<std::size_t>(kind_)].seconds +=
        profile_seconds() - start_ - (profile_->waiting_ - waited_);
  }

  KernelProfile* profile_;
  KernelKind kind_{};
  double start_ = 0, waited_ = 0;
};

/// The bytes of views.
template <class... Views>
[[nodiscard]] KernelCost cost_of_bytes(const Views&... views) noexcept {
  return {.bytes =
              (0.0 + ... + static_cast<double>(views.numel() * index_t{sizeof(*views.data())}))};
}

/// Measures the time in which the calling thread waits during a parallel loop of a kernel.
class ProfiledLoop {
 public:
  ProfiledLoop() noexcept
      : profile_(current_profile != nullptr && current_profile->depth_ > 0 ? current_profile
                                                                           : nullptr) {
    if (profile_ != nullptr) start_ = profile_seconds();
  }
  ~ProfiledLoop() {
    if (profile_ != nullptr) profile_->waiting_ += profile_seconds() - start_ - own_;
  }
  ProfiledLoop(const ProfiledLoop&) = delete;
  ProfiledLoop& operator=(const ProfiledLoop&) = delete;

  /// Runs a part of the loop; the parts of the calling thread count as work.
  template <class Part>
  void run(Part&& part) {
    if (profile_ == nullptr || current_profile != profile_) return part();
    const double start = profile_seconds();
    part();
    own_ += profile_seconds() - start;
  }

 private:
  KernelProfile* profile_;
  double start_ = 0, own_ = 0;  // seconds
};

}  // namespace rae::detail
