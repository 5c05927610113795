# SPDX-License-Identifier: Apache-2.0
# Every library from outside, as an imported SYSTEM target.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS system)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED)
pkg_check_modules(DPDK REQUIRED libdpdk>=22.11)
pkg_check_modules(SYSTEMD REQUIRED libsystemd)

# pkg-config's flags name an old CPU (-march=corei7); ours comes last and wins.
add_library(sluice_dpdk INTERFACE)
add_library(sluice::dpdk ALIAS sluice_dpdk)
target_include_directories(sluice_dpdk SYSTEM INTERFACE ${DPDK_INCLUDE_DIRS})
target_compile_options(sluice_dpdk INTERFACE -include rte_config.h -march=${SLUICE_CPU})
# Drivers that we load by name only; the libraries we call.
target_link_libraries(sluice_dpdk INTERFACE ${DPDK_LINK_LIBRARIES} Threads::Threads)

add_library(sluice_systemd INTERFACE)
add_library(sluice::systemd ALIAS sluice_systemd)
target_include_directories(sluice_systemd SYSTEM INTERFACE ${SYSTEMD_INCLUDE_DIRS})
target_link_libraries(sluice_systemd INTERFACE ${SYSTEMD_LINK_LIBRARIES})

add_library(sluice_asio INTERFACE)
add_library(sluice::asio ALIAS sluice_asio)
target_link_libraries(sluice_asio INTERFACE Boost::headers Boost::system Threads::Threads)
target_compile_definitions(sluice_asio INTERFACE BOOST_ASIO_NO_DEPRECATED)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_definitions(sluice_asio INTERFACE BOOST_ASIO_HAS_CO_AWAIT=1 BOOST_ASIO_HAS_STD_COROUTINE=1)
endif()
