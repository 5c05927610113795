// SPDX-License-Identifier: Apache-2.0
// Router, inspected: ARP (RFC 826) and neighbour discovery (RFC 4861) that concern a router. Who
// asks for an address of its is answered in place: a vNIC of this host with the shared MAC, the
// fabric with this host's own; the question goes nowhere else. What answers the router's own
// questions is learned and ends here. Nobody else may claim a router's address. Between the
// sender's chain, which let the frame pass, and switching (inspect.cc). Worker that polls the
// sender.
#include <algorithm>

#include "datapath/icmp_error.h"
#include "datapath/packet_writer.h"
#include "datapath/router.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kArpSize = 28;
constexpr std::uint16_t kArpRequest = 1, kArpReply = 2;
constexpr std::uint32_t kNdSize = 24, kAdvertisementSize = 32;
constexpr std::uint8_t kSolicitation = 135, kAdvertisement = 136, kTargetLinkLayer = 2;
constexpr std::uint8_t kNdHopLimit = 255;
constexpr std::uint8_t kRouterFlag = 0x80, kSolicitedFlag = 0x40, kOverrideFlag = 0x20;

/// What an ARP or ND message says, whichever of the two it is.
struct Talk {
    bool is_question = false;
    IpAddr speaker;  ///< Of a question, who asks: zero in a probe. Of an answer: whose it is.
    IpAddr target;   ///< Of a question.
    MacAddr mac;     ///< Of the speaker, as it says itself.
};

struct Place {
    const PortConfig& in;
    const Domain& domain;
    const RouterConfig& router;
    const RouterInterface& interface;
};

std::optional<Talk> read_arp(const ParsedFrame& frame) noexcept {
    if (frame.l3_offset == 0 || frame.l3_offset + kArpSize > frame.data_size) {
        return std::nullopt;
    }
    static constexpr std::uint8_t kFormat[] = {0, 1, 8, 0, 6, 4};  // Ethernet, IPv4.
    const std::uint8_t* arp = frame.data + frame.l3_offset;
    const std::uint16_t operation = load_be16(arp + 6);
    if (std::memcmp(arp, kFormat, sizeof kFormat) != 0 || operation < kArpRequest ||
        operation > kArpReply) {
        return std::nullopt;
    }
    Talk talk{operation == kArpRequest,
              IpAddr::v4(load_be32(arp + 14)),
              IpAddr::v4(load_be32(arp + 24)),
              {}};
    std::memcpy(talk.mac.bytes.data(), arp + 8, 6);
    return talk;
}

// The target's MAC of an advertisement; the frame's source if it has none (RFC 4861 §4.4).
MacAddr told_mac(const ParsedFrame& frame) noexcept {
    const std::uint8_t* icmp = frame.data + frame.l4_offset;
    const std::uint32_t end =
        std::min<std::uint32_t>(frame.l4_size, frame.data_size - std::uint32_t{frame.l4_offset});
    for (std::uint32_t at = kNdSize; at + 8 <= end && icmp[at + 1] != 0; at += icmp[at + 1] * 8U) {
        if (icmp[at] != kTargetLinkLayer) { continue; }
        MacAddr mac;
        std::memcpy(mac.bytes.data(), icmp + at + 2, 6);
        return mac;
    }
    return frame.key.source_mac;
}

std::optional<Talk> read_nd(const ParsedFrame& frame) noexcept {
    if (frame.l4_offset == 0 || frame.l4_size < kNdSize ||
        std::uint32_t{frame.l4_offset} + kNdSize > frame.data_size ||
        frame.data[frame.l3_offset + 7] != kNdHopLimit) {
        return std::nullopt;
    }
    const std::uint8_t* icmp = frame.data + frame.l4_offset;
    IpAddr target;
    target.family = IpFamily::kV6;
    std::memcpy(target.bytes.data(), icmp + 8, 16);
    if (icmp[0] == kSolicitation) {
        return Talk{true, frame.key.source(), target, frame.key.source_mac};
    }
    if (icmp[0] != kAdvertisement) { return std::nullopt; }
    return Talk{false, target, {}, told_mac(frame)};
}

std::optional<Talk> read_talk(const ParsedFrame& frame) noexcept {
    if (frame.inspect_kind == InspectKind::kArp) { return read_arp(frame); }
    return frame.inspect_kind == InspectKind::kNd ? read_nd(frame) : std::nullopt;
}

bool is_unspecified(const IpAddr& ip) noexcept { return ip.bytes == IpAddr{}.bytes; }

// The MAC to answer with: the link-local address of this host's own MAC is no one else's.
const MacAddr& answering_mac(const Place& place, const IpAddr& target) noexcept {
    if (target == link_local_of(place.router.pmac)) { return place.router.pmac; }
    return router_mac_towards(place.router, place.in);
}

void write_reply(const ParsedFrame& frame, const Talk& talk, const MacAddr& mac,
                 std::uint8_t* out) noexcept {
    static constexpr std::uint8_t kReply[] = {0, 1, 8, 0, 6, 4, 0, kArpReply};
    std::memcpy(out, kReply, sizeof kReply);
    std::memcpy(out + 8, mac.bytes.data(), 6);
    store_ip(out + 14, talk.target);
    std::memcpy(out + 18, frame.data + frame.l3_offset + 8, 10);  // The asker, as it calls itself.
}

