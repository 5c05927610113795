// SPDX-License-Identifier: Apache-2.0
// bench_datapath, parse: cycles to read one frame's headers and build its key; and to cut a large
// TCP frame into segments. The frame stays in the cache: what its first touch costs is not in it.
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/parse.h"
#include "datapath/segment.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_meter.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

void parse_frames(benchmark::State& state, const Bytes& bytes) {
    std::array<rte_mbuf*, kBurstMax> burst;
    if (rte_pktmbuf_alloc_bulk(&bench_pool(), burst.data(), kBurstMax) != 0) {
        return state.SkipWithError("no buffers");
    }
    for (rte_mbuf* frame : burst) {
        std::memcpy(rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes.size())),
                    bytes.data(), bytes.size());
    }
    {
        const Meter meter(state);
        ParsedFrame parsed;
        for (auto _ : state) {
            for (const rte_mbuf* frame : burst) {
                datapath::parse_mbuf(*frame, PortIndex{1}, parsed);
                benchmark::DoNotOptimize(parsed);
            }
        }
    }
    rte_pktmbuf_free_bulk(burst.data(), kBurstMax);
}

void parse_tcp(benchmark::State& state) {
    parse_frames(state, tcp(v4(kVm1, kVm2), 1000, 80, {.flags = kTcpAck, .payload_size = 10}));
}
void parse_udp6(benchmark::State& state) { parse_frames(state, udp(v6(kVm1, kVm2), 1000, 53)); }
void parse_syn(benchmark::State& state) {
    parse_frames(state, tcp(v4(kVm1, kVm2), 1000, 80, {.flags = kTcpSyn}));
}
BENCHMARK(parse_tcp);
BENCHMARK(parse_udp6);
BENCHMARK(parse_syn);

// Cycles a segment. Argument: 1 with the checksum finished, 0 left to the receiver.
void segment_tcp(benchmark::State& state) {
    constexpr std::uint16_t kMost = 1448;
    const Bytes bytes = tcp(v4(kVm1, kVm2), 1000, 80, {.payload_size = kBurstMax * kMost});
    rte_mbuf* frame = rte_pktmbuf_alloc(&bench_pool());
    const std::uint16_t room = rte_pktmbuf_tailroom(frame);
    for (std::size_t at = 0; at < bytes.size(); at += room) {
        rte_mbuf* part = at == 0 ? frame : rte_pktmbuf_alloc(&bench_pool());
        const std::size_t size = std::min<std::size_t>(room, bytes.size() - at);
        std::memcpy(rte_pktmbuf_append(part, static_cast<std::uint16_t>(size)), bytes.data() + at,
                    size);
        if (at > 0) { SLUICE_ASSERT(rte_pktmbuf_chain(frame, part) == 0); }
    }
    frame->ol_flags = RTE_MBUF_F_TX_TCP_SEG;
    frame->tso_segsz = kMost;
    ParsedFrame parsed;
    datapath::parse_mbuf(*frame, PortIndex{1}, parsed);
    datapath::convert_offload(*frame, parsed);
    const auto sum =
        state.range(0) != 0 ? datapath::SegmentSum::kFull : datapath::SegmentSum::kPartial;
    std::array<rte_mbuf*, kBurstMax> segments;
    SLUICE_ASSERT(datapath::segment_count(*frame) == kBurstMax);
    {
        const Meter meter(state);
        for (auto _ : state) {
            SLUICE_ASSERT(datapath::segment(*frame, bench_pool(), 0, sum, segments));
            rte_pktmbuf_free_bulk(segments.data(), kBurstMax);
        }
    }
    rte_pktmbuf_free(frame);
}
BENCHMARK(segment_tcp)->Arg(0)->Arg(1);

}  // namespace
}  // namespace sluice::test
