// Options of loading the weights of a model.
#pragma once

#include <cstdint>
#include <optional>

#include "rae/core/dtype.hpp"
#include "rae/spec/layer_types.hpp"

namespace rae {

/// Options of loading the weights of a model.
struct LoadOptions {
  /// True loads all networks at once and keeps them. False loads a network when it is first used
  /// and releases the others at that time: encoder and decoder before the diffusion network is
  /// loaded, and vice versa. The memory of the largest network is then enough, but a program that
  /// alternates between networks reads the files again each time.
  bool keep_loaded = true;
  /// The type of the weights in matrix products, with the exceptions of weight_types.hpp:
  /// DType::f32; DType::bf16 or DType::int8 for speed and less memory; DType::int8w or DType::int4
  /// for less memory alone. Tensors are converted one by one as they are read. Absent: f32, or the
  /// type that the files are packed for.
  std::optional<DType> dtype{};
  /// True: where `dtype` is absent, and neither `layer_types` nor packed files give a type, that of
  /// `fastest_dtype` instead of f32.
  bool auto_dtype = false;
  /// A type for each matrix instead; empty: `dtype`. Networks that are used need a type for all
  /// their matrices. Files that are packed with a type for each matrix can only be loaded with
  /// these.
  LayerTypes layer_types{};
  /// Limit of the bytes that weights take; 0: the memory that the system reports as free. A model
  /// that needs more is refused with MemoryError before anything is read.
  std::uint64_t available_memory = 0;
};

}  // namespace rae
