// SPDX-License-Identifier: Apache-2.0
// bench_datapath, decide: cycles of the source vNIC's whole chain for a first packet.
#include <memory>

#include "datapath/parse.h"
#include "tests/bench/bench_meter.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

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
    datapath::parse_frame(bytes.data(), static_cast<std::uint16_t>(bytes.size()),
                          static_cast<std::uint32_t>(bytes.size()), PortIndex{1}, frame);
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

}  // namespace
}  // namespace sluice::test
