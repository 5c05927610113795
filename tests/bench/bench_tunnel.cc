// SPDX-License-Identifier: Apache-2.0
// Cycles a packet of VXLAN: into a tunnel and out of one, in the clear and sealed (AES-128-GCM),
// beside the same flows between two vNICs of the host. Slots 0 to 2 work on every vNIC; ports cost
// next to nothing, the uplink is one of them.
//     bin/bench_tunnel
// prints the table. `size` is the inner frame's.
#include <rte_mbuf.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "controller-agent/document_json.h"
#include "datapath/association.h"
#include "datapath/neighbours.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_main.h"
#include "tests/bench/bench_meter.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/pipeline.h"
#include "tests/packet/tunnel_rig.h"
#include "tests/unit/esp/esp_peer.h"

namespace sluice::test {
namespace {

enum Way : std::int64_t { kLocal, kEncap, kDecap, kSeal, kOpen };

[[nodiscard]] bool is_in(Way way) { return way == kDecap || way == kOpen; }
[[nodiscard]] bool is_sealed(Way way) { return way == kSeal || way == kOpen; }

/// Gives copies of one frame over so many flows, told apart by their UDP ports at `ports_at`.
class CopyPort final : public datapath::Port {
public:
    CopyPort(Bytes frame, std::size_t ports_at, std::uint32_t flow_count)
        : frame_(std::move(frame)), ports_at_(ports_at), flow_count_(flow_count) {}

    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        if (frame_.empty() || rte_pktmbuf_alloc_bulk(&bench_pool(), frames.data(),
                                                     static_cast<unsigned>(frames.size())) != 0) {
            return {};
        }
        for (rte_mbuf* frame : frames) {
            const std::uint32_t flow = next_++ * 2654435761U & (flow_count_ - 1U);
            auto* bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
            std::memcpy(bytes, frame_.data(), frame_.size());
            const std::uint32_t ports =
                __builtin_bswap32((1024U + (flow >> 14U)) << 16U | (1024U + (flow & 0x3fffU)));
            std::memcpy(bytes + ports_at_, &ports, sizeof ports);
            frame->data_len = static_cast<std::uint16_t>(frame_.size());
            frame->pkt_len = frame->data_len;
        }
        return {static_cast<std::uint16_t>(frames.size()), 0};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

private:
    Bytes frame_;
    std::size_t ports_at_;
    std::uint32_t flow_count_;
    std::uint32_t next_ = 0;
};

/// Gives sealed frames again and again; their receiver forgets each time that they came.
class SealedPort final : public datapath::Port {
public:
    SealedPort(std::vector<Bytes> frames, std::function<void()> begin)
        : frames_(std::move(frames)), begin_(std::move(begin)) {}

    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        if (rte_pktmbuf_alloc_bulk(&bench_pool(), frames.data(),
                                   static_cast<unsigned>(frames.size())) != 0) {
            return {};
        }
        for (rte_mbuf* frame : frames) {
            if (next_ == frames_.size()) { next_ = 0; }
            if (next_ == 0) { begin_(); }
            const Bytes& bytes = frames_[next_++];
            std::memcpy(rte_pktmbuf_mtod(frame, std::uint8_t*), bytes.data(), bytes.size());
            frame->data_len = static_cast<std::uint16_t>(bytes.size());
            frame->pkt_len = frame->data_len;
        }
        return {static_cast<std::uint16_t>(frames.size()), 0};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

private:
    std::vector<Bytes> frames_;
    std::function<void()> begin_;
    std::size_t next_ = 0;
};

datapath::DataplaneOptions options() {
    datapath::DataplaneOptions out;
    out.pool = &bench_pool();
    out.flow_capacity = 1U << 16U;
    out.connection_capacity = 1U << 16U;
    out.seed = 7;
    return out;
}

/// vm1 and vm2 in a VNI whose one remote VTEP has a VM that its binding tells of.
nlohmann::json document(bool is_encrypted) {
    nlohmann::json out = bench_document(100, true);
    out["port_groups"][0]["vni"] = kVni;
    out["uplinks"] = json_of(R"([{"name": "up", "device": "net_null0"}])");
    out["vteps"] = json_of(R"([{"name": "tep0", "ip": "172.16.0.1/24", "mac": "02:00:00:00:99:01",
                                "uplink": "up"}])");
    out["switches"][0]["uplinks"] = {"up"};
    out["switches"][0]["remote_vteps"] = {"172.16.0.2"};
    out["switches"][0]["bfd"] = {{"enabled", false}};
    out["bindings"] = json_of(R"([{"port_group": "lan", "mac": "02:00:00:00:0f:01",
                                   "ip": "10.0.0.200", "vtep": "172.16.0.2"}])");
    out["dfw"]["sections"][0]["rules"].push_back(
        json_of(R"({"name": "any-udp", "action": "allow", "services": ["udp"]})"));
    if (is_encrypted) {
        out["encryption"] = json_of(R"({
            "key_policies": [{"name": "kp", "id": 5, "key_file": "/nowhere/kp.key"}],
            "rules": [{"name": "all", "action": "encrypt", "key_policy": "kp"}]})");
    }
    return out;
}

