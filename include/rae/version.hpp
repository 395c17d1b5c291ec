// The version of the library. CMakeLists.txt reads it from here, so that it is written once.
#pragma once

#define RAE_VERSION_MAJOR 0
#define RAE_VERSION_MINOR 1
#define RAE_VERSION_PATCH 0

namespace rae {

/// The version as text, for example "0.1.0".
inline constexpr const char* kVersion = "0.1.0";

}  // namespace rae
