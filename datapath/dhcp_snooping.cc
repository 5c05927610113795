// SPDX-License-Identifier: Apache-2.0
// DHCP snooping: the addresses that servers lend to this host's vNICs (RFC 2131, RFC 8415). A
// client's question is remembered as a row kDhcpClient; the server's answer to it makes, prolongs
// or ends a binding of the vNIC that asked, before the answer is switched. So the binding is in
// force when the VM gets it, on whichever worker the vNIC is. Called for inspected frames that the
// chain of their port let pass (an uplink has none), by the worker that polls the port.
//
//   VM: DISCOVER (rapid commit), REQUEST / SOLICIT (rapid commit), REQUEST, RENEW, REBIND  asks
//   VM: RELEASE, DECLINE                       the leases that it names end
//   server: ACK / REPLY to a question          binds for the lease time; 0 ends
//   server: NAK to a REQUEST                   the lease that was asked for ends
//
// CONFIRM and INFORM change nothing, IA_PD neither.
#include <algorithm>

#include "datapath/stages.h"
#include "sluice/iochain/dhcp_message.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kSecond = 1000000000;

/// A client of this host that waits, and what it asked.
struct Question {
    PortIndex port = kNoPort;
    MacAddr mac;
    std::uint8_t type = 0;     ///< Message type.
    std::uint32_t detail = 0;  ///< DHCPv4: the address that it wants; DHCPv6: digest of its DUID.
};

/// Where a DHCP frame is, and what is known there.
class Snooper {
public:
    Snooper(WorkerContext& context, const ParsedFrame& frame, const PortConfig& in,
            const Domain& domain) noexcept
        : context_(context), key_(frame.key), in_(in), domain_(domain) {}

    [[nodiscard]] bool is_from_client(std::uint16_t server_port) const noexcept {
        return !in_.is_uplink && key_.source_port.host() != server_port &&
               key_.destination_port.host() == server_port;
    }
    [[nodiscard]] bool is_to_client(std::uint16_t client_port) const noexcept {
        return key_.destination_port.host() == client_port;
    }

    /// Remembers a question of `key`. Who gives another vNIC's MAC as its own is not heard.
    void ask(const LearnedKey& key, const MacAddr& client, std::uint8_t type,
             std::uint32_t detail) noexcept {
        const PortIndex owner = domain_.macs.find(client);
        if (owner != kNoPort && owner != key_.port) { return; }
        LearnedValue value;
        value.mac = client;
        value.source = LearnedSource::kDhcp;
        value.flags = type;
        value.detail = detail;
        value.expires_ns = context_.now_ns + kDhcpClientSeconds * kSecond;
        context_.learned.learn(key, value, kDhcpClientPerPortMax, context_.now_ns);
    }
    /// The question of `key`, whatever its port; of several the oldest.
    [[nodiscard]] Question question(const LearnedKey& key) const noexcept {
        Question found;
        std::uint64_t first_seen_ns = ~std::uint64_t{0};
        context_.learned.for_each_port(key, context_.now_ns, [&](const LearnedRow& row) {
            if (row.value.first_seen_ns >= first_seen_ns) { return; }
            first_seen_ns = row.value.first_seen_ns;
            found = {row.key.port, row.value.mac, row.value.flags, row.value.detail};
        });
        return found;
    }

    /// @param lease_s  0 ends what there is
    void lend(const Question& to, const IpAddr& ip, std::uint32_t lease_s) noexcept {
        if (lease_s == 0) { return end(to.port, to.mac, ip); }
        if (context_.snapshot->port(to.port) == nullptr || domain_.owners.owns(to.port, ip)) {
            return;
        }
        LearnedValue value;
        value.mac = to.mac;
        value.source = LearnedSource::kDhcp;
        if (lease_s != kDhcpInfinite) { value.expires_ns = context_.now_ns + lease_s * kSecond; }
        context_.learned.learn(LearnedKey::binding(domain_.id, to.port, ip), value,
                               kBindingPerPortMax, context_.now_ns);
    }
    /// Ends a lease of a client behind `port`; what was claimed otherwise stays.
    void end(PortIndex port, const MacAddr& client, const IpAddr& ip) noexcept {
        const LearnedKey key = LearnedKey::binding(domain_.id, port, ip);
        const auto row = context_.learned.find(key, context_.now_ns);
        if (!row || row->source != LearnedSource::kDhcp || row->mac != client) { return; }
        context_.learned.forget(key);
    }

    [[nodiscard]] const FlowKey& key() const noexcept { return key_; }
    [[nodiscard]] DomainId domain() const noexcept { return domain_.id; }

private:
    WorkerContext& context_;
    const FlowKey& key_;
    const PortConfig& in_;
    const Domain& domain_;
};

/// An address that a host may have: not 0/8, loopback, multicast, reserved or broadcast.
bool is_host4(const IpAddr& ip) noexcept {
    const std::uint8_t top = ip.bytes[12];
    return top != 0 && top != 127 && top < 224;
}

bool is_host6(const IpAddr& ip) noexcept {
    IpAddr loopback = IpAddr::v6({});
    loopback.bytes[15] = 1;
    return ip.bytes[0] != 0xff && ip != IpAddr::v6({}) && ip != loopback;
}

