# The libraries that decode pictures. Sets RAE_JPEG_USED and RAE_WEBP_USED (ON or OFF),
# rae_decoder_libraries (targets), rae_decoder_definitions (for picture_decoders.cpp),
# rae_unused_decoders (source files), and for pkg-config rae_decoder_flags and rae_decoder_modules.
include(CheckCXXSourceCompiles)
set(rae_decoder_libraries)
set(rae_unused_decoders)
set(rae_decoder_flags)
set(rae_decoder_modules)
foreach(decoder JPEG WEBP)
  if(NOT RAE_${decoder} MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "RAE_${decoder}: expected AUTO, ON or OFF, got '${RAE_${decoder}}'")
  endif()
endforeach()

# stb_image names its version only in its first line.
file(STRINGS ${RAE_STB_INCLUDE_DIR}/stb/stb_image.h rae_stb_line LIMIT_COUNT 1)
string(REGEX MATCH "v([0-9.]+)" rae_stb_version "${rae_stb_line}")
set(rae_decoder_definitions RAE_STB_VERSION="${CMAKE_MATCH_1}")

# rae_use_decoder(OPTION TARGET FILE MODULE MISSING): uses the library TARGET, whose name for
# pkg-config is MODULE, with the source file FILE, if the target exists. Otherwise the message
# MISSING is printed, or is an error if the option is ON.
macro(rae_use_decoder option target file module missing)
  if(TARGET "${target}" AND NOT RAE_${option} STREQUAL "OFF")
    set(RAE_${option}_USED ON)
    list(APPEND rae_decoder_libraries ${target})
    string(TOUPPER ${module} rae_module)
    list(APPEND rae_decoder_definitions RAE_HAS_${rae_module}=1)
    string(REGEX REPLACE "^lib" " -l" rae_flag ${module})
    string(APPEND rae_decoder_flags "${rae_flag}")
    string(APPEND rae_decoder_modules ", ${module}")
  else()
    set(RAE_${option}_USED OFF)
    list(APPEND rae_unused_decoders ${CMAKE_CURRENT_SOURCE_DIR}/src/io/${file})
    if(RAE_${option} STREQUAL "ON")
      message(FATAL_ERROR "RAE_${option}=ON, but there is no ${missing}")
    elseif(RAE_${option} STREQUAL "AUTO")
      message(STATUS "No ${missing}")
    endif()
  endif()
endmacro()

set(rae_jpeg_target)
if(NOT RAE_JPEG STREQUAL "OFF")
  find_package(JPEG QUIET)
  if(JPEG_FOUND)
    # Other libraries of the same interface (IJG libjpeg 9) give other pixels.
    set(CMAKE_REQUIRED_LIBRARIES JPEG::JPEG)
    check_cxx_source_compiles("
      #include <cstdio>
      #include <jpeglib.h>
      #include <jerror.h>
      #ifndef LIBJPEG_TURBO_VERSION
      #error another library
      #endif
      int main() { jpeg_error_mgr errors; return jpeg_std_error(&errors) == nullptr; }"
      RAE_JPEG_IS_TURBO)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(RAE_JPEG_IS_TURBO)
      set(rae_jpeg_target JPEG::JPEG)
    endif()
  endif()
endif()
rae_use_decoder(JPEG "${rae_jpeg_target}" libjpeg_decode.cpp libjpeg
                "libjpeg-turbo (Debian: libjpeg-dev): JPEG is decoded by stb")
if(NOT RAE_WEBP STREQUAL "OFF")
  list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
  find_package(WebP QUIET MODULE)
  list(POP_FRONT CMAKE_MODULE_PATH)
endif()
rae_use_decoder(WEBP WebP::webp libwebp_decode.cpp libwebp
                "libwebp (Debian: libwebp-dev): WebP cannot be read")
