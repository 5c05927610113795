// SPDX-License-Identifier: Apache-2.0
// Cycles a packet (of the TSC) of each stage of the datapath and of the whole, at few and at many
// flows.
//     bin/bench_datapath
// prints the table, medians of several runs; every option of Google Benchmark works. `floor` is
// what the harness costs: making 32 frames and freeing them. Subtract it from `program`.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "datapath/checksum.h"
#include "datapath/parse.h"
#include "datapath/segment.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/eal.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kNow = 1'000'000'000;

/// Times the loop of one benchmark; items are packets. CPU time of this thread in TSC cycles: what
/// other processes take from the core does not count.
class Meter {
public:
    explicit Meter(benchmark::State& state) : state_(state), start_ns_(cpu_time_ns()) {}
    ~Meter() {
        const double cycles =
            (cpu_time_ns() - start_ns_) * static_cast<double>(rte_get_tsc_hz()) / 1e9;
        const auto packets = static_cast<double>(state_.iterations()) * kBurstMax;
        state_.SetItemsProcessed(static_cast<std::int64_t>(packets));
        state_.counters["cycles"] = packets > 0 ? cycles / packets : 0;
    }
    Meter(const Meter&) = delete;
    Meter& operator=(const Meter&) = delete;

private:
    static double cpu_time_ns() {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
    }
    benchmark::State& state_;
    double start_ns_;
};

std::shared_ptr<void> kept_rig;  // One at a time; gone before EAL is.

/// The rig of these arguments, kept from the last call if that had the same: building one takes
/// longer than measuring it.
template <typename Rig, typename... Arguments>
Rig& rig_of(Arguments... arguments) {
    static std::tuple<Arguments...> made;
    static std::weak_ptr<Rig> last;
    std::shared_ptr<Rig> rig = last.lock();
    if (!rig || made != std::tuple(arguments...)) {
        rig.reset();
        kept_rig.reset();
        rig = std::make_shared<Rig>(arguments...);
        made = std::tuple(arguments...);
        last = rig;
        kept_rig = rig;
    }
    return *rig;
}

// --- parse ---

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

// --- segments of a large TCP frame; argument: 1 with the checksum finished, 0 left to the receiver
// ---

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
    std::array<rte_mbuf*, kBurstMax> segments;
    SLUICE_ASSERT(datapath::segment_count(*frame) == kBurstMax);
    {
        const Meter meter(state);
        for (auto _ : state) {
            SLUICE_ASSERT(datapath::segment(*frame, bench_pool(), segments));
            for (rte_mbuf* one : segments) {
                if (state.range(0) != 0) { SLUICE_ASSERT(datapath::fill_l4_checksum(*one)); }
            }
            rte_pktmbuf_free_bulk(segments.data(), kBurstMax);
        }
    }
    rte_pktmbuf_free(frame);
}
BENCHMARK(segment_tcp)->Arg(0)->Arg(1);

// --- flow table ---

FlowKey base_key() {
    FlowKey key;
    key.source_mac = kVm1.mac;
    key.destination_mac = kVm2.mac;
    key.ethertype = Be16::from_host(0x0800);
    key.protocol = 17;
    key.flags = kKeyIpv4 | kKeyPorts;
    return key;
}

// One aligned store of the word that holds the ports, as parse does: the hash reads it back at
// once.
void set_flow(FlowKey& key, std::uint32_t flow) {
    static_assert(offsetof(FlowKey, source_port) == 44);
    const std::uint64_t word = std::uint64_t{flow} << 32U;
    std::memcpy(reinterpret_cast<std::uint8_t*>(&key) + 40, &word, sizeof word);
}

struct FlowRig {
    explicit FlowRig(std::uint32_t flow_count)
        : table(
              flow_count * 2, kPortMax, 7, [](void*, std::uint32_t) {}, nullptr) {
        datapath::Program program;
        program.ending = datapath::Ending::kOutput;
        FlowKey key = base_key();
        for (std::uint32_t flow = 0; flow < flow_count; ++flow) {
            set_flow(key, flow);
            SLUICE_ASSERT(table.insert(key, table.hash(key), program) != datapath::kNoFlow ||
                          flow > 0);
        }
    }
    datapath::FlowTable table;
};

