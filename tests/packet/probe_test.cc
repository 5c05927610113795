// SPDX-License-Identifier: Apache-2.0
// The probe that health hangs on: it takes the real way, says when that does not work, and leaves
// nothing behind.
#include "datapath/probe.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "sluice/base/limits.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr PortIndex kFrom{kPortMax - 1};
constexpr PortIndex kTo{kPortMax - 2};

datapath::ProbeResult probe(Pipeline& p, unsigned worker = 0) {
    datapath::ProbeCommand command(worker, kFrom, kTo);
    p.run(worker, command);
    return command.result;
}

Bytes some_frame() { return udp(v4(kVm1, kVm2), 1000, 53); }

TEST(Probe, PassesOnEveryWorkerWithAndWithoutFlowCache) {
    for (const bool flow_cache : {true, false}) {
        PipelineOptions options;
        options.flow_cache = flow_cache;
        options.worker_count = 3;
        Pipeline p(two_vms(), options);
        for (unsigned worker = 0; worker < 3; ++worker) {
            EXPECT_EQ(probe(p, worker), datapath::ProbeResult::kPassed);
        }
    }
}

TEST(Probe, PassesWithoutAnyPort) {
    Pipeline p(json_of("{}"));
    EXPECT_EQ(probe(p), datapath::ProbeResult::kPassed);
}

TEST(Probe, LeavesNoFigureNoFlowAndNoConnection) {
    Pipeline p(two_vms());
    p.send("vm1", some_frame()).step();
    const Books before = p.books();
    const WorkerCounters& counters = p.dataplane().worker(0).context().counters;
    const std::uint64_t hits = counters.flow_hits.get();
    const std::uint64_t misses = counters.flow_misses.get();
    for (int i = 0; i < 5; ++i) { EXPECT_EQ(probe(p), datapath::ProbeResult::kPassed); }
    const Books after = p.books();
    EXPECT_EQ(after.received, before.received);
    EXPECT_EQ(after.sent, before.sent);
    EXPECT_EQ(after.unaccounted(), 0);
    EXPECT_EQ(counters.flow_hits.get(), hits);
    EXPECT_EQ(counters.flow_misses.get(), misses);
    const PortCounters& port = p.dataplane().worker(0).context().ports[kFrom.value];
    EXPECT_EQ(port.rx_packets.get() + port.rx_bytes.get(), 0u);
    EXPECT_EQ(p.flow_count(), 1u);
    EXPECT_EQ(p.connections().size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Probe, FlowsOfOthersGoOnBehindIt) {
    Pipeline p(two_vms());
    p.send("vm1", some_frame()).step();
    EXPECT_EQ(probe(p), datapath::ProbeResult::kPassed);
    p.send("vm1", some_frame()).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
    EXPECT_EQ(p.dataplane().worker(0).context().counters.flow_misses.get(), 1u)
        << "the flow's program still holds";
}

TEST(Probe, SaysThatThereAreNoBuffersLeft) {
    Pipeline p(two_vms());
    std::vector<rte_mbuf*> taken;
    while (rte_mbuf* frame = rte_pktmbuf_alloc(&p.pool())) { taken.push_back(frame); }
    EXPECT_EQ(probe(p), datapath::ProbeResult::kNoBuffer);
    rte_pktmbuf_free(taken.back());
    taken.pop_back();
    EXPECT_EQ(probe(p), datapath::ProbeResult::kPassed) << "one is enough";
    rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
