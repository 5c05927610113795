// SPDX-License-Identifier: Apache-2.0
// Route: the distributed router's choice for a frame to its MAC: longest prefix, next hop, the MAC
// of that. First packets, unicast conversations, and programs that are looked at again. Workers.
#include <algorithm>
#include <cstring>

#include "datapath/route_table.h"
#include "datapath/router.h"

namespace sluice::datapath {
namespace {

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) noexcept {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return hash ^ (hash >> 29U);
}

std::uint64_t mixed(std::uint64_t hash, const std::uint8_t (&address)[16]) noexcept {
    std::uint64_t words[2];
    std::memcpy(words, address, sizeof words);
    return mixed(mixed(hash, words[0]), words[1]);
}

std::uint64_t flow_hash(const FlowKey& key) noexcept {
    const std::uint64_t ports = std::uint64_t{key.source_port.host()} << 24U |
                                std::uint64_t{key.destination_port.host()} << 8U | key.protocol;
    return mixed(mixed(mixed(0, key.source_ip), key.destination_ip), ports);
}

// The highest random weight wins (Thaler, Ravishankar 1998): a next hop that comes or goes moves no
// flow between the others.
const RouteTable::NextHop& choose(std::span<const RouteTable::NextHop> hops,
                                  const FlowKey& key) noexcept {
    if (hops.size() == 1) { return hops.front(); }
    const std::uint64_t flow = flow_hash(key);
    const RouteTable::NextHop* best = nullptr;
    std::uint64_t best_weight = 0;
    for (const RouteTable::NextHop& hop : hops) {
        std::uint8_t address[16];
        std::memcpy(address, hop.ip.bytes.data(), sizeof address);
        const std::uint64_t weight = mixed(mixed(flow, address), 0x5851f42d4c957f2dU);
        if (best == nullptr || weight > best_weight) {
            best = &hop;
            best_weight = weight;
        }
    }
    return *best;
}

// Groups, and broadcasts of any kind: no router takes them for somebody else (RFC 1812 §5.3.4,
// §5.3.5).
bool is_for_many(const IpAddr& ip) noexcept {
    if (ip.is_v6()) { return ip.bytes[0] == 0xff; }
    return ip.bytes[12] >= 224 || ip.bytes[12] == 127 || ip.bytes[12] == 0;
}

// All ones or all zeros behind the prefix (RFC 1812 §4.2.2.11); a /31 has none (RFC 3021).
bool is_subnet_broadcast(const IpPrefix& subnet, const IpAddr& ip) noexcept {
    if (!ip.is_v4() || subnet.length >= 31) { return false; }
    const std::uint32_t host_bits = ~std::uint32_t{0} >> subnet.length;
    const std::uint32_t host = ip.v4_host() & host_bits;
    return host == 0 || host == host_bits;
}

// What stays with the router whatever the table says.
bool is_never_routed(const FlowKey& key) noexcept {
    const IpAddr to = key.destination();
    return is_for_many(to) || is_link_local(to) || is_link_local(key.source());
}

// An address of the router is in a subnet of its interface: the way to it leads there.
bool is_on_the_way(const RouterConfig& router, const RouteTable::Found& found,
                   const IpAddr& ip) noexcept {
    if (found.kind == RouteTable::Kind::kConnected) {
        return has_address(router, router.interfaces[found.interface], ip);
    }
    return std::any_of(found.next_hops.begin(), found.next_hops.end(),
                       [&](const RouteTable::NextHop& hop) {
                           return has_address(router, router.interfaces[hop.interface], ip);
                       });
}

// IpPrefix::contains() with the host bits of the interface's address.
bool is_in_subnet(const RouterAddress& address, const IpAddr& ip) noexcept {
    return IpPrefix{address.ip, address.prefix_length}.contains(ip);
}

Path ended(Path path, PathKind kind, DropReason reason = DropReason::kNone) noexcept {
    path.kind = kind;
    path.reason = reason;
    return path;
}

// The last hop: MACs and port in the domain that the packet leaves in.
Path hand_over(const WorkerContext& context, const RouterConfig& router, const FlowKey& key,
               Path path) noexcept {
    const auto mac = next_hop_mac(context, path.domain, path.next_hop);
    if (!mac) { return ended(path, PathKind::kWait); }
    path.destination_mac = *mac;
    FlowKey leaving = key;
    leaving.destination_mac = *mac;
    path.to = find_destination(context, path.domain, leaving);
    if (path.to.port == kNoPort) {  // Nobody takes it but who floods: a router does not.
        if (!path.to.is_teamed) {
            return ended(path, PathKind::kDrop, DropReason::kUnknownUnicast);
        }
    } else if (const PortConfig* out = context.snapshot->port(path.to.port)) {
        path.source_mac = router_mac_towards(router, *out);
    }
    path.to.is_known = true;  // Its copies to flood ports would be frames of another domain.
    return path;
}

}  // namespace

