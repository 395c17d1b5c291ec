#include "core/kernel_profile.hpp"

namespace rae::detail {

std::string_view name_of(KernelKind kind) noexcept {
  constexpr std::string_view kNames[kKernelKinds] = {"products",    "attention", "norms",
                                                     "activations", "rotation",  "elementwise",
                                                     "copies",      "updates"};
  return kNames[static_cast<std::size_t>(kind)];
}

KernelProfile::KernelProfile() noexcept { current_profile = this; }
KernelProfile::~KernelProfile() { current_profile = nullptr; }

}  // namespace rae::detail
