// How the weights of a model are loaded.
#pragma once

#include <cstdint>
#include <optional>

#include "rae/core/dtype.hpp"

namespace rae {

/// How the weights of a model come into memory.
struct LoadOptions {
  /// True loads all networks at once and keeps them. False loads a network when it is first used
  /// and releases the others at that time: encoder and decoder before the diffusion network is
  /// loaded, and the reverse. Then the memory of the largest is enough, but a program that
  /// alternates between them reads the files again each time.
  bool keep_loaded = true;
  /// The type that matrix products compute with: DType::f32; for speed and less memory DType::bf16
  /// or DType::int8; for less memory alone DType::int8w or DType::int4; with the exceptions of
  /// weight_types.hpp. Tensors are converted one by one as they are read. Absent: f32, or the type
  /// that the files are packed for.
  std::optional<DType> dtype{};
  /// Bytes that weights may take; 0 asks the system how many are free. A model that needs more is
  /// refused with MemoryError before anything is read.
  std::uint64_t available_memory = 0;
};

}  // namespace rae