Bytes inner_frame(Way way, std::size_t size) {
    const Path path =
        way == kLocal ? v4(kVm1, kVm2) : (is_in(way) ? v4(kFar, kVm1) : v4(kVm1, kFar));
    Bytes frame = udp(path, 0, 0, size - 42);
    frame[40] = frame[41] = 0;  // No UDP checksum: ports are written over it.
    return frame;
}

Bytes outer_frame(const Bytes& inner) {
    Outer outer;
    outer.source_mac = kHopMac;
    outer.destination_mac = kTepMac;
    outer.source = ip("172.16.0.2");
    outer.destination = ip("172.16.0.1");
    return wrapped(outer, inner);
}

class TunnelBench {
public:
    TunnelBench(std::uint32_t flow_count, Way way, std::size_t size) : dataplane_(options()) {
        const Bytes inner = inner_frame(way, size);
        const auto guest = [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
            const bool sends = !is_in(way) && port.name == "vm1";
            return std::shared_ptr<datapath::Port>(
                std::make_shared<CopyPort>(sends ? inner : Bytes{}, 34, flow_count));
        };
        const auto cable = [&](const std::string&) -> std::shared_ptr<datapath::Port> {
            if (way == kOpen) { return sealed_port(inner, flow_count); }
            return std::make_shared<CopyPort>(way == kDecap ? outer_frame(inner) : Bytes{}, 50 + 34,
                                              flow_count);
        };
        const Result<model::Document> parsed =
            agent::parse_document(document(is_sealed(way)).dump());
        if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
        Result<host::Compiled> compiled =
            host::compile(parsed.value(), dataplane_.snapshot(), 1, registries_, guest, cable);
        SLUICE_ASSERT(compiled.ok());
        dataplane_.set_online(0, true);
        (void)dataplane_.publish(std::move(compiled.value().snapshot));
        poll();
        SLUICE_ASSERT(dataplane_.associations().send_with(0, key_).ok() &&
                      dataplane_.associations().receive_with(1, key_).ok());
        auto& context = dataplane_.worker(0).context();
        const datapath::VtepConfig& vtep = context.snapshot->vteps[0];
        datapath::learn_neighbour(context, vtep.underlay, ip("172.16.0.2"), kHopMac, vtep.uplink);
        for (std::uint32_t i = 0; i < 2 * flow_count / kBurstMax + 2; ++i) { poll(); }
        dataplane_.reclaim();
    }
    std::size_t poll() { return dataplane_.poll_once(0, now_ns_ += 1000); }
    [[nodiscard]] const WorkerCounters& counters() const {
        return dataplane_.worker(0).context().counters;
    }

private:
    // As many frames as a window has room for, over so many flows.
    std::shared_ptr<datapath::Port> sealed_port(Bytes inner, std::uint32_t flow_count) {
        std::vector<Bytes> frames;
        for (std::uint32_t i = 0; i < kReplayWindow; ++i) {
            const std::uint32_t flow = 1024U + (i & (flow_count - 1U));
            inner[36] = static_cast<std::uint8_t>(flow >> 8U);
            inner[37] = static_cast<std::uint8_t>(flow);
            frames.push_back(outer_frame(seal_by_peer(inner, key_, i + 1)));
        }
        return std::make_shared<SealedPort>(std::move(frames), [this] {
            auto* with = dataplane_.associations().state().receiving.load()->find(1, key_.spi);
            if (with != nullptr) { with->window = {}; }
        });
    }

    datapath::Dataplane dataplane_;
    host::Registries registries_;
    const datapath::SaParameters key_ =
        key_of(model::KeyAlgorithm::kAes128Gcm, Spi{5, 1, 1, 0}.value());
    std::uint64_t now_ns_ = 1'000'000'000;
};

void tunnel(benchmark::State& state) {
    const auto way = static_cast<Way>(state.range(0));
    TunnelBench& bench = rig_of<TunnelBench>(static_cast<std::uint32_t>(state.range(2)), way,
                                             static_cast<std::size_t>(state.range(1)));
    const std::uint64_t sent = bench.counters().sent.get();
    const std::uint64_t dropped = bench.counters().dropped.get();
    Meter meter(state);
    std::uint64_t count = 0;
    for (auto _ : state) { count += bench.poll(); }
    meter.stop(count);
    if (bench.counters().sent.get() - sent < count || bench.counters().dropped.get() != dropped) {
        state.SkipWithError("not every frame came out");
    }
}
BENCHMARK(tunnel)
    ->ArgNames({"way(0=local,1=encap,2=decap,3=seal,4=open)", "size", "flows"})
    ->ArgsProduct({{kLocal, kEncap, kDecap}, {64, 1400}, {1, 1024, 16384}})
    ->ArgsProduct({{kSeal, kOpen}, {64, 1400}, {1, 1024}});

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    return sluice::test::run_benchmarks(
        argc, argv,
        {"--benchmark_repetitions=3", "--benchmark_report_aggregates_only=true",
         "--benchmark_min_time=0.2"},
        [] { sluice::test::kept_rig.reset(); });
}