void hear_client4(Snooper& snooper, const Dhcp4Message& message) noexcept {
    if (message.operation != Dhcp4Operation::kRequest || message.relay_ip.v4_host() != 0) {
        return;
    }
    const IpAddr wanted = message.requested_ip.value_or(message.client_ip);
    switch (message.type) {
        case Dhcp4Type::kDiscover:
            if (!message.rapid_commit) { return; }
            [[fallthrough]];
        case Dhcp4Type::kRequest:
            return snooper.ask(LearnedKey::dhcp4_client(snooper.domain(), snooper.key().port,
                                                        message.client_mac, message.xid),
                               message.client_mac, static_cast<std::uint8_t>(message.type),
                               wanted.v4_host());
        case Dhcp4Type::kRelease:
            return snooper.end(snooper.key().port, message.client_mac, message.client_ip);
        case Dhcp4Type::kDecline:
            return snooper.end(snooper.key().port, message.client_mac, wanted);
        default: return;
    }
}

void hear_server4(Snooper& snooper, const Dhcp4Message& message) noexcept {
    if (message.type != Dhcp4Type::kAck && message.type != Dhcp4Type::kNak) { return; }
    const Question asked = snooper.question(
        LearnedKey::dhcp4_client(snooper.domain(), PortIndex{0}, message.client_mac, message.xid));
    if (asked.port == kNoPort) { return; }
    const bool is_request = asked.type == static_cast<std::uint8_t>(Dhcp4Type::kRequest);
    if (message.type == Dhcp4Type::kNak) {
        if (is_request) { snooper.end(asked.port, asked.mac, IpAddr::v4(asked.detail)); }
        return;
    }
    const IpAddr& ip = message.your_ip;
    const bool is_answer = is_request || message.rapid_commit;  // RFC 4039 §3.
    if (!is_answer || !message.lease_s || !is_host4(ip)) { return; }
    if (ip == message.server_ip || ip == message.router_ip) { return; }
    snooper.lend(asked, ip, *message.lease_s);
}

void hear_client6(Snooper& snooper, const Dhcp6Message& message) noexcept {
    if (message.relays != 0) { return; }
    const MacAddr& mac = snooper.key().source_mac;
    switch (message.type) {
        case Dhcp6Type::kSolicit:
            if (!message.rapid_commit) { return; }
            [[fallthrough]];
        case Dhcp6Type::kRequest:
        case Dhcp6Type::kRenew:
        case Dhcp6Type::kRebind:
            return snooper.ask(
                LearnedKey::dhcp6_client(snooper.domain(), snooper.key().port,
                                         snooper.key().source(), message.transaction),
                mac, static_cast<std::uint8_t>(message.type), message.client_digest);
        case Dhcp6Type::kRelease:
        case Dhcp6Type::kDecline:
            for (const Dhcp6Lease& lease : message.addresses()) {
                snooper.end(snooper.key().port, mac, lease.ip);
            }
            return;
        default: return;
    }
}

void hear_server6(Snooper& snooper, const Dhcp6Message& message) noexcept {
    if (message.type != Dhcp6Type::kReply || message.relays != 0 || !message.is_success) { return; }
    const Question asked = snooper.question(LearnedKey::dhcp6_client(
        snooper.domain(), PortIndex{0}, snooper.key().destination(), message.transaction));
    if (asked.port == kNoPort || asked.mac != snooper.key().destination_mac) { return; }
    if (asked.detail != message.client_digest) { return; }  // Not this client's (RFC 8415 §16.10).
    const bool is_solicit = asked.type == static_cast<std::uint8_t>(Dhcp6Type::kSolicit);
    if (is_solicit && !message.rapid_commit) { return; }
    for (const Dhcp6Lease& lease : message.addresses()) {
        if (is_host6(lease.ip)) { snooper.lend(asked, lease.ip, lease.valid_s); }
    }
}

void snoop4(Snooper& snooper, const ParsedFrame& frame) noexcept {
    const auto payload = dhcp_payload(frame);
    const auto message = payload ? read_dhcp4(*payload) : std::nullopt;
    if (!message) { return; }
    if (message->operation == Dhcp4Operation::kReply) {
        if (snooper.is_to_client(kDhcp4ClientPort)) { hear_server4(snooper, *message); }
    } else if (snooper.is_from_client(kDhcp4ServerPort)) {
        hear_client4(snooper, *message);
    }
}

void snoop6(Snooper& snooper, const ParsedFrame& frame) noexcept {
    const auto payload = dhcp_payload(frame);
    const auto message = payload ? read_dhcp6(*payload) : std::nullopt;
    if (!message) { return; }
    if (snooper.is_to_client(kDhcp6ClientPort)) { hear_server6(snooper, *message); }
    if (snooper.is_from_client(kDhcp6ServerPort)) { hear_client6(snooper, *message); }
}

}  // namespace

void snoop_dhcp(WorkerContext& context, const ParsedFrame& frame, const PortConfig& in,
                const Domain& domain) noexcept {
    const bool is_v4 = frame.inspect_kind == InspectKind::kDhcp4;
    if (!is_v4 && frame.inspect_kind != InspectKind::kDhcp6) { return; }
    Snooper snooper(context, frame, in, domain);
    is_v4 ? snoop4(snooper, frame) : snoop6(snooper, frame);
    context.refresh_stamp();
}

}  // namespace sluice::datapath
