// SPDX-License-Identifier: Apache-2.0
// Tunnel, membership: see tunnel_membership.h.
#include "datapath/tunnel_membership.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/membership.h"
#include "datapath/packet_writer.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kOldQuerierNs = 400'000 * kMs;  // RFC 3376 §8.12 with its defaults.
constexpr std::uint8_t kIsExclude = 2, kToExclude = 4;  // RFC 3376 §4.2.12.
constexpr std::uint8_t kQuery4 = 0x11, kReport4V2 = 0x16, kReport4V3 = 0x22;
constexpr std::uint8_t kQuery6 = 130, kReport6 = 143;
constexpr std::uint32_t kRouterAlertSize = 4, kHopByHopSize = 8;

// What the host takes of a VNI's floods, and by which VTEP.
struct Joined {
    const VtepConfig* vtep = nullptr;
    IpAddr group;
};

// Nobody, if it is another worker's.
Joined joined(const WorkerContext& context, std::size_t index) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const Domain& domain = snapshot.domains[index];
    if (domain.vni == 0 || !model::uses_multicast(domain.replication) ||
        domain.multicast_group.family == IpFamily::kNone) {
        return {};
    }
    const PortConfig* port = snapshot.port(group_vtep(context, static_cast<std::uint16_t>(index)));
    if (port == nullptr || port->vtep == kNoVtep || port->worker != context.options.index) {
        return {};
    }
    const VtepConfig& vtep = snapshot.vteps[port->vtep];
    if (vtep.ip.family != domain.multicast_group.family) { return {}; }
    return {&vtep, domain.multicast_group};
}

// RFC 2113, RFC 2711: routers look into it.
std::uint8_t* write_ethernet(std::uint8_t* at, const VtepConfig& vtep, const MacAddr& to,
                             std::uint16_t type) noexcept {
    std::memcpy(at, to.bytes.data(), 6);
    std::memcpy(at + 6, vtep.mac.bytes.data(), 6);
    at += 12;
    if (vtep.vlan != 0) {
        store_be16(at, kEtherVlan);
        store_be16(at + 2, vtep.vlan);
        at += kTagSize;
    }
    store_be16(at, type);
    return at + 2;
}

std::uint32_t ethernet_size(const VtepConfig& vtep) noexcept {
    return kEthernetSize + (vtep.vlan != 0 ? kTagSize : 0);
}

void write_igmp(std::uint8_t* at, const Joined& what, bool is_old, std::uint8_t record) noexcept {
    constexpr std::uint32_t kHeaderSize = kIpv4Size + kRouterAlertSize;
    const std::uint32_t size = is_old ? 8 : 16;
    const IpAddr to = is_old ? what.group : IpAddr::v4(0xe0000016U);  // 224.0.0.22
    std::uint8_t* ip = write_ethernet(at, *what.vtep, group_mac(to), kEtherIpv4);
    write_ip(ip, {what.vtep->ip, to, kProtocolIgmp, 1, kInternetControl, size});
    ip[0] = 0x46;
    store_be16(ip + 2, kHeaderSize + size);
    store_be32(ip + kIpv4Size, 0x94040000U);
    store_be16(ip + 10, 0);
    store(ip + 10, static_cast<std::uint16_t>(~raw_sum(ip, kHeaderSize)));
    std::uint8_t* igmp = ip + kHeaderSize;
    igmp[0] = is_old ? kReport4V2 : kReport4V3;
    if (!is_old) {
        igmp[7] = 1;
        igmp[8] = record;
    }
    store_ip(igmp + size - 4, what.group);
    store(igmp + 2, static_cast<std::uint16_t>(~raw_sum(igmp, size)));
}

// From the link-local address, as routers demand (RFC 3810 §5.2.13).
IpAddr link_local(const MacAddr& mac) noexcept {
    const auto& m = mac.bytes;
    return IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2U), m[1],
                       m[2], 0xff, 0xfe, m[3], m[4], m[5]});
}

void write_mld(std::uint8_t* at, const Joined& what, std::uint8_t record) noexcept {
    constexpr std::uint32_t kSize = 28;
    const IpAddr to = IpAddr::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16});
    std::uint8_t* ip = write_ethernet(at, *what.vtep, group_mac(to), kEtherIpv6);
    write_ip(ip, {link_local(what.vtep->mac), to, kProtocolHopByHop, 1, 0, kHopByHopSize + kSize});
    std::uint8_t* options = ip + kIpv6Size;
    options[0] = kProtocolIcmpv6;
    store_be32(options + 2, 0x05020000U);
    options[6] = 1;  // PadN of nothing.
    std::uint8_t* mld = options + kHopByHopSize;
    mld[0] = kReport6;
    mld[7] = 1;
    mld[8] = record;
    store_ip(mld + 12, what.group);
    std::uint32_t sum = raw_sum(mld, kSize);
    sum += raw_sum(ip + 8, 32);
    sum += __builtin_bswap16(std::uint16_t{kSize});
    sum += __builtin_bswap16(kProtocolIcmpv6);
    sum = (sum & 0xffffU) + (sum >> 16U);
    store(mld + 2, static_cast<std::uint16_t>(~(sum + (sum >> 16U))));
}

