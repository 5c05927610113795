// SPDX-License-Identifier: Apache-2.0
// bench_datapath, flow table: cycles of one lookup, hit or miss, at 1 k to 8 M flows, in the three
// stages and bursts of ingress.cc.
#include <algorithm>
#include <array>
#include <cstring>

#include "datapath/flow_table.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_meter.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

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

// At 8 M flows the table is full: a few found both of their buckets full, and miss.
struct FlowRig {
    explicit FlowRig(std::uint32_t flow_count)
        : table(
              std::min(flow_count * 2, kFlowTableMax), kPortMax, 7, [](void*, std::uint32_t) {},
              nullptr) {
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
void sizes(benchmark::internal::Benchmark* benchmark) {
    for (const int bits : {10, 17, 20, 23}) { benchmark->Arg(std::int64_t{1} << bits); }
}
BENCHMARK(flow_hit)->Apply(sizes);
BENCHMARK(flow_miss)->Apply(sizes);

}  // namespace
}  // namespace sluice::test
