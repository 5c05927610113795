// SPDX-License-Identifier: Apache-2.0
// bench_datapath, connection step: cycles to track one segment of an established TCP connection, at
// 1 k to 1 M connections.
#include <algorithm>
#include <array>
#include <vector>

#include "datapath/flow_table.h"
#include "datapath/parse.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_meter.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

/// Established TCP connections between vm1 and vm2, and the data segment that all of them would see
/// next.
struct ConnectionRig {
    explicit ConnectionRig(std::uint32_t count)
        : arena(ConnectionTable::arena_bytes(count * 2)),
          table(arena.get(), count * 2, 1, 7),
          segment(tcp(v4(kVm1, kVm2), 1, 2,
                      {.flags = kTcpAck, .sequence = 101, .ack = 201, .payload_size = 0})) {
        ConnectionTimeouts timeouts;
        std::fill_n(&timeouts.tcp_syn_sent_ns, sizeof timeouts / sizeof timeouts.tcp_syn_sent_ns,
                    3600 * kBenchNow);
        table.configure(timeouts, {});
        const Bytes syn = tcp(v4(kVm1, kVm2), 1, 2, {.flags = kTcpSyn, .sequence = 100});
        const Bytes syn_ack =
            tcp(v4(kVm2, kVm1), 2, 1, {.flags = kTcpSyn | kTcpAck, .sequence = 200, .ack = 101});
        for (std::uint32_t i = 0; i < count; ++i) { open(i, syn, syn_ack); }
        parse(segment, frame);
    }

    static void parse(const Bytes& bytes, ParsedFrame& out) {
        datapath::parse_frame(bytes.data(), static_cast<std::uint16_t>(bytes.size()),
                              static_cast<std::uint32_t>(bytes.size()), PortIndex{1}, out);
    }
    void track(const Bytes& bytes, ConnectionHandle handle, ConnectionSide side) {
        ParsedFrame parsed;
        parse(bytes, parsed);
        const TrackOutcome outcome = table.track(parsed, handle, side, kBenchNow);
        SLUICE_ASSERT(outcome.result == TrackResult::kPass);
    }
    void open(std::uint32_t number, const Bytes& syn, const Bytes& syn_ack) {
        ParsedFrame parsed;
        parse(syn, parsed);
        parsed.key.source_port.raw = static_cast<std::uint16_t>(number);
        parsed.key.destination_port.raw = static_cast<std::uint16_t>(number >> 16U);
        OpenRequest request;
        request.tuple = tuple_of(parsed.key, DomainId{1});
        const OpenResult opened = table.open(0, request, parsed, kBenchNow);
        SLUICE_ASSERT(opened.opened);
        handles.push_back(opened.handle);
        track(syn, opened.handle, ConnectionSide::kOpener);
        track(syn_ack, opened.handle, ConnectionSide::kResponder);
        track(segment, opened.handle, ConnectionSide::kOpener);
    }

    datapath::LazyMemory arena;
    ConnectionTable table;
    Bytes segment;
    ParsedFrame frame;
    std::vector<ConnectionHandle> handles;
};

void connection_step(benchmark::State& state) {
    const auto count = static_cast<std::uint32_t>(state.range(0));
    ConnectionRig& rig = rig_of<ConnectionRig>(count);
    std::array<ConnectionHandle, kBurstMax> burst;
    std::uint32_t next = 0;
    const Meter meter(state);
    for (auto _ : state) {
        for (ConnectionHandle& handle : burst) {
            handle = rig.handles[next++ * 2654435761U & (count - 1U)];
            rig.table.prefetch(handle);
        }
        for (const ConnectionHandle handle : burst) {
            benchmark::DoNotOptimize(
                rig.table.track(rig.frame, handle, ConnectionSide::kOpener, kBenchNow));
        }
    }
}
BENCHMARK(connection_step)->Arg(1 << 10)->Arg(1 << 17)->Arg(1 << 20);

}  // namespace
}  // namespace sluice::test
