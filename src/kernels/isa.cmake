# Sets the compile options of the files in this folder, and these variables:
#   rae_isa_definitions  definitions of the target that compiles them
#   rae_other_isas       a regular expression for files of other processors
set(rae_isa_definitions "")
set(rae_other_isas "/isa_(avx|neon)")
# The library never reads floating-point exceptions. Without them, g++ also vectorises loops with
# comparisons without masks.
set(rae_isa_flags -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math)

# One file per instruction set. These files use only plain pointers, so that no code that they share
# with other files is compiled for a newer CPU.
function(rae_isa_options name)
  set_source_files_properties(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/isa_${name}.cpp PROPERTIES
                              COMPILE_OPTIONS "${rae_isa_flags};${ARGN}"
                              SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

rae_isa_options(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(rae_isa_definitions RAE_X86=1)
  set(rae_other_isas "/isa_neon")
  # prefetchw fetches a line for writing; on the few CPUs with AVX2 but without prefetchw it is an
  # instruction without effect.
  set(rae_avx2_flags -mavx2 -mfma -mprfchw)
  set(rae_avx512_flags ${rae_avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl
    -mprefer-vector-width=512)
  rae_isa_options(avx2 ${rae_avx2_flags})
  rae_isa_options(avx2_vnni ${rae_avx2_flags} -mavxvnni)
  rae_isa_options(avx512 ${rae_avx512_flags})
  rae_isa_options(avx512_vnni ${rae_avx512_flags} -mavx512vnni)
  rae_isa_options(avx512_bf16 ${rae_avx512_flags} -mavx512bf16)
  rae_isa_options(avx512_amx ${rae_avx512_flags} -mavx512vnni -mamx-tile -mamx-bf16 -mamx-int8)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(rae_isa_definitions RAE_ARM64=1)
  set(rae_other_isas "/isa_avx")
  rae_isa_options(neon)
  rae_isa_options(neon_dot -march=armv8.2-a+dotprod)
endif()

# The square root of AdamW can become a vector instruction only if it does not set errno; its values
# stay the same.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/optimizer_step.cpp PROPERTIES COMPILE_OPTIONS
  -fno-math-errno)
