// SPDX-License-Identifier: Apache-2.0
// Cycles (of the TSC) that a new connection costs: whole TCP exchanges through the worker, and the
// parts of them: rule classification, connection record, flow entry.
//     bin/bench_connections
// prints the table, medians of several runs; every option of Google Benchmark works.
// `exchange_floor` is what the harness costs an exchange.
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "datapath/parse.h"
#include "sluice/base/assert.h"
#include "sluice/iochain/dfw.h"
#include "tests/bench/bench_crr.h"
#include "tests/bench/bench_main.h"
#include "tests/bench/bench_meter.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

// --- whole exchanges ---

constexpr std::uint32_t kWarmUp = 2U * kClosedConnectionMax;

void exchange_floor(benchmark::State& state) {
    CrrScript script(256);
    CrrPort client(bench_pool(), script, true), server(bench_pool(), script, false);
    std::array<rte_mbuf*, kBurstMax> frames;
    std::uint64_t frame_count = 0;
    Meter meter(state);
    for (auto _ : state) {
        for (CrrPort* port : {&client, &server}) {
            const auto got = port->receive(frames);
            rte_pktmbuf_free_bulk(frames.data(), got.frame_count);
            frame_count += got.frame_count;
        }
    }
    meter.stop(frame_count / kExchangeFrames);
}
BENCHMARK(exchange_floor);

void run_exchanges(benchmark::State& state, const CrrOptions& options) {
    CrrSwitch bench(options);
    // As in a run of hours: the memory that it takes is taken, the first records are used again.
    const std::uint64_t start =
        std::max(4U * options.in_flight, std::min(options.connection_capacity, kWarmUp));
    while (bench.finished() < start) { bench.poll(); }
    const std::uint64_t dropped = bench.counters().dropped.get();
    const std::uint64_t missed = bench.counters().flow_misses.get();
    const std::uint64_t before = bench.counters().received.get();
    Meter meter(state);
    for (auto _ : state) { bench.poll(); }
    const std::uint64_t count = (bench.counters().received.get() - before) / kExchangeFrames;
    meter.stop(count);
    if (bench.counters().dropped.get() != dropped) { state.SkipWithError("frames were dropped"); }
    const std::uint64_t misses = bench.counters().flow_misses.get() - missed;
    state.counters["misses"] = static_cast<double>(misses) / static_cast<double>(count);
}

// Argument: rules, of which the last one allows the connection.
void exchange(benchmark::State& state) {
    run_exchanges(state, {.rule_count = static_cast<std::size_t>(state.range(0))});
}
BENCHMARK(exchange)->Arg(10)->Arg(1000)->Arg(10000)->Arg(99000);

void exchange_without_rules(benchmark::State& state) { run_exchanges(state, {.has_chain = false}); }
BENCHMARK(exchange_without_rules);

// Argument: connections in flight.
void exchange_in_flight(benchmark::State& state) {
    run_exchanges(state, {.in_flight = static_cast<std::uint32_t>(state.range(0))});
}
BENCHMARK(exchange_in_flight)->Arg(32)->Arg(4096)->Arg(65536);

// Tables far smaller than the traffic: what is closed makes room for what comes.
void exchange_full_tables(benchmark::State& state) {
    run_exchanges(state, {.flow_capacity = 1U << 12U, .connection_capacity = 1U << 14U});
}
BENCHMARK(exchange_full_tables);

// --- rule classification ---

// What rules name. Every rule has a service as well, except those of kServices, which are nothing
// else.
enum Shape : std::int64_t { kHosts, kPrefixes, kSets, kServices };

IpPrefix prefix_of(std::uint32_t address, std::uint8_t length) {
    const std::uint32_t kept = length == 0 ? 0 : address & ~0U << (32U - length);
    return IpPrefix{IpAddr::v4(kept), length};
}

std::shared_ptr<const AddressExpression> expression_of(const IpPrefix& prefix) {
    return std::make_shared<const AddressExpression>(std::vector{prefix});
}

model::Service tcp_service(std::uint16_t first, std::uint16_t last) {
    model::Service service;
    service.protocol = 6;
    service.destination = {first, last};
    return service;
}

struct RuleRig {
    RuleRig(std::int64_t shape, std::int64_t rule_count) {
        if (shape == kSets) { make_sets(); }
        DfwInput input;
        input.default_rule = RuleId{1};
        for (std::int64_t i = 0; i < rule_count; ++i) {
            input.rules.push_back(make_rule(shape, i));
        }
        std::vector<std::uint32_t> applied(input.rules.size());
        for (std::uint32_t i = 0; i < applied.size(); ++i) { applied[i] = i; }
        DfwCompiler compiler(input);
        chain.slots[kSlotDfw] = compiler.compile(applied);
        for (FlowKey& key : keys) { make_key(key); }
    }

    // 500 groups of 200 addresses, in blocks of 10.0.0.0/8 that overlap.
    void make_sets() {
        for (std::uint32_t i = 0; i < 500; ++i) {
            std::vector<IpPrefix> members;
            const std::uint32_t base = 10U << 24U | (i % 256U) << 16U;
            for (int j = 0; j < 200; ++j) { members.push_back(prefix_of(base | any() >> 20U, 32)); }
            sets.push_back(std::make_shared<const AddressExpression>(std::move(members)));
        }
    }

    AddressList addresses(std::int64_t shape) {
        if (shape == kSets) { return {sets[any() % sets.size()]}; }
        const auto length = static_cast<std::uint8_t>(shape == kHosts ? 32U : 8U + any() % 25U);
        const std::uint32_t address = 10U << 24U | (any() >> 8U);
        return {expression_of(prefix_of(address, length))};
    }

