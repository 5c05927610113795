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
pkg_check_modules(PCAP REQUIRED libpcap)

# DPDK is linked statically and only what we call: the shared EAL would load every driver it finds, which costs most of a
# second at start. pkg-config's flags name an old CPU (-march=corei7); ours comes last and wins.
set(SLUICE_DPDK_LIBRARIES vhost ethdev cryptodev dmadev security hash rcu net meter mbuf mempool ring timer common_iavf pci telemetry
    kvargs eal)
set(SLUICE_DPDK_LINK "-Wl,--start-group")
foreach(library ${SLUICE_DPDK_LIBRARIES})
  find_library(DPDK_STATIC_${library} librte_${library}.a HINTS ${DPDK_LIBDIR} REQUIRED)
  list(APPEND SLUICE_DPDK_LINK ${DPDK_STATIC_${library}})
endforeach()
list(APPEND SLUICE_DPDK_LINK "-Wl,--end-group")

# Drivers that register themselves in constructors are kept whole: the mempool's ring and those of uplinks. What they
# call is added to the list above.
set(SLUICE_UPLINK_DRIVERS net_af_packet net_af_xdp net_vhost)
set(SLUICE_PCI_DRIVERS net_e1000 net_ena net_i40e net_iavf net_ice net_igc net_ixgbe net_vmxnet3)
set(SLUICE_CRYPTO_DRIVERS crypto_ipsec_mb)
set(SLUICE_DPDK_WHOLE bus_vdev ${SLUICE_CRYPTO_DRIVERS} ${SLUICE_UPLINK_DRIVERS} bus_pci ${SLUICE_PCI_DRIVERS})
set(SLUICE_DPDK_WHOLE_LINK "")
foreach(library ${SLUICE_DPDK_WHOLE})
  find_library(DPDK_STATIC_${library} librte_${library}.a HINTS ${DPDK_LIBDIR} REQUIRED)
  list(APPEND SLUICE_DPDK_WHOLE_LINK ${DPDK_STATIC_${library}})
endforeach()
pkg_check_modules(XDP REQUIRED libxdp libbpf)
find_library(IPSEC_MB IPSec_MB REQUIRED)  # What crypto_ipsec_mb calls.
find_library(DPDK_STATIC_mempool_ring librte_mempool_ring.a HINTS ${DPDK_LIBDIR} REQUIRED)

add_library(sluice_dpdk INTERFACE)
add_library(sluice::dpdk ALIAS sluice_dpdk)
target_include_directories(sluice_dpdk SYSTEM INTERFACE ${DPDK_INCLUDE_DIRS})
target_compile_options(sluice_dpdk INTERFACE "SHELL:-include rte_config.h" -march=${SLUICE_CPU})
target_link_libraries(sluice_dpdk INTERFACE -Wl,--whole-archive ${DPDK_STATIC_mempool_ring}
                      ${SLUICE_DPDK_WHOLE_LINK} -Wl,--no-whole-archive
                      ${SLUICE_DPDK_LINK} ${XDP_LINK_LIBRARIES} ${IPSEC_MB} numa bsd dl m Threads::Threads)
target_compile_definitions(sluice_dpdk INTERFACE ALLOW_EXPERIMENTAL_API)

add_library(sluice_systemd INTERFACE)
add_library(sluice::systemd ALIAS sluice_systemd)
target_include_directories(sluice_systemd SYSTEM INTERFACE ${SYSTEMD_INCLUDE_DIRS})
target_link_libraries(sluice_systemd INTERFACE ${SYSTEMD_LINK_LIBRARIES})

# BPF only: the CLI compiles filters, the daemon checks and runs them. Nothing is captured by libpcap.
add_library(sluice_pcap INTERFACE)
add_library(sluice::pcap ALIAS sluice_pcap)
target_include_directories(sluice_pcap SYSTEM INTERFACE ${PCAP_INCLUDE_DIRS})
target_link_libraries(sluice_pcap INTERFACE ${PCAP_LINK_LIBRARIES})

add_library(sluice_asio INTERFACE)
add_library(sluice::asio ALIAS sluice_asio)
target_link_libraries(sluice_asio INTERFACE Boost::headers Boost::system Threads::Threads)
target_compile_definitions(sluice_asio INTERFACE BOOST_ASIO_NO_DEPRECATED)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_definitions(sluice_asio INTERFACE BOOST_ASIO_HAS_CO_AWAIT=1 BOOST_ASIO_HAS_STD_COROUTINE=1)
endif()