bool is_router_mac(const Snapshot& snapshot, const Domain& domain, const MacAddr& mac) noexcept {
    const RouterConfig* router = router_of(snapshot, domain);
    return router != nullptr && (mac == router->vmac || mac == router->pmac);
}

std::optional<MacAddr> next_hop_mac(const WorkerContext& context, std::uint16_t index,
                                    const IpAddr& ip) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    if (const AddressOwner* owner = domain.owner(ip)) {
        const PortConfig* port =
            owner->port == kNoPort ? nullptr : context.snapshot->port(owner->port);
        // Behind a port that uses several MACs, the document does not say which has the address.
        const bool is_told = port == nullptr || !port->learning.is_on();
        if (is_told && !owner->mac.is_zero()) { return owner->mac; }
        return find_neighbour(context, domain.id, ip);
    }
    if (const auto mac = told_mac(context, index, ip)) { return mac; }
    const PortIndex holder = context.learned.holder(domain.id, ip, context.now_ns);
    if (holder != kNoPort) {
        const auto row =
            context.learned.find(LearnedKey::binding(domain.id, holder, ip), context.now_ns);
        if (row) { return row->mac; }
    }
    return find_neighbour(context, domain.id, ip);
}

IpAddr link_local_of(const MacAddr& mac) noexcept {
    const auto& m = mac.bytes;
    IpAddr ip;
    ip.family = IpFamily::kV6;
    ip.bytes = {0xfe, 0x80, 0,    0,    0,    0,    0,   0, static_cast<std::uint8_t>(m[0] ^ 2U),
                m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    return ip;
}

bool is_link_local(const IpAddr& ip) noexcept {
    if (ip.is_v6()) { return ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0U) == 0x80; }
    return ip.bytes[12] == 169 && ip.bytes[13] == 254;
}

bool has_address(const RouterConfig& router, const RouterInterface& interface,
                 const IpAddr& ip) noexcept {
    if (ip.is_v6() && is_link_local(ip)) {
        return ip == link_local_of(router.vmac) || ip == link_local_of(router.pmac);
    }
    return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                       [&](const RouterAddress& address) { return address.ip == ip; });
}

bool is_own_address(const RouterConfig& router, const RouterInterface& entered,
                    const IpAddr& ip) noexcept {
    if (has_address(router, entered, ip)) { return true; }
    const auto found = router.routes == nullptr ? std::nullopt : router.routes->find(ip);
    return found && is_on_the_way(router, *found, ip);
}

bool is_on_link(const RouterInterface& interface, const IpAddr& ip) noexcept {
    return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                       [&](const RouterAddress& address) { return is_in_subnet(address, ip); });
}

std::optional<IpAddr> address_towards(const RouterConfig& router, const RouterInterface& interface,
                                      const IpAddr& peer) noexcept {
    std::optional<IpAddr> first;
    for (const RouterAddress& address : interface.addresses) {
        if (is_in_subnet(address, peer)) { return address.ip; }
        if (!first && address.ip.family == peer.family) { first = address.ip; }
    }
    if (!first && peer.is_v6()) { return link_local_of(router.vmac); }
    return first;
}

Path route(const WorkerContext& context, std::uint16_t index, const FlowKey& key) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const Domain& domain = snapshot.domains[index];
    const RouterConfig& router = snapshot.routers[domain.router];
    Path path;
    path.domain = index;
    path.is_routed = true;
    if (!key.is_ip()) { return ended(path, PathKind::kDrop, DropReason::kNotForRouter); }
    const IpAddr to = key.destination();
    if (is_never_routed(key) || has_address(router, interface_of(router, domain), to)) {
        return ended(path, PathKind::kRouter);
    }
    const auto found = router.routes == nullptr ? std::nullopt : router.routes->find(to);
    if (!found) { return ended(path, PathKind::kDrop, DropReason::kNoRoute); }
    if (found->kind == RouteTable::Kind::kBlackhole) {
        return ended(path, PathKind::kDrop, DropReason::kRouteBlackhole);
    }
    const bool is_connected = found->kind == RouteTable::Kind::kConnected;
    if (is_on_the_way(router, *found, to) ||
        (is_connected && is_subnet_broadcast(found->prefix, to))) {
        return ended(path, PathKind::kRouter);
    }
    const RouteTable::NextHop hop =
        is_connected ? RouteTable::NextHop{to, found->interface} : choose(found->next_hops, key);
    path.domain = router.interfaces[hop.interface].domain_index;
    path.next_hop = hop.ip;
    if (path.domain == kNoDomain) {
        path.domain = index;
        return ended(path, PathKind::kDrop, DropReason::kNoRoute);
    }
    return hand_over(context, router, key, path);
}

}  // namespace sluice::datapath
