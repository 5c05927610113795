// SPDX-License-Identifier: Apache-2.0
// Fuzz target of what a VTEP itself hears on the fabric: an input is a script of frames (ARP, ND,
// echo, errors, BFD, anything) with time going by between them, for an IPv4 and an IPv6 VTEP. The
// books balance, no buffer is lost, and what nobody asked for is not learned.
#include <rte_mempool.h>

#include "datapath/bfd.h"
#include "datapath/dataplane.h"
#include "datapath/underlay.h"
#include "tests/fuzz/fuzzed.h"
#include "tests/packet/eal.h"

namespace sluice::fuzz {
namespace {

constexpr unsigned kBuffers = 255;
constexpr PortIndex kUplink{0}, kPort4{1}, kPort6{2};
constexpr DomainId kUnderlay4{1}, kUnderlay6{2};

/// Takes every frame.
class Sink final : public datapath::Port {
public:
    datapath::ReceiveResult receive(std::span<rte_mbuf*>) noexcept override { return {}; }
    std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        return static_cast<std::uint16_t>(frames.size());
    }
    bool is_up() const noexcept override { return true; }
};

datapath::VtepConfig vtep(PortIndex port, DomainId underlay, const IpAddr& ip,
                          std::uint8_t length) {
    datapath::VtepConfig out;
    out.port = port;
    out.uplink = kUplink;
    out.switch_name = "dvs0";
    out.underlay = underlay;
    out.mac = MacAddr{{2, 0, 0, 0, 0, 2}};
    out.ip = ip;
    out.prefix_length = length;
    out.mtu = 1600;
    out.udp_port = 4789;
    out.bfd_interval_ms = 100;
    out.bfd_multiplier = 3;
    return out;
}

IpAddr v6(std::uint8_t last) {
    IpAddr out;
    out.family = IpFamily::kV6;
    out.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last};
    return out;
}

std::unique_ptr<datapath::Snapshot> snapshot() {
    auto out = std::make_unique<datapath::Snapshot>();
    out->generation = 1;
    out->worker_ports.resize(1);
    datapath::PortConfig port;
    port.is_uplink = true;
    port.has_vteps = true;
    port.chain = std::make_shared<const ChainProgram>();
    port.device = std::make_shared<Sink>();
    out->ports = {port, port, port};
    out->ports[1]->vtep = 0;
    out->ports[2]->vtep = 1;
    out->vteps = {vtep(kPort4, kUnderlay4, IpAddr::v4(0x0a000002), 24),
                  vtep(kPort6, kUnderlay6, v6(2), 64)};
    out->remotes = {{}, {IpAddr::v4(0x0a000001), "dvs0", true}, {v6(1), "dvs0", true}};
    return out;
}

