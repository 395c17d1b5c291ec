// Structures of the C interface that grow at the end: each begins with its size.
#pragma once

#include <algorithm>
#include <cstring>

#include "capi/errors.hpp"
#include "capi/handles.hpp"

namespace rae::capi {

/// Largest size of a structure that is accepted, so that an uninitialised one is noticed.
inline constexpr std::size_t kMostBytesOfStructure = 4096;

/// Throws ArgumentError for a size that no version of a structure has.
inline void require_size(const char* name, std::size_t size) {
  if (size < sizeof(std::size_t) || size > kMostBytesOfStructure)
    raise<ArgumentError>(name, ": its size is ", size, "; expected sizeof(", name,
                         "), which the function that sets the defaults stores");
}

/// Copies the first `size` bytes of the defaults to a structure of the caller; the rest of a longer
/// structure is set to 0. Its first member becomes `size`.
template <class S>
void write_structure(const char* name, const S& values, S* out, std::size_t size) {
  require_pointer(out, name);
  require_size(name, size);
  S copy = values;
  copy.size = size;
  auto* bytes = reinterpret_cast<unsigned char*>(out);
  std::memcpy(bytes, &copy, std::min(size, sizeof(S)));
  if (size > sizeof(S)) std::memset(bytes + sizeof(S), 0, size - sizeof(S));
}

/// The caller's structure, with the defaults in members that it does not have; null: the defaults.
/// Throws ArgumentError for a wrong size, and for a longer structure of a newer version with a
/// member that is not 0.
template <class S>
S read_structure(const char* name, const S& defaults, const S* given) {
  S out = defaults;
  if (given == nullptr) return out;
  std::size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  std::memcpy(&size, bytes, sizeof size);
  require_size(name, size);
  std::memcpy(&out, bytes, std::min(size, sizeof(S)));
  for (std::size_t i = sizeof(S); i < size; ++i)
    if (bytes[i] != 0)
      raise<ArgumentError>(name, ": a member is set that version ", rae_version(),
                           " of the library does not have");
  return out;
}

/// The options of loading.
[[nodiscard]] LoadOptions load_options(const rae_load_options* given);

/// The options of sampling, without the callback.
[[nodiscard]] GenerateOptions generate_options(const rae_sample_options& given,
                                               const ModelConfig& model);

/// The caller's options of sampling, with defaults. Throws ArgumentError when they are null.
[[nodiscard]] rae_sample_options sample_options(const rae_sample_options* given);

/// Writes the facts about a model that do not depend on its weights, and the given type.
void write_model_info(const ModelConfig& model, const char* dtype, rae_model_info* info);

}  // namespace rae::capi
