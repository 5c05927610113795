// SPDX-License-Identifier: Apache-2.0
// Router: what the distributed router says to senders of packets: answers for its addresses, ICMP
// errors about what it can't route. Answers leave by the port where the packet came in, and pass no
// chain. Worker that polls the sender.
#include "datapath/router.h"

#include "datapath/icmp_error.h"
#include "datapath/packet_writer.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kEcho4 = 8, kEchoReply4 = 0, kEcho6 = 128, kEchoReply6 = 129;

struct Place {
    const PortConfig& in;
    const Domain& domain;
    const RouterConfig& router;
    const RouterInterface& entered;
};

std::optional<Place> place_of(const WorkerContext& context, const FlowKey& key) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const PortConfig* in = snapshot.port(key.port);
    const std::uint16_t index = in == nullptr ? kNoDomain : ingress_domain(*in, key);
    if (index == kNoDomain || snapshot.domains[index].router == kNoRouter) { return std::nullopt; }
    const Domain& domain = snapshot.domains[index];
    const RouterConfig& router = *router_of(snapshot, domain);
    return Place{*in, domain, router, interface_of(router, domain)};
}

// A whole echo request right behind the IP header.
bool is_echo_request(const ParsedFrame& frame) noexcept {
    const FlowKey& key = frame.key;
    if (frame.fragment || frame.l4_offset == 0 || frame.l4_size < 8) { return false; }
    const std::uint8_t type = frame.data[frame.l4_offset];
    if (key.has(kKeyIpv4)) { return key.protocol == kProtocolIcmp && type == kEcho4; }
    return key.protocol == kProtocolIcmpv6 && type == kEcho6 &&
           frame.l4_offset == frame.l3_offset + kIpv6Size;
}

template <std::size_t kSize>
void swap_fields(std::uint8_t* a, std::uint8_t* b) noexcept {
    std::uint8_t kept[kSize];
    std::memcpy(kept, a, kSize);
    std::memcpy(a, b, kSize);
    std::memcpy(b, kept, kSize);
}

// The request becomes its answer (RFC 792, RFC 4443 §4.2): addresses change places, which no
// checksum notices; the type does, and the hop limit.
void turn_round(std::uint8_t* start, const ParsedFrame& frame, const MacAddr& from) noexcept {
    std::memcpy(start, start + 6, 6);
    std::memcpy(start + 6, from.bytes.data(), 6);
    std::uint8_t* ip = start + frame.l3_offset;
    std::uint8_t* icmp = start + frame.l4_offset;
    const bool is_v4 = frame.key.has(kKeyIpv4);
    const std::uint16_t before = load<std::uint16_t>(icmp);
    icmp[0] = is_v4 ? kEchoReply4 : kEchoReply6;
    const std::uint16_t sum =
        mended(load<std::uint16_t>(icmp + 2), before, load<std::uint16_t>(icmp));
    store(icmp + 2, sum);
    if (!is_v4) {
        swap_fields<16>(ip + 8, ip + 24);
        ip[7] = kOwnHopLimit;
        return;
    }
    swap_fields<4>(ip + 12, ip + 16);
    const std::uint16_t hops = load<std::uint16_t>(ip + 8);
    ip[8] = kOwnHopLimit;
    store(ip + 10, mended(load<std::uint16_t>(ip + 10), hops, load<std::uint16_t>(ip + 8)));
}

void answer_echo(WorkerContext& context, Packet& packet, const MacAddr& from) noexcept {
    const FlowKey& key = packet.frame.key;
    TokenBucket& bucket = context.chains[key.port.value].router;
    if (!take_token(bucket, kRouterAnswerPerPortPps, context.now_ns)) {
        return drop(context, packet.mbuf, DropReason::kNotForRouter);
    }
    turn_round(bytes_of(*packet.mbuf), packet.frame, from);
    return_to_sender(context, packet.mbuf, packet.frame);
}

std::optional<IcmpErrorKind> error_about(DropReason reason) noexcept {
    switch (reason) {
        case DropReason::kTtlExpired: return IcmpErrorKind::kTimeExceeded;
        case DropReason::kNoRoute: return IcmpErrorKind::kNetUnreachable;
        case DropReason::kNeighbourUnreachable: return IcmpErrorKind::kHostUnreachable;
        case DropReason::kTooBig: return IcmpErrorKind::kTooBig;
        default: return std::nullopt;
    }
}

// Bytes of layer 3 that the port takes.
std::uint16_t mtu_of(const WorkerContext& context, PortIndex port) noexcept {
    const PortConfig* out = context.snapshot->port(port);
    return out == nullptr ? std::uint16_t{0}
                          : static_cast<std::uint16_t>(out->frame_size_max - kEthernetSize);
}

}  // namespace

void end_at_router(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const std::optional<Place> place = place_of(context, key);
    if (place && is_own_address(place->router, place->entered, key.destination())) {
        const MacAddr& from = router_mac_towards(place->router, place->in);
        if (is_echo_request(packet.frame)) { return answer_echo(context, packet, from); }
        if (key.protocol == kProtocolUdp) {
            tell_sender(context, *packet.mbuf, packet.frame,
                        {IcmpErrorKind::kPortUnreachable, from, key.destination()});
        }
    }
    drop(context, packet.mbuf, DropReason::kNotForRouter);
}

void answer_unroutable(WorkerContext& context, const Packet& packet, DropReason reason) noexcept {
    const FlowKey& key = packet.frame.key;
    const std::optional<IcmpErrorKind> kind = error_about(reason);
    const std::optional<Place> place = place_of(context, key);
    if (!kind || !place || !is_router_mac(*context.snapshot, place->domain, key.destination_mac)) {
        return;
    }
    const auto from = address_towards(place->router, place->entered, key.source());
    if (!from) { return; }
    IcmpError error{*kind, router_mac_towards(place->router, place->in), *from};
    if (*kind == IcmpErrorKind::kTooBig) {
        error.mtu = mtu_of(context, packet.flow->program.output);
    }
    tell_sender(context, *packet.mbuf, packet.frame, error);
}

}  // namespace sluice::datapath
