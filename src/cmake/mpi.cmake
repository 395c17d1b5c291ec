# rae::mpi, the ranks of an MPI program, if MPI is installed. Sets RAE_MPI_USED (ON or OFF).
if(NOT RAE_MPI MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "RAE_MPI: expected AUTO, ON or OFF, got '${RAE_MPI}'")
endif()
set(RAE_MPI_USED OFF)
# Sanitizers report leaks inside of MPI libraries; a cross compiler would find those of the host.
if(RAE_MPI STREQUAL "ON" OR (RAE_MPI STREQUAL "AUTO" AND NOT RAE_SANITIZE
                             AND NOT CMAKE_CROSSCOMPILING))
  set(MPI_CXX_SKIP_MPICXX ON)  # only the functions of C
  find_package(MPI 3.0 QUIET COMPONENTS CXX)
  if(MPI_CXX_FOUND)
    set(RAE_MPI_USED ON)
  elseif(RAE_MPI STREQUAL "ON")
    message(FATAL_ERROR "RAE_MPI=ON, but there is no MPI (Debian: libopenmpi-dev openmpi-bin)")
  else()
    message(STATUS "No MPI (Debian: libopenmpi-dev openmpi-bin): training uses one process")
  endif()
endif()

if(RAE_MPI_USED)
  add_library(rae_mpi STATIC ${CMAKE_CURRENT_SOURCE_DIR}/src/mpi/mpi_communicator.cpp)
  add_library(rae::mpi ALIAS rae_mpi)
  set_target_properties(rae_mpi PROPERTIES EXPORT_NAME mpi OUTPUT_NAME rae_mpi CXX_EXTENSIONS OFF
                                           POSITION_INDEPENDENT_CODE ON)
  target_sources(rae_mpi PUBLIC FILE_SET HEADERS BASE_DIRS include
                                FILES include/rae/mpi/mpi_communicator.hpp)
  target_link_libraries(rae_mpi PUBLIC rae_rae PRIVATE MPI::MPI_CXX
                                                       $<BUILD_INTERFACE:rae_warnings>)
  target_compile_options(rae_mpi PRIVATE ${rae_glue_flags})
endif()
