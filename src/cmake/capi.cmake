# rae::c, the C interface: one shared library. If the C++ libraries are static, it contains them;
# they are always compiled as position-independent code, so nothing is compiled twice.
file(GLOB rae_c_sources CONFIGURE_DEPENDS src/capi/*.cpp)
add_library(rae_c SHARED ${rae_c_sources})
add_library(rae::c ALIAS rae_c)
rae_set_object_properties(rae_c)
set(rae_c_names ${CMAKE_CURRENT_SOURCE_DIR}/src/cmake/exported_c_names.map)
set_target_properties(rae_c PROPERTIES
  EXPORT_NAME c OUTPUT_NAME rae_c VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINK_DEPENDS ${rae_c_names}
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_sources(rae_c PUBLIC FILE_SET HEADERS BASE_DIRS include FILES include/rae/rae.h)
target_link_libraries(rae_c PRIVATE rae_rae $<BUILD_INTERFACE:rae_warnings>)
target_compile_options(rae_c PRIVATE ${rae_glue_flags})
if(RAE_LINKER_HAS_VERSION_SCRIPT)
  target_link_options(rae_c PRIVATE "LINKER:--version-script,${rae_c_names}")
endif()
# Its threads keep running after dlclose, so it must stay in memory.
check_linker_flag(CXX "LINKER:-z,nodelete" RAE_LINKER_HAS_NODELETE)
if(RAE_LINKER_HAS_NODELETE)
  target_link_options(rae_c PRIVATE "LINKER:-z,nodelete")
endif()
