// SPDX-License-Identifier: Apache-2.0
// Eal: see eal.h.
#include "tests/packet/eal.h"

#include <rte_eal.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sluice/base/assert.h"

namespace sluice::test {
namespace {

std::string prefix() { return "sluice_packet_" + std::to_string(getpid()); }

int first_cpu(const cpu_set_t& cpus) {
    int cpu = 0;
    while (!CPU_ISSET(static_cast<std::size_t>(cpu), &cpus)) { ++cpu; }
    return cpu;
}

}  // namespace

// EAL would tie this thread to one CPU and start one for each other: it gets one CPU, and the
// thread its freedom back.
Eal::Eal() {
    cpu_set_t cpus;
    SLUICE_ASSERT(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    std::vector<std::string> words = {"packet_tests",
                                      "--no-huge",
                                      "-m",
                                      "128",
                                      "--no-pci",
                                      "--no-telemetry",
                                      "--no-shconf",
                                      "--log-level=*:4",
                                      "--lcores",
                                      "0@" + std::to_string(first_cpu(cpus)),
                                      "--file-prefix",
                                      prefix()};
    std::vector<char*> arguments;
    for (std::string& word : words) { arguments.push_back(word.data()); }
    SLUICE_ASSERT(rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0);
    SLUICE_ASSERT(sched_setaffinity(0, sizeof cpus, &cpus) == 0);
    std::error_code ignored;  // Its folder is of no use to one process, and would outlive a crash.
    std::filesystem::remove_all(std::filesystem::path("/var/run/dpdk") / prefix(), ignored);
}

Eal::~Eal() { rte_eal_cleanup(); }

}  // namespace sluice::test
