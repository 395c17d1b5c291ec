#include "kernels/kernel_table.hpp"

#include <cstdlib>
#include <string>
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

/// "baseline, avx2 and avx512", of the variants that are available here.
std::string available_isas() {
  std::string names;
  Isa last = Isa::baseline;
  for (const Isa isa : kIsas)
    if (supports(isa)) last = isa;
  for (const Isa isa : kIsas)
    if (supports(isa))
      names += concat(names.empty() ? "" : isa == last ? " and " : ", ", name_of(isa));
  return names;
}

Isa isa_of_environment() {
  const char* const requested = std::getenv("RAE_ISA");
  return choose_isa(requested == nullptr ? "" : requested);
}

struct Selection {
  Isa isa;
  detail::IsaTables tables;
  explicit Selection(Isa chosen) : isa(chosen), tables(tables_of(chosen)) {}
};

/// Throws ArgumentError at each call until the environment names an available variant.
Selection& selection() {
  static Selection chosen(isa_of_environment());
  return chosen;
}

}  // namespace

Isa choose_isa(std::string_view requested) {
  if (requested.empty()) {
    Isa widest = Isa::baseline;
    for (const Isa isa : kIsas)
      if (supports(isa)) widest = isa;
    return widest;
  }
  for (const Isa isa : kIsas) {
    if (requested != name_of(isa)) continue;
    if (supports(isa)) return isa;
    raise<ArgumentError>("RAE_ISA: this processor does not support '", requested,
                         "'; available here: ", available_isas());
  }
  raise<ArgumentError>("RAE_ISA: unknown instruction set '", requested,
                       "'; available here: ", available_isas());
}

Isa active_isa() { return selection().isa; }

void set_isa(Isa isa) {
  if (!supports(isa))
    raise<ArgumentError>("set_isa: this processor does not support ", name_of(isa),
                         "; available here: ", available_isas());
  selection() = Selection(isa);
}

namespace detail {
template <>
const KernelTable<float>& kernel_table<float>() {
  return *selection().tables.f32;
}
template <>
const KernelTable<double>& kernel_table<double>() {
  return *selection().tables.f64;
}
const NarrowTable& narrow_table() { return selection().tables.narrow; }
}  // namespace detail

}  // namespace rae
