// SPDX-License-Identifier: Apache-2.0
// DHCP relay (RFC 1542 §4, RFC 2131 §4.1): a client's broadcast, in a domain whose router interface
// names servers, goes to each of them as the router's own packet, routed by it, and nowhere else. A
// server answers to the interface's address (giaddr), which every host has: whichever gets the
// answer hands it over in the client's domain, from where it crosses to the client's host like any
// frame. Leases are snooped there (dhcp_snooping.cc). Clients are vNICs of this host: each host
// relays for its own. No option 82 (RFC 3046). Called for inspected frames that the sender's chain
// let pass, by the worker that polls the sender.
#include <algorithm>

#include "datapath/own_frame.h"
#include "datapath/packet_writer.h"
#include "datapath/parse.h"
#include "datapath/router.h"
#include "sluice/iochain/dhcp_message.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kHeaders = kEthernetSize + kIpv4Size + kUdpSize;
constexpr std::uint32_t kPayloadMax = 1500 - kIpv4Size - kUdpSize;
constexpr std::size_t kHops = 3, kFlags = 10, kGiaddr = 24;  // RFC 2131 §2.
constexpr std::uint8_t kHopMax = 16;                         // RFC 1542 §4.1.1.
constexpr std::uint8_t kBroadcastFlag = 0x80;
constexpr MacAddr kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

using Payload = std::span<const std::uint8_t>;

/// A whole message in one frame: the pieces of one that was gathered are judged one by one.
struct Message {
    Payload payload;
    Dhcp4Message fields;
};

std::optional<Message> read_message(const Packet& packet) noexcept {
    if (packet.frame.frame_size != packet.mbuf->pkt_len) { return std::nullopt; }
    const auto payload = dhcp_payload(packet.frame);
    if (!payload || payload->size() > kPayloadMax) { return std::nullopt; }
    const auto fields = read_dhcp4(*payload);
    return fields ? std::optional(Message{*payload, *fields}) : std::nullopt;
}

/// From where to where a copy of a message goes.
struct Ends {
    MacAddr source_mac, destination_mac;
    IpAddr source, destination;
    std::uint16_t port;  ///< Destination's; the source's is the server's.
};

void write_message(std::uint8_t* out, const Ends& ends, Payload payload) noexcept {
    const auto size = static_cast<std::uint32_t>(kUdpSize + payload.size());
    std::memcpy(out, ends.destination_mac.bytes.data(), 6);
    std::memcpy(out + 6, ends.source_mac.bytes.data(), 6);
    store_be16(out + 12, kEtherIpv4);
    std::uint8_t* ip = out + kEthernetSize;
    write_ip(ip, {ends.source, ends.destination, kProtocolUdp, kOwnHopLimit, 0, size});
    std::uint8_t* udp = ip + kIpv4Size;
    store_be16(udp, kDhcp4ServerPort);
    store_be16(udp + 2, ends.port);
    store_be16(udp + 4, size);
    store_be16(udp + 6, 0);
    std::memcpy(udp + kUdpSize, payload.data(), payload.size());
}

void seal(std::uint8_t* frame, std::size_t payload_size) noexcept {
    std::uint8_t* ip = frame + kEthernetSize;
    const std::uint16_t sum = transport_sum(ip, IpFamily::kV4, kProtocolUdp,
                                            static_cast<std::uint32_t>(kUdpSize + payload_size));
    store(ip + kIpv4Size + 6, sum == 0 ? std::uint16_t{0xffff} : sum);  // RFC 768.
}

std::optional<IpAddr> first_ip4(const RouterInterface& interface) noexcept {
    const auto at = std::find_if(interface.addresses.begin(), interface.addresses.end(),
                                 [](const RouterAddress& address) { return address.ip.is_v4(); });
    return at == interface.addresses.end() ? std::nullopt : std::optional(at->ip);
}

// The vNIC that it goes to has its say, as with any conversation.
bool enter(WorkerContext& context, rte_mbuf* frame, const ParsedFrame& parsed, PortIndex egress,
           std::uint16_t domain) noexcept {
    const PortConfig& out = *context.snapshot->port(egress);
    if (!out.is_enabled) {
        drop_towards(context, frame, egress, DropReason::kPortDisabled);
        return false;
    }
    const Decision decision = inspect(*out.chain, parsed, Direction::kToVm, nullptr, false,
                                      context.now_ns, view_bindings(context, domain, parsed.key));
    count_slots(context, egress, Direction::kToVm, decision.decided, 1);
    if (decision.verdict == Verdict::kPass) { return true; }
    count_slot_drop(context, egress, Direction::kToVm, decision.slot);
    drop_towards(context, frame, egress, decision.reason);
    return false;
}

