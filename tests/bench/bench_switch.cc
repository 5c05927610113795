// SPDX-License-Identifier: Apache-2.0
// BenchSwitch: see bench_switch.h.
#include "tests/bench/bench_switch.h"

#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kPollNs = 1000;

datapath::DataplaneOptions options_of(std::uint32_t flow_count) {
    datapath::DataplaneOptions options;
    options.pool = &bench_pool();
    options.flow_capacity = std::min(2U * std::max(flow_count, 1024U), kFlowTableMax);
    options.connection_capacity = 2U * std::max(flow_count, 1024U);
    options.seed = 7;
    return options;
}

}  // namespace

rte_mempool& bench_pool() {
    static rte_mempool* const pool = rte_pktmbuf_pool_create(
        "bench_pool", 8191, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    SLUICE_ASSERT(pool != nullptr);
    return *pool;
}

BenchPort::BenchPort(rte_mempool& pool, std::uint32_t flow_count)
    : BenchPort(pool, flow_count, v4(kVm1, kVm2), false) {}

BenchPort::BenchPort(rte_mempool& pool, std::uint32_t flow_count, const Path& path, bool is_answer)
    : pool_(pool), flow_count_(flow_count), rotation_(is_answer ? 16 : 0) {
    Bytes frame = udp(path, 0, 0, 64 - 42);
    frame[40] = frame[41] = 0;  // No UDP checksum: ports are written over it.
    std::copy(frame.begin(), frame.end(), frame_.begin());
}

datapath::ReceiveResult BenchPort::receive(std::span<rte_mbuf*> frames) noexcept {
    if (flow_count_ == 0 ||
        rte_pktmbuf_alloc_bulk(&pool_, frames.data(), static_cast<unsigned>(frames.size())) != 0) {
        return {};
    }
    for (rte_mbuf* frame : frames) {
        const std::uint32_t flow =
            next_++ * 2654435761U & (flow_count_ - 1U);  // Odd: every flow once a round.
        auto* bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
        std::memcpy(bytes, frame_.data(), frame_.size());
        const std::uint32_t numbers = (1024U + (flow >> 14U)) << 16U | (1024U + (flow & 0x3fffU));
        const std::uint32_t ports =
            __builtin_bswap32(std::rotl(numbers, static_cast<int>(rotation_)));
        std::memcpy(bytes + 34, &ports, sizeof ports);
        frame->data_len = static_cast<std::uint16_t>(frame_.size());
        frame->pkt_len = frame->data_len;
    }
    return {static_cast<std::uint16_t>(frames.size()), 0};
}

nlohmann::json bench_document(std::size_t rule_count, bool has_chain) {
    nlohmann::json document = two_vms();
    if (!has_chain) {
        document["dfw"] = json_of(R"({"exclude": ["vm1", "vm2"]})");
        return document;
    }
    document["port_groups"][0]["spoofguard"] = "manual";
    document["acls"] = json_of(R"([{"name": "hardening", "applied_to": ["vm1", "vm2"],
                                    "rules": [{"name": "no-telnet", "action": "deny", "services": ["tcp/23"]}]}])");
    nlohmann::json rules = nlohmann::json::array();
    for (std::size_t i = 0; i + 1 < rule_count; ++i) {
        const std::string net = "172." + std::to_string(16 + i / 65536) + "." +
                                std::to_string(i / 256 % 256) + "." + std::to_string(i % 256);
        rules.push_back({{"name", "r" + std::to_string(i)},
                         {"action", i % 2 == 0 ? "allow" : "drop"},
                         {"source", {net}},
                         {"services", {"tcp/" + std::to_string(1 + i % 60000)}}});
    }
    rules.push_back(
        json_of(R"({"name": "udp", "action": "allow", "source": ["vm1"], "services": ["udp"]})"));
    document["dfw"] = {{"default", "drop"},
                       {"limits", {{"connections_per_port", 0}, {"connections", 0}}},
                       {"sections", {{{"name", "s"}, {"rules", rules}}}}};
    return document;
}

std::unique_ptr<datapath::Snapshot> bench_snapshot(const nlohmann::json& document,
                                                   const datapath::Snapshot& previous,
                                                   host::Registries& registries,
                                                   std::uint32_t flow_count) {
    const Result<model::Document> parsed = agent::parse_document(document.dump());
    if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
    const auto device = [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
        return std::shared_ptr<datapath::Port>(
            std::make_shared<BenchPort>(bench_pool(), port.name == "vm1" ? flow_count : 0));
    };
    Result<host::Compiled> compiled =
        host::compile(parsed.value(), previous, 1, registries, device);
    SLUICE_ASSERT(compiled.ok());
    return std::move(compiled.value().snapshot);
}

BenchSwitch::BenchSwitch(std::uint32_t flow_count, bool has_chain)
    : dataplane_(options_of(flow_count)) {
    dataplane_.set_online(0, true);
    (void)dataplane_.publish(bench_snapshot(bench_document(100, has_chain), dataplane_.snapshot(),
                                            registries_, flow_count));
    for (std::uint32_t i = 0; i < 2 * flow_count / kBurstMax + 2; ++i) { poll(); }
    dataplane_.reclaim();
}

std::size_t BenchSwitch::poll() {
    now_ns_ += kPollNs;
    return dataplane_.poll_once(0, now_ns_);
}

}  // namespace sluice::test