// RFC 4861 §7.2.4: who detects duplicates is told by way of all nodes.
void write_advertisement(const Talk& talk, const MacAddr& mac, std::uint8_t* ip) noexcept {
    IpAddr to = talk.speaker;
    const bool is_detection = is_unspecified(to);
    if (is_detection) {
        to.bytes = {0xff, 2};
        to.bytes[15] = 1;
    }
    write_ip(ip, {talk.target, to, kProtocolIcmpv6, kNdHopLimit, 0, kAdvertisementSize});
    std::uint8_t* icmp = ip + kIpv6Size;
    icmp[0] = kAdvertisement;
    icmp[4] = kRouterFlag | kOverrideFlag | (is_detection ? std::uint8_t{0} : kSolicitedFlag);
    store_ip(icmp + 8, talk.target);
    icmp[24] = kTargetLinkLayer;
    icmp[25] = 1;  // In units of eight bytes.
    std::memcpy(icmp + 26, mac.bytes.data(), 6);
    store(icmp + 2, transport_sum(ip, IpFamily::kV6, kProtocolIcmpv6, kAdvertisementSize));
}

void answer(WorkerContext& context, const Packet& packet, const Place& place,
            const Talk& talk) noexcept {
    const ParsedFrame& frame = packet.frame;
    const bool is_arp = frame.inspect_kind == InspectKind::kArp;
    const std::uint32_t body = is_arp ? kArpSize : kIpv6Size + kAdvertisementSize;
    rte_mbuf* made =
        new_frame(context, frame.key.port, std::max(frame.l3_offset + body, kFrameSizeMin));
    if (made == nullptr) { return; }
    const MacAddr mac = answering_mac(place, talk.target);
    std::uint8_t* out = bytes_of(*made);
    write_answer_ethernet(frame, mac, out);
    if (is_arp) {
        write_reply(frame, talk, mac, out + frame.l3_offset);
    } else {
        write_advertisement(talk, mac, out + frame.l3_offset);
    }
    context.ports[frame.key.port.value].answered.add(1);
    send_back(context, made, frame);
}

// Whether the MAC may be the one of that address here: the document knows better than frames.
bool is_believable(const WorkerContext& context, const Place& place, const FlowKey& key,
                   const Talk& talk) noexcept {
    const bool is_here = is_on_link(place.interface, talk.speaker);
    if (!is_here || talk.mac.is_group() || !(talk.mac == key.source_mac)) { return false; }
    if (is_router_mac(*context.snapshot, place.domain, talk.mac)) { return false; }
    const AddressOwner* owner = place.domain.owner(talk.speaker);
    return owner == nullptr || owner->mac == talk.mac || owner->port == key.port;
}

// An answer to a question of this host, of whichever worker. Who speaks without being asked is
// asked, if the address is known otherwise.
void hear(WorkerContext& context, const Place& place, const FlowKey& key, const Talk& talk,
          bool is_to_router) noexcept {
    if (!is_believable(context, place, key, talk)) { return; }
    const DomainId domain = place.domain.id;
    const auto row =
        context.learned.find(LearnedKey::neighbour(domain, talk.speaker), context.now_ns);
    const bool is_asked =
        is_asked_for(context, domain, talk.speaker) || (!row && context.options.worker_count > 1);
    if (is_to_router && (is_asked || (row && row->mac == talk.mac))) {
        return learn_neighbour(context, domain, talk.speaker, talk.mac, key.port);
    }
    if (row && !(row->mac == talk.mac)) { doubt_neighbour(context, domain, talk.speaker); }
}

// The router's own address in somebody's mouth.
bool drop_claim(WorkerContext& context, Packet& packet, const Place& place,
                const Talk& talk) noexcept {
    if (is_unspecified(talk.speaker) || !has_address(place.router, place.interface, talk.speaker)) {
        return false;
    }
    const bool is_arp = packet.frame.inspect_kind == InspectKind::kArp;
    drop(context, packet.mbuf, is_arp ? DropReason::kSpoofedArp : DropReason::kSpoofedNd);
    return true;
}

bool take_talk(WorkerContext& context, Packet& packet, const Place& place,
               const Talk& talk) noexcept {
    const FlowKey& key = packet.frame.key;
    if (drop_claim(context, packet, place, talk)) { return true; }
    const bool is_to_router =
        !talk.is_question && is_router_mac(*context.snapshot, place.domain, key.destination_mac);
    if (!is_unspecified(talk.speaker)) { hear(context, place, key, talk, is_to_router); }
    const bool is_asked =
        talk.is_question && has_address(place.router, place.interface, talk.target);
    if (is_asked) { answer(context, packet, place, talk); }
    if (!is_asked && !is_to_router) { return false; }
    consume(context, packet.mbuf);
    return true;
}

}  // namespace

bool router_inspects(WorkerContext& context, Packet& packet, const PortConfig& in,
                     std::uint16_t index) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    if (domain.router == kNoRouter) { return false; }
    if (packet.frame.inspect_kind == InspectKind::kDhcp4) {
        return relay_dhcp(context, packet, in, index);
    }
    const RouterConfig& router = context.snapshot->routers[domain.router];
    const Place place{in, domain, router, interface_of(router, domain)};
    const std::optional<Talk> talk = read_talk(packet.frame);
    return talk && take_talk(context, packet, place, *talk);
}

}  // namespace sluice::datapath