// The three stages as ingress.cc runs them.
void look_up(benchmark::State& state, std::uint32_t offset) {
    const auto flow_count = static_cast<std::uint32_t>(state.range(0));
    datapath::FlowTable& table = rig_of<FlowRig>(flow_count).table;
    std::array<FlowKey, kBurstMax> keys;
    keys.fill(base_key());
    std::array<std::uint64_t, kBurstMax> hashes;
    std::array<std::uint32_t, kBurstMax> candidates;
    std::uint32_t next = 0;
    const Meter meter(state);
    for (auto _ : state) {
        for (std::size_t i = 0; i < kBurstMax; ++i) {
            set_flow(keys[i], (next++ * 2654435761U & (flow_count - 1U)) + offset);
            hashes[i] = table.hash(keys[i]);
            table.prefetch_bucket(hashes[i]);
        }
        for (std::size_t i = 0; i < kBurstMax; ++i) { candidates[i] = table.candidate(hashes[i]); }
        for (std::size_t i = 0; i < kBurstMax; ++i) {
            const std::uint32_t index = table.matches(candidates[i], keys[i])
                                            ? candidates[i]
                                            : table.find(keys[i], hashes[i]);
            if (index != datapath::kNoFlow) { ++table.entry(index).state.packets; }
            benchmark::DoNotOptimize(index);
        }
    }
}
void flow_hit(benchmark::State& state) { look_up(state, 0); }
void flow_miss(benchmark::State& state) { look_up(state, 1U << 30U); }
BENCHMARK(flow_hit)->Arg(1 << 10)->Arg(1 << 17)->Arg(1 << 20);
BENCHMARK(flow_miss)->Arg(1 << 10)->Arg(1 << 17)->Arg(1 << 20);

// --- connection step ---

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
                    3600 * kNow);
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
        const TrackOutcome outcome = table.track(parsed, handle, side, kNow);
        SLUICE_ASSERT(outcome.result == TrackResult::kPass);
    }
    void open(std::uint32_t number, const Bytes& syn, const Bytes& syn_ack) {
        ParsedFrame parsed;
        parse(syn, parsed);
        parsed.key.source_port.raw = static_cast<std::uint16_t>(number);
        parsed.key.destination_port.raw = static_cast<std::uint16_t>(number >> 16U);
        OpenRequest request;
        request.tuple = tuple_of(parsed.key, DomainId{1});
        const OpenResult opened = table.open(0, request, parsed, kNow);
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
                rig.table.track(rig.frame, handle, ConnectionSide::kOpener, kNow));
        }
    }
}
BENCHMARK(connection_step)->Arg(1 << 10)->Arg(1 << 20);

// --- decide ---

struct RuleRig {
    explicit RuleRig(std::int64_t rule_count) {
        datapath::Snapshot empty;
        empty.worker_ports.resize(1);
        snapshot = bench_snapshot(bench_document(static_cast<std::size_t>(rule_count), true), empty,
                                  registries, 0);
    }
    host::Registries registries;
    std::unique_ptr<datapath::Snapshot> snapshot;
};

// The source vNIC's whole chain for a first packet.
void decide_rules(benchmark::State& state) {
    RuleRig& rig = rig_of<RuleRig>(state.range(0));
    const ChainProgram& chain = *rig.snapshot->port(rig.registries.ports.find("vm1"))->chain;
    const Bytes bytes = udp(v4(kVm1, kVm2), 1, 2);
    ParsedFrame frame;
    ConnectionRig::parse(bytes, frame);
    std::uint16_t port = 0;
    const Meter meter(state);
    for (auto _ : state) {
        for (std::size_t i = 0; i < kBurstMax; ++i) {
            frame.key.source_port.raw = port++;
            Decision decision = decide(chain, {frame.key, Direction::kFromVm, nullptr});
            benchmark::DoNotOptimize(decision);
        }
    }
}
BENCHMARK(decide_rules)->Arg(10)->Arg(1000)->Arg(10000);

// --- the whole ---

void floor(benchmark::State& state) {
    BenchPort port(bench_pool(), static_cast<std::uint32_t>(state.range(0)));
    std::array<rte_mbuf*, kBurstMax> frames;
    const Meter meter(state);
    for (auto _ : state) {
        const auto got = port.receive(frames);
        rte_pktmbuf_free_bulk(frames.data(), got.frame_count);
    }
}
BENCHMARK(floor)->Arg(1 << 10);

// A poll of the worker with a burst of 32. Arguments: flows; 1 with slots 0-2 on both vNICs, 0
// without rules.
void program(benchmark::State& state) {
    BenchSwitch& bench =
        rig_of<BenchSwitch>(static_cast<std::uint32_t>(state.range(0)), state.range(1) != 0);
    const std::uint64_t dropped = bench.counters().dropped.get();
    const std::uint64_t missed = bench.counters().flow_misses.get();
    {
        const Meter meter(state);
        for (auto _ : state) { bench.poll(); }
    }
    if (bench.counters().dropped.get() != dropped) { state.SkipWithError("frames were dropped"); }
    state.counters["misses"] = static_cast<double>(bench.counters().flow_misses.get() - missed);
}
BENCHMARK(program)->Args({1 << 10, 0})->Args({1 << 10, 1})->Args({1 << 20, 0})->Args({1 << 20, 1});

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    std::vector<std::string> defaults = {"--benchmark_repetitions=3",
                                         "--benchmark_report_aggregates_only=true",
                                         "--benchmark_min_time=0.2"};
    for (std::string& option : defaults) {
        arguments.insert(arguments.begin() + 1, option.data());
    }  // What the caller gives comes later and wins.
    int count = static_cast<int>(arguments.size());
    const sluice::test::Eal eal;
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) { return 1; }
    benchmark::RunSpecifiedBenchmarks();
    sluice::test::kept_rig.reset();
    return 0;
}
