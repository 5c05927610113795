// SPDX-License-Identifier: Apache-2.0
// CrrSwitch: see bench_crr.h.
#include "tests/bench/bench_crr.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "controller-agent/document_json.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kPollNs = 8000;  // Two bursts: at a million connections a second.
constexpr std::size_t kPortsAt = 34, kChecksumAt = 50;
constexpr std::uint16_t kPortFirst = 2048;
constexpr std::uint32_t kPortBits = 15;

struct Line {
    bool is_clients;
    unsigned flags;
    std::uint32_t sequence, ack;
    std::size_t payload_size;
};
constexpr std::array<Line, kExchangeFrames> kExchange = {{
    {true, kTcpSyn, 100, 0, 0},
    {false, kTcpSyn | kTcpAck, 200, 101, 0},
    {true, kTcpAck, 101, 201, 0},
    {true, kTcpAck, 101, 201, 10},
    {false, kTcpAck, 201, 111, 10},
    {true, kTcpFin | kTcpAck, 111, 211, 0},
    {false, kTcpFin | kTcpAck, 211, 112, 0},
    {true, kTcpAck, 112, 212, 0},
}};

datapath::DataplaneOptions options_of(const CrrOptions& options) {
    datapath::DataplaneOptions out;
    out.pool = &bench_pool();
    out.flow_capacity = options.flow_capacity;
    out.connection_capacity = options.connection_capacity;
    out.seed = 7;
    return out;
}

nlohmann::json document_of(const CrrOptions& options) {
    nlohmann::json document = bench_document(options.rule_count - 1, options.has_chain);
    if (options.has_chain) {
        document["dfw"]["sections"][0]["rules"].push_back(json_of(
            R"({"name": "tcp", "action": "allow", "source": ["vm1"], "services": ["tcp/1024-65535"]})"));
    }
    return document;
}

}  // namespace

CrrScript::CrrScript(std::uint32_t in_flight) : groups_(in_flight / kBurstMax) {
    SLUICE_ASSERT(groups_ > 0);
    for (std::size_t i = 0; i < kExchangeFrames; ++i) {
        const Line& line = kExchange[i];
        const Bytes bytes = tcp(line.is_clients ? v4(kVm1, kVm2) : v4(kVm2, kVm1), 0, 0,
                                {.flags = line.flags,
                                 .sequence = line.sequence,
                                 .ack = line.ack,
                                 .payload_size = line.payload_size});
        Template& one = templates_[i];
        SLUICE_ASSERT(bytes.size() <= one.bytes.size());
        std::copy(bytes.begin(), bytes.end(), one.bytes.begin());
        one.size = static_cast<std::uint16_t>(bytes.size());
        one.is_clients = line.is_clients;
        one.checksum =
            0xffffU & ~(std::uint32_t{bytes[kChecksumAt]} << 8U | bytes[kChecksumAt + 1]);
    }
}

bool CrrScript::take(bool is_client, Turn& turn) noexcept {
    if (templates_[frame_].is_clients != is_client) { return false; }
    turn = {frame_, base_ + group_ * static_cast<std::uint32_t>(kBurstMax)};
    if (++group_ == groups_) {
        group_ = 0;
        if (++frame_ == kExchangeFrames) {
            frame_ = 0;
            base_ += groups_ * static_cast<std::uint32_t>(kBurstMax);
        }
    }
    return true;
}

std::uint16_t CrrScript::write(std::size_t frame, std::uint32_t number,
                               std::uint8_t* bytes) const noexcept {
    const Template& one = templates_[frame];
    std::memcpy(bytes, one.bytes.data(), one.bytes.size());
    const std::uint32_t client = kPortFirst + (number & ((1U << kPortBits) - 1U));
    const std::uint32_t server = kPortFirst + (number >> kPortBits & ((1U << kPortBits) - 1U));
    const std::uint32_t ports =
        __builtin_bswap32(one.is_clients ? client << 16U | server : server << 16U | client);
    std::memcpy(bytes + kPortsAt, &ports, sizeof ports);
    std::uint32_t sum = one.checksum + client + server;
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = ~((sum & 0xffffU) + (sum >> 16U)) & 0xffffU;
    const std::uint16_t checksum = __builtin_bswap16(static_cast<std::uint16_t>(sum));
    std::memcpy(bytes + kChecksumAt, &checksum, sizeof checksum);
    return one.size;
}

datapath::ReceiveResult CrrPort::receive(std::span<rte_mbuf*> frames) noexcept {
    CrrScript::Turn turn{};
    if (rte_pktmbuf_alloc_bulk(&pool_, frames.data(), kBurstMax) != 0) { return {}; }
    if (!script_.take(is_client_, turn)) {
        rte_pktmbuf_free_bulk(frames.data(), kBurstMax);
        return {};
    }
    for (std::uint32_t i = 0; i < kBurstMax; ++i) {
        rte_mbuf* frame = frames[i];
        frame->data_len =
            script_.write(turn.frame, turn.connection + i, rte_pktmbuf_mtod(frame, std::uint8_t*));
        frame->pkt_len = frame->data_len;
    }
    return {static_cast<std::uint16_t>(kBurstMax), 0};
}

CrrSwitch::CrrSwitch(const CrrOptions& options)
    : script_(options.in_flight), dataplane_(options_of(options)) {
    dataplane_.set_online(0, true);
    const Result<model::Document> parsed = agent::parse_document(document_of(options).dump());
    if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
    const auto device = [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
        return std::shared_ptr<datapath::Port>(
            std::make_shared<CrrPort>(bench_pool(), script_, port.name == "vm1"));
    };
    Result<host::Compiled> compiled =
        host::compile(parsed.value(), dataplane_.snapshot(), 1, registries_, device);
    SLUICE_ASSERT(compiled.ok());
    (void)dataplane_.publish(std::move(compiled.value().snapshot));
    poll();
    dataplane_.reclaim();
}

void CrrSwitch::poll() {
    now_ns_ += kPollNs;
    (void)dataplane_.poll_once(0, now_ns_);
}

}  // namespace sluice::test