void resume_own(WorkerContext& context, const NeighbourQuestion& question,
                rte_mbuf* frame) noexcept;

// Takes a packet of the router itself to its end. `index` is of any domain of the router.
void forward_own(WorkerContext& context, std::uint16_t index, rte_mbuf* frame) noexcept {
    ParsedFrame parsed;
    parse_mbuf(*frame, PortIndex{frame->port}, parsed);
    const Path path = route(context, index, parsed.key);
    if (path.kind == PathKind::kWait) {
        NeighbourQuestion question = router_question(*context.snapshot, path.domain, path.next_hop);
        question.resume = resume_own;
        question.give_up = nullptr;
        return hold_for_neighbour(context, question, frame);
    }
    if (path.kind == PathKind::kRouter) { return drop(context, frame, DropReason::kNotForRouter); }
    if (path.kind == PathKind::kDrop) { return drop(context, frame, path.reason); }
    if (path.to.port == kNoPort) { return drop(context, frame, DropReason::kNoUplink); }
    parsed.key = leaving_key(parsed.key, path);
    if (!enter(context, frame, parsed, path.to.port, path.domain)) { return; }
    Program program;
    program.output = path.to.port;
    program.steps.rewrite = acquire_rewrite(context, path);
    program.steps.remote = path.to.remote;
    program.steps.vlan = egress_vlan_step(*context.snapshot->port(path.to.port),
                                          context.snapshot->domains[path.domain], parsed.key);
    const DropReason reason = program.steps.rewrite == 0
                                  ? DropReason::kNeighbourQueueFull
                                  : run_steps(context, *frame, parsed, program);
    if (reason != DropReason::kNone) { return drop(context, frame, reason); }
    output(context, frame, path.to.port);
}

void resume_own(WorkerContext& context, const NeighbourQuestion& question,
                rte_mbuf* frame) noexcept {
    const bool is_there = question.index < context.snapshot->domains.size() &&
                          context.snapshot->domains[question.index].router != kNoRouter;
    if (!is_there) { return drop(context, frame, DropReason::kNoRoute); }
    forward_own(context, question.index, frame);
}

void send_to_server(WorkerContext& context, const Packet& packet, std::uint16_t index,
                    const Message& message, const Ends& ends) noexcept {
    context.counters.created.add(1);
    const PortIndex client = packet.frame.key.port;
    rte_mbuf* frame =
        new_frame(context, client, kHeaders + static_cast<std::uint32_t>(message.payload.size()));
    if (frame == nullptr) { return count_drop(context, client, DropReason::kNoBuffer); }
    write_message(bytes_of(*frame), ends, message.payload);
    std::uint8_t* bootp = bytes_of(*frame) + kHeaders;
    ++bootp[kHops];
    store_ip(bootp + kGiaddr, ends.source);
    seal(bytes_of(*frame), message.payload.size());
    forward_own(context, index, frame);
}

// False: it is no client's broadcast, or nobody is to be asked.
bool relay_request(WorkerContext& context, Packet& packet, const PortConfig& in,
                   std::uint16_t index, const Message& message) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    const RouterConfig& router = *router_of(*context.snapshot, domain);
    const RouterInterface& interface = interface_of(router, domain);
    const FlowKey& key = packet.frame.key;
    const auto own = first_ip4(interface);
    if (in.is_uplink || interface.dhcp_relay.empty() || !own ||
        key.destination().v4_host() != 0xffffffffU ||
        key.destination_port.host() != kDhcp4ServerPort || message.fields.relay_ip.v4_host() != 0 ||
        message.payload[kHops] >= kHopMax) {
        return false;
    }
    if (!take_token(context.chains[key.port.value].router, kRouterAnswerPerPortPps,
                    context.now_ns)) {
        drop(context, packet.mbuf, DropReason::kRateDhcp);
        return true;
    }
    for (const IpAddr& server : interface.dhcp_relay) {
        send_to_server(context, packet, index, message,
                       {router.vmac, router.vmac, *own, server, kDhcp4ServerPort});
    }
    consume(context, packet.mbuf);
    return true;
}

