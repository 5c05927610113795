// SPDX-License-Identifier: Apache-2.0
// What the tables take of memory when they are filled: a million connections with both directions
// in the flow table, in tables laid out for the default limits. Counted is what the process gained
// in resident anonymous memory (RssAnon of /proc/self/status), all of it.
#include <fstream>
#include <string>

#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // Shadow memory and quarantine would be counted.
#else
constexpr bool kMemoryIsOurs = true;
#endif

constexpr std::uint32_t kConnections = 1'000'000;

double resident_mb() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        double kilobytes = 0;
        if (word == "RssAnon:" && status >> kilobytes) { return kilobytes / 1024; }
    }
    return 0;
}

nlohmann::json stateful() {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["spoofguard"] = "manual";
    document["dfw"] =
        json_of(R"({"default": "drop", "limits": {"connections_per_port": 0}, "sections": [
        {"name": "s", "rules": [{"name": "udp", "action": "allow", "services": ["udp"]}]}]})");
    return document;
}

TEST(Footprint, MillionConnectionsWithBothDirectionsFitHalfAGigabyte) {
    if (!kMemoryIsOurs) { GTEST_SKIP() << "a sanitizer's memory can't be told from ours"; }
    PipelineOptions options;
    options.flow_capacity = kFlowTableDefault;
    options.connection_capacity = kConnectionCapacityDefault;
    options.learned_capacity = kLearnedCapacityDefault;
    const double before = resident_mb();
    Pipeline p(stateful(), options);
    for (std::uint32_t first = 0; first < kConnections; first += kBurstMax) {
        for (std::uint32_t n = first; n < first + kBurstMax; ++n) {
            const auto client = static_cast<std::uint16_t>(1000 + n % 50'000);
            const auto server = static_cast<std::uint16_t>(1000 + n / 50'000);
            p.send("vm1", udp(v4(kVm1, kVm2), client, server));
            p.send("vm2", udp(v4(kVm2, kVm1), server, client));
        }
        p.poll(0);
        p.port("vm1").clear_sent();
        p.port("vm2").clear_sent();
        p.advance(1000);
    }
    const double taken = resident_mb() - before;
    EXPECT_EQ(p.dataplane().connections().size(), kConnections);
    EXPECT_GE(p.flow_count(), 2 * kConnections * 0.999);
    EXPECT_GE(taken, 2.0 * kConnections * 160 / (1U << 20U)) << "what the flows alone need";
    EXPECT_LE(taken, 512);
    RecordProperty("resident_mb", static_cast<int>(taken));
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
