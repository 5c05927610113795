# SPDX-License-Identifier: Apache-2.0
# Switches that the presets set, and the flags that every target of ours gets.
option(SLUICE_TESTS "build the tests and benchmarks" ON)
option(SLUICE_WERROR "treat warnings as errors" ON)
set(SLUICE_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined")
set(SLUICE_CPU "x86-64-v3" CACHE STRING "-march for our code: x86-64-v3 for packages, native for local builds")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(sluice_options INTERFACE)
target_compile_options(sluice_options INTERFACE -Wall -Wextra -Wconversion -Wshadow $<$<BOOL:${SLUICE_WERROR}>:-Werror>
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # GCC 12 warns of std::string where nothing overlaps (GCC bug 105651).
                       -fno-strict-aliasing -fstack-protector-strong)
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
  # g++ 12 with sanitizers takes members of an empty std::optional for uninitialized.
  target_compile_options(sluice_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
