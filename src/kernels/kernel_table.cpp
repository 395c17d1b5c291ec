#include "kernels/kernel_table.hpp"

#include <cstdlib>
#include <string_view>

#include "rae/kernels/isa.hpp"

namespace rae {
namespace {

detail::IsaTables tables_of(Isa isa) noexcept {
#if defined(RAE_X86)
  if (isa >= Isa::avx512) {
    detail::IsaTables tables = detail::avx512_tables();
    if (isa >= Isa::avx512_vnni) detail::use_avx512_vnni(tables.narrow);
    if (isa == Isa::avx512_bf16) detail::use_avx512_bf16(tables.narrow);
    if (isa == Isa::avx512_amx) detail::use_avx512_amx(tables.narrow);
    return tables;
  }
  if (isa >= Isa::avx2) {
    detail::IsaTables tables = detail::avx2_tables();
    if (isa >= Isa::avx2_vnni) detail::use_avx2_vnni(tables.narrow);
    return tables;
  }
#elif defined(RAE_ARM64)
  if (isa >= Isa::neon) {
    detail::IsaTables tables = detail::neon_tables();
    if (isa >= Isa::neon_dot) detail::use_neon_dot(tables.narrow);
    return tables;
  }
#else
  static_cast<void>(isa);
#endif
  return detail::baseline_tables();
}

Isa choose() noexcept {
  const char* forced = std::getenv("RAE_ISA");
  Isa chosen = Isa::baseline;
  for (const Isa isa : kIsas)
    if (supports(isa) &&
        (forced == nullptr || *forced == '\0' || std::string_view(forced) == name_of(isa)))
      chosen = isa;
  return chosen;
}

struct Selection {
  Isa isa = choose();
  detail::IsaTables tables = tables_of(isa);
};

Selection& selection() noexcept {
  static Selection chosen;
  return chosen;
}

}  // namespace

Isa active_isa() noexcept { return selection().isa; }

void set_isa(Isa isa) {
  if (!supports(isa)) raise<ArgumentError>("set_isa: this CPU does not support ", name_of(isa));
  selection() = {isa, tables_of(isa)};
}

namespace detail {
template <>
const KernelTable<float>& kernel_table<float>() noexcept {
  return *selection().tables.f32;
}
template <>
const KernelTable<double>& kernel_table<double>() noexcept {
  return *selection().tables.f64;
}
const NarrowTable& narrow_table() noexcept { return selection().tables.narrow; }
}  // namespace detail

}  // namespace rae