    DfwRule make_rule(std::int64_t shape, std::int64_t number) {
        DfwRule rule;
        rule.id = RuleId{static_cast<std::uint32_t>(number) + 2U};
        const auto first = static_cast<std::uint16_t>(any() % 60000U);
        const auto last = static_cast<std::uint16_t>(first + any() % 100U);
        if (shape == kServices) {
            rule.services = {tcp_service(first, last)};
            rule.source = {expression_of(prefix_of(192U << 24U | any() >> 8U, 32))};
            return rule;
        }
        rule.source = addresses(shape);
        rule.destination = addresses(shape);
        rule.services = {tcp_service(first, number % 2 == 0 ? first : last)};
        return rule;
    }

    void make_key(FlowKey& key) {
        key.flags = kKeyIpv4 | kKeyPorts;
        key.protocol = 6;
        key.source_port.raw = static_cast<std::uint16_t>(any());
        key.destination_port = Be16::from_host(static_cast<std::uint16_t>(any() % 60000U));
        for (std::uint8_t* ip : {key.source_ip, key.destination_ip}) {
            const std::uint32_t wire =
                __builtin_bswap32(10U << 24U | (any() >> 12U & 0xffU) << 16U | any() >> 20U);
            std::memcpy(ip + 12, &wire, sizeof wire);
        }
    }
    std::uint32_t any() { return static_cast<std::uint32_t>(random()); }

    std::mt19937 random{7};
    std::vector<std::shared_ptr<const AddressExpression>> sets;
    ChainProgram chain;
    std::array<FlowKey, 1024> keys;
};

// Arguments: shape, rules.
void classify(benchmark::State& state) {
    const RuleRig rig(state.range(0), state.range(1));
    std::size_t next = 0;
    Meter meter(state);
    for (auto _ : state) {
        Decision decision = decide(
            rig.chain, {rig.keys[next++ % rig.keys.size()], Direction::kFromVm, nullptr, {}});
        benchmark::DoNotOptimize(decision);
    }
    meter.stop(static_cast<std::uint64_t>(state.iterations()));
}
BENCHMARK(classify)->ArgsProduct({{kHosts, kPrefixes, kSets, kServices},
                                  {10, 1000, 10000, 100000}});

// --- one connection record: found to be missing, opened, closed ---

void connection_open(benchmark::State& state) {
    const auto capacity = static_cast<std::uint32_t>(state.range(0));
    const datapath::LazyMemory arena(ConnectionTable::arena_bytes(capacity));
    ConnectionTable table(arena.get(), capacity, 1, 7);
    ConnectionTimeouts timeouts;
    std::fill_n(&timeouts.tcp_syn_sent_ns, sizeof timeouts / sizeof timeouts.tcp_syn_sent_ns,
                3'600'000'000'000U);
    table.configure(timeouts, {});
    const Bytes syn = tcp(v4(kVm1, kVm2), 1, 2, {.flags = kTcpSyn, .sequence = 100});
    ParsedFrame frame;
    datapath::parse_frame(syn.data(), static_cast<std::uint16_t>(syn.size()),
                          static_cast<std::uint32_t>(syn.size()), PortIndex{1}, frame);
    std::vector<ConnectionHandle> open(capacity / 2U);
    std::uint32_t number = 0;
    Meter meter(state);
    for (auto _ : state) {
        frame.key.source_port.raw = static_cast<std::uint16_t>(number);
        frame.key.destination_port.raw = static_cast<std::uint16_t>(number >> 16U);
        ConnectionHandle& place = open[number++ % open.size()];
        table.close(0, place);
        OpenRequest request;
        request.tuple = tuple_of(frame.key, DomainId{1});
        SLUICE_ASSERT(!table.find(request.tuple, 1).is_set());
        place = table.open(0, request, frame, 1).handle;
        SLUICE_ASSERT(place.is_set());
    }
    meter.stop(static_cast<std::uint64_t>(state.iterations()));
}
BENCHMARK(connection_open)->Arg(1 << 10)->Arg(1 << 20);

// --- one flow entry: looked for, inserted, evicted by a later one ---

void flow_insert(benchmark::State& state) {
    const auto quota = static_cast<std::uint32_t>(state.range(0));
    datapath::FlowTable table(
        quota * 2U, 4, 7, [](void*, std::uint32_t) {}, nullptr);
    table.set_quota(PortIndex{1}, quota);
    datapath::Program program;
    program.ending = datapath::Ending::kOutput;
    FlowKey key;
    key.port = PortIndex{1};
    key.source_mac = kVm1.mac;
    key.destination_mac = kVm2.mac;
    key.flags = kKeyIpv4 | kKeyPorts;
    std::uint32_t number = 0;
    Meter meter(state);
    for (auto _ : state) {
        key.source_port.raw = static_cast<std::uint16_t>(number);
        key.destination_port.raw = static_cast<std::uint16_t>(number >> 16U);
        ++number;
        const std::uint64_t hash = table.hash(key);
        SLUICE_ASSERT(table.find(key, hash) == datapath::kNoFlow);
        benchmark::DoNotOptimize(table.insert(key, hash, program));
        if (number % kBurstMax == 0) { table.end_burst(); }
    }
    meter.stop(static_cast<std::uint64_t>(state.iterations()));
}
BENCHMARK(flow_insert)->Arg(1 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    return sluice::test::run_benchmarks(argc, argv, {"--benchmark_min_time=0.3"}, [] {});
}
