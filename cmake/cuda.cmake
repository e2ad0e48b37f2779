# SPDX-License-Identifier: MIT
# The CUDA kernels (.cu files), three ways (docs/simt.md):
#   off    not built
#   simt   compiled by the host compiler and run by the emulator in kernels/simt. Two libraries: the
#          kernels as they are, and for the tracing programs the same files with every load and
#          store instrumented by -fsanitize=thread, whose run time is kernels/simt/trace.
#   nvcc   compiled for GPUs; to be carried, as one shared library that all programs have in common
# Both libraries are objects, so that a program chooses its kernels by linking one of them.

file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS kernels/*.cu)

if(HAZE_CUDA STREQUAL "simt")
  file(GLOB emulator CONFIGURE_DEPENDS kernels/simt/emulator/*.cpp)
  file(GLOB tracer CONFIGURE_DEPENDS kernels/simt/trace/*.cpp)
  add_library(haze_simt STATIC ${emulator})
  target_link_libraries(haze_simt PUBLIC haze_flags ${CMAKE_DL_LIBS})
  target_compile_options(haze_simt PRIVATE ${kernel_level})
  target_link_libraries(haze_kernels PUBLIC haze_simt)
  set_source_files_properties(${cuda_sources} PROPERTIES LANGUAGE CXX)

  function(haze_cuda_library name)
    add_library(${name} OBJECT ${cuda_sources})
    target_link_libraries(${name} PRIVATE haze_flags)
    target_compile_options(${name} PRIVATE "SHELL:-x c++" -Wno-unknown-pragmas ${ARGN})
  endfunction()
  # Not vectorised: a thread is scalar code, and g++ 12.2 with -O3 and -fno-trapping-math mixes up
  # several sums under one condition, such as group_norm's (tests/simt/compiler_test.cpp).
  set(emulated -fno-tree-vectorize)
  haze_cuda_library(haze_cuda ${emulated} ${kernel_level})
  # No SRA: a float4 is copied as one access of 16 bytes, as on the device. No counters of coverage: the trace would
  # see them move.
  set(traced -O2 -g1 -fno-tree-sra -fno-tree-vectorize -fsanitize=thread
             --param=tsan-instrument-func-entry-exit=0 -fno-profile-arcs -fno-test-coverage)
  haze_cuda_library(haze_cuda_traced ${traced})
  set_target_properties(haze_cuda_traced PROPERTIES EXCLUDE_FROM_ALL TRUE)
  add_library(haze_trace OBJECT EXCLUDE_FROM_ALL ${tracer})
  target_link_libraries(haze_trace PRIVATE haze_flags)
elseif(HAZE_CUDA STREQUAL "nvcc")
  if(HAZE_CARRY)
    add_library(haze_cuda SHARED ${cuda_sources})
    target_link_libraries(haze_cuda PRIVATE ${HAZE_CUDART})
    set_target_properties(haze_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
    set(nvcc_flags --compress-mode=size)
  else()
    add_library(haze_cuda OBJECT ${cuda_sources})
    set(nvcc_flags -lineinfo)
  endif()
  target_link_libraries(haze_cuda PRIVATE haze_flags)
  # Machine code for every GPU that haze is for, and PTX for later ones. What takes long is to make PTX, and of compute_80 and
  # of compute_90 it is the same: the kernels use nothing newer. So it is made twice and assembled for each GPU. For one alone:
  # -DCMAKE_CUDA_ARCHITECTURES=native.
  option(HAZE_ALL_GPUS "Machine code for each GPU of sm_80 to sm_120; off: for sm_80, sm_90 and sm_120" ON)
  if(NOT CMAKE_CUDA_ARCHITECTURES AND NOT HAZE_ALL_GPUS)
    set(gpus --generate-code=arch=compute_80,code=[compute_80,sm_80,sm_90]
             --generate-code=arch=compute_100,code=[sm_120])
    set(code "sm_80, sm_90, sm_120, PTX of compute_80")
  elseif(NOT CMAKE_CUDA_ARCHITECTURES)
    set(gpus --generate-code=arch=compute_80,code=[compute_80,sm_80,sm_86,sm_89,sm_90]
             --generate-code=arch=compute_100,code=[sm_100,sm_120])
    set(code "sm_80, sm_86, sm_89, sm_90, sm_100, sm_120, PTX of compute_80")
  endif()
  # bit_cast and its like are constexpr functions of the host; the report is checked by
  # tests/check_ptxas.py.
  target_compile_options(haze_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${gpus} --expt-relaxed-constexpr ${nvcc_flags}
                         -Xptxas=-v -Werror=all-warnings -Xcompiler=-Wall>)
  # What the bench compares with (engine/bench/baselines), where the headers are; nothing is linked.
  foreach(baseline IN ITEMS CUDNN:cudnn.h:cudnn CUBLAS:cublasLt.h:cublas)
    string(REPLACE ":" ";" baseline ${baseline})
    list(POP_FRONT baseline library header file)
    find_path(HAZE_${library}_HEADERS ${header} PATH_SUFFIXES include
              HINTS ${${library}_ROOT} $ENV{${library}_ROOT} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
    if(HAZE_${library}_HEADERS)
      set_source_files_properties(engine/bench/baselines/${file}.cpp PROPERTIES
        COMPILE_DEFINITIONS HAZE_${library}
        INCLUDE_DIRECTORIES "${HAZE_${library}_HEADERS};${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}")
    else()
      message(STATUS "No ${header} (-D${library}_ROOT=...): haze bench kernels goes without ${file}")
    endif()
  endforeach()
elseif(NOT HAZE_CUDA STREQUAL "off")
  message(FATAL_ERROR "HAZE_CUDA=${HAZE_CUDA}; it is off, simt or nvcc")
endif()

# What open_cuda says that the build holds: "sm_80, sm_90, PTX of compute_90".
if(HAZE_CUDA STREQUAL "simt")
  set(code "the emulator's code")
elseif(NOT code)
  foreach(architecture IN LISTS CMAKE_CUDA_ARCHITECTURES)
    if(architecture MATCHES "^([0-9]+[af]?)(-real)?$")
      list(APPEND code sm_${CMAKE_MATCH_1})
    endif()
    if(architecture MATCHES "^([0-9]+[af]?)(-virtual)?$")
      list(APPEND code "PTX of compute_${CMAKE_MATCH_1}")
    elseif(NOT architecture MATCHES "^[0-9]")  # native, all, all-major
      list(APPEND code "CUDA's '${architecture}'")
    endif()
  endforeach()
  list(JOIN code ", " code)
endif()
set_source_files_properties(kernels/runtime/device.cu PROPERTIES COMPILE_DEFINITIONS "HAZE_CUDA_CODE=\"${code}\"")

# Gives a program the CUDA backend that the build has.
function(haze_add_cuda target)
  if(NOT HAZE_CUDA STREQUAL "off")
    target_link_libraries(${target} PRIVATE haze_cuda)
  endif()
  if(HAZE_CUDA STREQUAL "nvcc")
    target_link_libraries(${target} PRIVATE ${HAZE_CUDART} pthread rt ${CMAKE_DL_LIBS})
  endif()
endfunction()

# Compiles a .cu file of a program as the build compiles kernels; under nvcc the program also gets the
# emulator's core, which its host twins run in.
function(haze_add_device_source target source)
  if(HAZE_CUDA STREQUAL "simt")
    set_source_files_properties(${source} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas;${emulated}")
  else()
    file(GLOB emulator kernels/simt/emulator/*.cpp)
    list(FILTER emulator EXCLUDE REGEX "/(runtime|runtime_call|streams|device_memory)\\.cpp$")
    target_sources(${target} PRIVATE ${emulator})
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr ${gpus}>)
  endif()
endfunction()

# Gives it the traced kernels instead (simt only). Kernels in the program's own files are traced
# too. Not in builds with other sanitizers: they exclude each other.
function(haze_add_traced_cuda target)
  target_link_libraries(${target} PRIVATE haze_cuda_traced haze_trace)
  target_compile_options(${target} PRIVATE ${traced})
endfunction()
