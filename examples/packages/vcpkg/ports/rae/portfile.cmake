# A port for an overlay: vcpkg install rae --overlay-ports=examples/packages/vcpkg/ports
# It builds the tree that it is in.
set(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../../..")
vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS FEATURES tool RAE_BUILD_TOOL)
foreach(feature IN ITEMS jpeg webp)
  string(TOUPPER ${feature} name)
  if(feature IN_LIST FEATURES)
    list(APPEND FEATURE_OPTIONS -DRAE_${name}=ON)
  else()
    list(APPEND FEATURE_OPTIONS -DRAE_${name}=OFF)
  endif()
endforeach()
vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS ${FEATURE_OPTIONS} -DRAE_BUILD_TESTS=OFF -DRAE_BUILD_EXAMPLES=OFF -DRAE_BUILD_C=OFF
          -DRAE_MPI=OFF -DRAE_SERVE=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/rae)
vcpkg_fixup_pkgconfig()
if("tool" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES rae AUTO_CLEAN)
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
