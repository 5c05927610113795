# SPDX-License-Identifier: Apache-2.0
# The comparison with Open vSwitch, scripts/bench: its floor and its tests.

# What scripts/bench runs beside the switches: frames moved between two vhost-user ports, nothing done to them.
add_executable(bench_floor floor.cc ${CMAKE_SOURCE_DIR}/src/sluiced/eal.cc)
target_link_libraries(bench_floor PRIVATE sluice_datapath spdlog::spdlog sluice_options)

# What scripts/bench is made of: statistics, verdicts, chart, and what it takes of the machine. No switch is started here;
# tests/system/test_benchmark.py does that.
file(GLOB files CONFIGURE_DEPENDS test_*.py)
foreach(file ${files})
  sluice_add_pytest(${file} LABEL unit TIMEOUT 120 PATHS ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests/system/lib)
endforeach()
