# rae for Python: the module rae._rae by nanobind, which contains the libraries, with the package
# around it. `pip install .` builds it (pyproject.toml); the build tree has an importable package in
# python/.
find_package(Python 3.9 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
                OUTPUT_VARIABLE rae_nanobind OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
list(PREPEND CMAKE_PREFIX_PATH ${rae_nanobind})
find_package(nanobind CONFIG REQUIRED)

set(rae_python_source ${CMAKE_CURRENT_SOURCE_DIR}/src/python)
file(GLOB rae_python_cpp CONFIGURE_DEPENDS src/python/*.cpp)
file(GLOB rae_python_files CONFIGURE_DEPENDS src/python/rae/*.py src/python/rae/py.typed)
set(rae_python_tree ${CMAKE_CURRENT_BINARY_DIR}/python/rae)

nanobind_add_module(rae_python NB_STATIC ${rae_python_cpp})
set_target_properties(rae_python PROPERTIES OUTPUT_NAME _rae CXX_EXTENSIONS OFF
                                            LIBRARY_OUTPUT_DIRECTORY ${rae_python_tree})
target_include_directories(rae_python PRIVATE src)
# As a system folder too, so that warnings of its headers are not errors.
target_include_directories(rae_python SYSTEM PRIVATE ${rae_nanobind}/../include)
target_link_libraries(rae_python PRIVATE rae_rae rae_warnings)
target_compile_options(rae_python PRIVATE ${rae_glue_flags})
foreach(file IN LISTS rae_python_files)
  cmake_path(GET file FILENAME name)
  configure_file(${file} ${rae_python_tree}/${name} COPYONLY)
endforeach()
nanobind_add_stub(rae_python_stub MODULE rae._rae OUTPUT ${rae_python_tree}/_rae.pyi
                  PYTHON_PATH ${CMAKE_CURRENT_BINARY_DIR}/python DEPENDS rae_python)

# The package of a wheel: the module with its stubs, the program, and the models that both find at
# share/rae/models.
install(TARGETS rae_python LIBRARY DESTINATION . COMPONENT python)
install(FILES ${rae_python_files} ${rae_python_tree}/_rae.pyi DESTINATION . COMPONENT python)
install(DIRECTORY examples/models/ DESTINATION share/rae/models COMPONENT python
        FILES_MATCHING PATTERN "*.safetensors")
if(TARGET rae_tool)
  install(TARGETS rae_tool RUNTIME DESTINATION bin COMPONENT python)
endif()
