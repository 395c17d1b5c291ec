// The fastest type of matrix products on a processor, among those whose error is small enough.
#pragma once

#include <span>

#include "rae/core/cpu.hpp"
#include "rae/core/dtype.hpp"

namespace rae {

/// Limit of the error of a type that `fastest_dtype` chooses: the relative error
/// |difference| / |f32| of latents after 50 steps, measured with the built-in model.
inline constexpr double kFastestDtypeError = 0.02;

/// A type of matrix products with some kernels.
struct DTypeFigures {
  DType type = DType::f32;  ///< f32, bf16 or int8
  /// How many times as fast as f32: measured products of 256 rows, with weights that no cache holds
  /// (docs/performance.md); 0 where it was not measured.
  double speed = 1;
  /// Measured relative error of latents after 50 steps, without or with guidance, whichever is
  /// larger (docs/09_data_types.md).
  double error = 0;
};

/// The types of matrix products with these kernels, the fastest first, f32 among them. Types that
/// are slower than f32, and types of stored weights only (int8w, int4), are absent.
[[nodiscard]] std::span<const DTypeFigures> dtype_figures(Isa isa) noexcept;

/// The fastest type with these kernels whose error is at most `kFastestDtypeError`. See
/// `active_isa` for those in use.
[[nodiscard]] DType fastest_dtype(Isa isa) noexcept;

/// The same for the kernels in use. Throws ArgumentError as `active_isa`.
[[nodiscard]] DType fastest_dtype();

}  // namespace rae
