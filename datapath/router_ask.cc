// SPDX-License-Identifier: Apache-2.0
// Router, asking: a packet whose next hop is not resolved waits, and the router asks for it in the
// domain that the packet leaves in. It asks from this host's own MAC and for itself, never in the
// name of the shared one: an ARP probe (RFC 5227 §1.1: sender address 0), or a solicitation from
// the link-local address of that MAC, so that nobody takes that MAC for the gateway's. The
// question reaches each vNIC of the domain, whose chains are not asked, and the fabric. Worker that
// polls the sender of the packet.
#include <algorithm>

#include "datapath/icmp_error.h"
#include "datapath/membership.h"
#include "datapath/own_frame.h"
#include "datapath/packet_writer.h"
#include "datapath/router.h"
#include "datapath/tunnel.h"
#include "datapath/tunnel_mark.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kArpSize = 28, kSolicitationSize = 32;
constexpr std::uint8_t kSolicitation = 135, kSourceLinkLayer = 1, kNdHopLimit = 255;
constexpr std::uint32_t kQuestionMax = kEthernetSize + kIpv6Size + kSolicitationSize;

struct Question {
    std::uint8_t bytes[kQuestionMax] = {};
    std::uint32_t size = kFrameSizeMin;
};

void write_ethernet(std::uint8_t* out, const MacAddr& to, const MacAddr& from,
                    std::uint16_t type) noexcept {
    std::memcpy(out, to.bytes.data(), 6);
    std::memcpy(out + 6, from.bytes.data(), 6);
    store_be16(out + 12, type);
}

// RFC 826, RFC 5227 §2.1.1.
void write_probe(Question& out, const MacAddr& to, const MacAddr& from, const IpAddr& ip) noexcept {
    write_ethernet(out.bytes, to, from, kEtherArp);
    std::uint8_t* arp = out.bytes + kEthernetSize;
    static constexpr std::uint8_t kRequest[] = {0, 1, 8, 0, 6, 4, 0, 1};
    std::memcpy(arp, kRequest, sizeof kRequest);
    std::memcpy(arp + 8, from.bytes.data(), 6);
    store_ip(arp + 24, ip);
    static_assert(kEthernetSize + kArpSize <= kFrameSizeMin);
}

// RFC 4861 §4.3, §7.2.2.
void write_solicitation(Question& out, const std::optional<MacAddr>& known, const MacAddr& from,
                        const IpAddr& ip) noexcept {
    const IpAddr to = known ? ip : solicited_node(ip);
    write_ethernet(out.bytes, known ? *known : group_mac(to), from, kEtherIpv6);
    std::uint8_t* header = out.bytes + kEthernetSize;
    write_ip(header, {link_local_of(from), to, kProtocolIcmpv6, kNdHopLimit, 0, kSolicitationSize});
    std::uint8_t* icmp = header + kIpv6Size;
    icmp[0] = kSolicitation;
    store_ip(icmp + 8, ip);
    icmp[24] = kSourceLinkLayer;
    icmp[25] = 1;  // In units of eight bytes.
    std::memcpy(icmp + 26, from.bytes.data(), 6);
    store(icmp + 2, transport_sum(header, IpFamily::kV6, kProtocolIcmpv6, kSolicitationSize));
    out.size = kQuestionMax;
}

// True: there is one place to ask.
bool ask_known(WorkerContext& context, const NeighbourQuestion& question, const MacAddr& mac,
               const OwnBytes& frame) noexcept {
    FlowKey key;
    key.destination_mac = mac;
    key.port = kNoPort;
    const Destination to = find_destination(context, question.index, key);
    if (!to.is_known || to.port == kNoPort) { return false; }
    send_own(context, to.port, frame, &context.snapshot->domains[question.index], to.remote);
    return true;
}

void ask_for_neighbour(WorkerContext& context, const NeighbourQuestion& question) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    if (question.index >= snapshot.domains.size()) { return; }
    const Domain& domain = snapshot.domains[question.index];
    const RouterConfig* router = router_of(snapshot, domain);
    if (router == nullptr || domain.id != question.domain) { return; }
    const std::optional<MacAddr> known = find_neighbour(context, domain.id, question.ip);
    Question out;
    if (question.ip.is_v4()) {
        constexpr MacAddr kAll{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
        write_probe(out, known.value_or(kAll), router->pmac, question.ip);
    } else {
        write_solicitation(out, known, router->pmac, question.ip);
    }
    const OwnBytes frame{{out.bytes, out.size}};
    if (known && ask_known(context, question, *known, frame)) { return; }
    flood_own(context, question.index, frame);
}

// The tunnel that it came by is no part of the frame.
void resume_routed(WorkerContext& context, const NeighbourQuestion&, rte_mbuf* frame) noexcept {
    run_again(context, frame);
}

// Nobody answered: its sender is told.
void tell_unreachable(WorkerContext& context, const NeighbourQuestion&, rte_mbuf& frame) noexcept {
    Packet packet;
    PacketAside aside;
    packet.aside = &aside;
    packet.mbuf = &frame;
    if (read_again(context, packet)) {
        answer_unroutable(context, packet, DropReason::kNeighbourUnreachable);
    }
}

}  // namespace

NeighbourQuestion router_question(const Snapshot& snapshot, std::uint16_t domain,
                                  const IpAddr& ip) noexcept {
    NeighbourQuestion question;
    question.domain = snapshot.domains[domain].id;
    question.ip = ip;
    question.index = domain;
    question.ask = ask_for_neighbour;
    question.resume = resume_routed;
    question.give_up = tell_unreachable;
    return question;
}

// A fragment can't be run again without its datagram: only the question is asked for it.
void wait_for_neighbour(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const Path path = find_path(context, packet.flow->program.domain, key);
    if (!path.is_routed || path.next_hop.family == IpFamily::kNone) {
        return drop(context, packet.mbuf, DropReason::kNeighbourUnreachable);
    }
    const NeighbourQuestion question =
        router_question(*context.snapshot, path.domain, path.next_hop);
    if (packet.frame.fragment) {
        want_neighbour(context, question);
        return drop(context, packet.mbuf, DropReason::kNeighbourUnreachable);
    }
    if (key.tunnel != 0) { set_tunnel_mark(*packet.mbuf, mark_of(key)); }
    hold_for_neighbour(context, question, packet.mbuf);
}

}  // namespace sluice::datapath