/// One switch for the life of the process; each input begins where the one before ended.
class Switch {
public:
    Switch() : pool_(make_pool()), dataplane_(options(pool_)) {
        dataplane_.set_online(0, true);
        static_cast<void>(dataplane_.publish(snapshot()));
        pass(1);
    }
    void give(const Bytes& bytes, std::size_t cut) {
        rte_mbuf* frame = make(std::span(bytes).first(std::min(cut, bytes.size())));
        if (cut < bytes.size()) {
            rte_mbuf* rest = make(std::span(bytes).subspan(cut));
            if (rest == nullptr || frame == nullptr || rte_pktmbuf_chain(frame, rest) != 0) {
                rte_pktmbuf_free(rest);
            }
        }
        if (frame == nullptr) { return; }
        frame->port = kUplink.value;
        datapath::WorkerContext& context = dataplane_.worker(0).context();
        if (datapath::take_underlay(context, kUplink, frame)) {
            context.counters.received.add(1);
        } else {
            rte_pktmbuf_free(frame);
        }
    }
    void pass(std::uint64_t ms) {
        now_ns_ += ms * 1'000'000U;
        dataplane_.poll_once(0, now_ns_);
        require(!datapath::find_neighbour(dataplane_.worker(0).context(), kUnderlay4,
                                          IpAddr::v4(0x0a000063)),
                "nobody asked for 10.0.0.99");
    }
    void check() const {
        const datapath::WorkerContext& context = dataplane_.worker(0).context();
        const WorkerCounters& c = context.counters;
        require(
            c.received.get() + c.created.get() ==
                c.sent.get() + c.consumed.get() + c.dropped.get() + context.neighbours.held_count(),
            "the books balance");
        require(rte_mempool_avail_count(pool_) == kBuffers - context.neighbours.held_count(),
                "every buffer is back");
    }

private:
    static rte_mempool* make_pool() {
        return rte_pktmbuf_pool_create("fuzz_pool", kBuffers, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                       SOCKET_ID_ANY);
    }
    static datapath::DataplaneOptions options(rte_mempool* pool) {
        datapath::DataplaneOptions out;
        out.pool = pool;
        out.flow_capacity = 1U << 10U;
        out.connection_capacity = 1U << 10U;
        out.learned_capacity = 1U << 10U;
        out.seed = 1;
        return out;
    }
    rte_mbuf* make(std::span<const std::uint8_t> bytes) {
        rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
        if (frame == nullptr) { return nullptr; }
        char* room = rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes.size()));
        std::copy(bytes.begin(), bytes.end(), room);
        return frame;
    }

    rte_mempool* pool_;
    datapath::Dataplane dataplane_;
    std::uint64_t now_ns_ = 1'000'000'000'000;
};

// What gets past the checksums is worth more: those of an ICMP or UDP message are made right.
Bytes shaped(Input& input, unsigned kind) {
    Bytes rest = input.bytes(input.byte());
    const auto sum = [](std::span<const std::uint8_t> bytes, std::uint32_t begin) {
        std::uint32_t total = begin;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            total += std::uint32_t{bytes[i]} << (i % 2 == 0 ? 8U : 0U);
        }
        total = (total & 0xffffU) + (total >> 16U);
        return 0xffffU & ~((total & 0xffffU) + (total >> 16U));
    };
    switch (kind) {
        case 0: {
            Bytes frame = ethernet(0x0806);
            frame.insert(frame.end(), rest.begin(), rest.end());
            return frame;
        }
        case 1:
            if (rest.size() >= 4) {
                put16(rest, 2, 0);
                put16(rest, 2, sum(rest, 0));
            }
            return ipv4(1, rest);
        case 2: {
            Bytes frame = ipv6(58, rest, 255);
            if (rest.size() >= 4) {
                put16(frame, 56, 0);
                const auto covered = std::span(frame).subspan(22);
                const auto begin = static_cast<std::uint32_t>(rest.size() + 58);
                put16(frame, 56, sum(covered, begin));
            }
            return frame;
        }
        case 3: {  // BFD.
            Bytes datagram = {0xc0, 0, 0x0e, 0xc8, 0, 0, 0, 0};
            datagram.insert(datagram.end(), rest.begin(), rest.end());
            put16(datagram, 4, datagram.size());
            Bytes frame = ipv4(17, datagram);
            frame[22] = 255;
            put16(frame, 24, 0);
            put16(frame, 24, sum(std::span(frame).subspan(14, 20), 0));
            return frame;
        }
        default: return rest;
    }
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice::fuzz;
    static const sluice::test::Eal eal;
    static Switch under_test;
    Input input(data, size);
    while (!input.is_empty()) {
        const unsigned kind = input.byte() % 6U;
        if (kind == 5) {
            under_test.pass(input.byte() * 20U);
            continue;
        }
        const std::size_t cut = input.byte();
        under_test.give(shaped(input, kind), cut < 64 ? SIZE_MAX : cut);
        under_test.pass(1);
    }
    under_test.pass(1);
    under_test.check();
    return 0;
}