// Also to a client of another host, from where it is snooped again.
void send_to_client(WorkerContext& context, const RouterConfig& router,
                    const RouterInterface& interface, const PortConfig& in, rte_mbuf* frame,
                    bool is_broadcast) noexcept {
    const std::uint16_t index = interface.domain_index;
    const Domain& domain = context.snapshot->domains[index];
    ParsedFrame parsed;
    parse_mbuf(*frame, PortIndex{frame->port}, parsed);
    snoop_dhcp(context, parsed, in, domain);
    if (is_broadcast) {
        flood_own(context, index, {{bytes_of(*frame), frame->pkt_len}, router.pmac});
        return rte_pktmbuf_free(frame);  // Never counted: its copies are.
    }
    context.counters.created.add(1);
    FlowKey key = parsed.key;
    key.port = kNoPort;
    const Destination to = find_destination(context, index, key);
    if (to.port == kNoPort) {
        return drop(context, frame,
                    to.is_teamed ? DropReason::kNoUplink : DropReason::kUnknownUnicast);
    }
    const PortConfig& out = *context.snapshot->port(to.port);
    if (!enter(context, frame, parsed, to.port, index)) { return; }
    std::memcpy(bytes_of(*frame) + 6, router_mac_towards(router, out).bytes.data(), 6);
    Program program;
    program.domain = index;
    program.steps.remote = to.remote;
    program.steps.vlan = egress_vlan_step(out, domain, FlowKey{});
    const DropReason reason = run_steps(context, *frame, parsed, program);
    if (reason != DropReason::kNone) { return drop(context, frame, reason); }
    output(context, frame, to.port);
}

const RouterInterface* interface_with(const RouterConfig& router, const IpAddr& ip) noexcept {
    for (const RouterInterface& interface : router.interfaces) {
        for (const RouterAddress& address : interface.addresses) {
            if (address.ip == ip) { return &interface; }
        }
    }
    return nullptr;
}

// False: it is no answer that the router waits for.
bool relay_reply(WorkerContext& context, Packet& packet, const PortConfig& in,
                 const RouterConfig& router, const Message& message) noexcept {
    const FlowKey& key = packet.frame.key;
    const IpAddr& giaddr = message.fields.relay_ip;
    if (key.destination_port.host() != kDhcp4ServerPort || key.destination() != giaddr) {
        return false;
    }
    const RouterInterface* interface = interface_with(router, giaddr);
    if (interface == nullptr || interface->domain_index == kNoDomain) { return false; }
    const IpAddr& yours = message.fields.your_ip;
    const bool is_broadcast =
        (message.payload[kFlags] & kBroadcastFlag) != 0 || yours.v4_host() == 0;
    const Ends ends{router.vmac, is_broadcast ? kBroadcastMac : message.fields.client_mac, giaddr,
                    is_broadcast ? IpAddr::v4(0xffffffffU) : yours, kDhcp4ClientPort};
    rte_mbuf* frame =
        new_frame(context, key.port, kHeaders + static_cast<std::uint32_t>(message.payload.size()));
    if (frame == nullptr) {
        drop(context, packet.mbuf, DropReason::kNoBuffer);
        return true;
    }
    write_message(bytes_of(*frame), ends, message.payload);
    seal(bytes_of(*frame), message.payload.size());
    send_to_client(context, router, *interface, in, frame, is_broadcast);
    consume(context, packet.mbuf);
    return true;
}

}  // namespace

bool relay_dhcp(WorkerContext& context, Packet& packet, const PortConfig& in,
                std::uint16_t index) noexcept {
    const std::optional<Message> message = read_message(packet);
    if (!message) { return false; }
    if (message->fields.operation == Dhcp4Operation::kRequest) {
        return relay_request(context, packet, in, index, *message);
    }
    const Domain& domain = context.snapshot->domains[index];
    return is_router_mac(*context.snapshot, domain, packet.frame.key.destination_mac) &&
           relay_reply(context, packet, in, *router_of(*context.snapshot, domain), *message);
}

}  // namespace sluice::datapath
