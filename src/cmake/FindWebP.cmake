# Finds libwebp: the target WebP::webp, like the package that newer versions of libwebp install, and
# WebP_FOUND. Searches the folders of CMAKE_PREFIX_PATH and those of the system.
find_path(WebP_INCLUDE_DIR webp/decode.h)
find_library(WebP_LIBRARY webp)
# From version 1.3 on, a static libwebp needs a second library.
find_library(WebP_SHARPYUV_LIBRARY sharpyuv)
mark_as_advanced(WebP_INCLUDE_DIR WebP_LIBRARY WebP_SHARPYUV_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(WebP REQUIRED_VARS WebP_LIBRARY WebP_INCLUDE_DIR)
if(WebP_FOUND AND NOT TARGET WebP::webp)
  add_library(WebP::webp UNKNOWN IMPORTED)
  set_target_properties(WebP::webp PROPERTIES IMPORTED_LOCATION "${WebP_LIBRARY}"
                                              INTERFACE_INCLUDE_DIRECTORIES "${WebP_INCLUDE_DIR}")
  if(WebP_SHARPYUV_LIBRARY AND WebP_LIBRARY MATCHES "\\.a$")
    target_link_libraries(WebP::webp INTERFACE ${WebP_SHARPYUV_LIBRARY})
  endif()
endif()