void send_report(WorkerContext& context, const Joined& what, bool is_old,
                 std::uint8_t record) noexcept {
    const VtepConfig& vtep = *what.vtep;
    const std::uint32_t l3_size = vtep.ip.is_v6()
                                      ? kIpv6Size + kHopByHopSize + 28
                                      : kIpv4Size + kRouterAlertSize + (is_old ? 8U : 16U);
    const std::uint32_t size = std::max(ethernet_size(vtep) + l3_size, kFrameSizeMin);
    context.counters.created.add(1);
    rte_mbuf* frame = new_frame(context, vtep.port, size);
    if (frame == nullptr) { return count_drop(context, vtep.port, DropReason::kNoBuffer); }
    if (vtep.ip.is_v6()) {
        write_mld(bytes_of(*frame), what, record);
    } else {
        write_igmp(bytes_of(*frame), what, is_old, record);
    }
    output(context, frame, vtep.uplink);
}

// Grows with every snapshot and whenever a VTEP fails or comes back.
std::uint32_t ways_known(const WorkerContext& context) noexcept {
    return context.snapshot->generation + context.reach.epoch();
}

std::uint64_t mixed(std::uint64_t digest, const IpAddr& ip) noexcept {
    for (const std::uint8_t byte : ip.bytes) { digest = (digest ^ byte) * 0x100000001b3U; }
    return digest;
}

}  // namespace

PortIndex group_vtep(const WorkerContext& context, std::uint16_t domain) noexcept {
    for (const std::uint16_t vtep : context.snapshot->domains[domain].vteps) {
        const PortIndex port = context.snapshot->vteps[vtep].port;
        if (context.reach.works(port)) { return port; }
    }
    return kNoPort;
}

void TunnelMemberships::enter(const WorkerContext& context) noexcept {
    generation_ = ways_known(context);
    std::uint64_t digest = 0;
    for (std::size_t i = 0; i < context.snapshot->domains.size(); ++i) {
        const Joined what = joined(context, i);
        if (what.vtep != nullptr) { digest = mixed(mixed(digest + 1, what.group), what.vtep->ip); }
    }
    if (digest == groups_) { return; }
    groups_ = digest;
    due_ns_ = digest != 0 ? context.now_ns : kNever;
    at_ = 0;
    repeats_ = 1;
    is_change_ = true;
}

void TunnelMemberships::report(WorkerContext& context) noexcept {
    const std::size_t count = context.snapshot->domains.size();
    for (std::size_t sent = 0; at_ < count && sent < kMembershipReportBurst; ++at_) {
        const Joined what = joined(context, at_);
        if (what.vtep == nullptr) { continue; }
        const auto index = static_cast<std::size_t>(what.vtep - context.snapshot->vteps.data());
        const bool is_old = old_until_ns_[index] > context.now_ns;
        send_report(context, what, is_old, is_change_ ? kToExclude : kIsExclude);
        ++sent;
    }
    if (at_ < count) { return; }  // The rest with the next poll.
    at_ = 0;
    is_change_ = repeats_ > 0;
    due_ns_ = context.now_ns + (repeats_ > 0 ? kMembershipRepeatMs : kMembershipReportMs) * kMs;
    repeats_ = 0;
}

void TunnelMemberships::look(WorkerContext& context) noexcept {
    if (generation_ != ways_known(context)) { enter(context); }
    if (context.now_ns < due_ns_) [[likely]] { return; }
    const std::uint64_t before = groups_;
    enter(context);  // Another VTEP may work by now.
    if (before != 0 && groups_ == 0) { return; }
    report(context);
}

namespace {

// IGMP: type and size; MLD: a query needs no more.
bool is_igmp_query(const std::uint8_t* ip, std::uint32_t size, bool& is_old) noexcept {
    if (size < kIpv4Size + 8 || ip[9] != kProtocolIgmp) { return false; }
    const std::uint32_t header = (ip[0] & 0x0fU) * 4U;
    const std::uint32_t total = load_be16(ip + 2);
    if (header < kIpv4Size || total < header + 8 || size < header + 8) { return false; }
    is_old = total < header + 12;
    return ip[header] == kQuery4;
}

bool is_mld_query(const std::uint8_t* ip, std::uint32_t size) noexcept {
    const std::uint32_t mld = kIpv6Size + kHopByHopSize;
    return size >= mld + 24 && ip[6] == kProtocolHopByHop && ip[kIpv6Size] == kProtocolIcmpv6 &&
           ip[kIpv6Size + 1] == 0 && ip[mld] == kQuery6;
}

}  // namespace

void TunnelMemberships::note_query(const WorkerContext& context, std::uint16_t index,
                                   const rte_mbuf& frame) noexcept {
    if (groups_ == 0) { return; }
    const VtepConfig& vtep = context.snapshot->vteps[index];
    const std::uint32_t l3 = ethernet_size(vtep);
    if (frame.data_len < l3 + kIpv4Size) { return; }
    const auto* ip = rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, l3);
    const std::uint16_t type = load_be16(ip - 2);
    const std::uint32_t size = frame.data_len - l3;
    bool is_old = false;
    const bool is_query = vtep.ip.is_v4() ? type == kEtherIpv4 && is_igmp_query(ip, size, is_old)
                                          : type == kEtherIpv6 && is_mld_query(ip, size);
    if (!is_query) { return; }
    if (is_old) { old_until_ns_[index] = context.now_ns + kOldQuerierNs; }
    // Well within any usual response time, no two hosts at once, and twice a second at most,
    // however many queries there are.
    const std::uint64_t delay_ms = 500U + (vtep.mac.number() * 0x9e3779b97f4a7c15U >> 32U) % 500U;
    due_ns_ = std::min(due_ns_, context.now_ns + delay_ms * kMs);
}

}  // namespace sluice::datapath
