// SPDX-License-Identifier: Apache-2.0
// Multicast: see multicast.h.
#include "datapath/multicast.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <optional>

#include "datapath/membership.h"
#include "datapath/querier.h"
#include "datapath/stages.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kSecondNs = 1000000000;
// Defaults of RFC 3376 §8 and RFC 3810 §9.
constexpr std::uint32_t kRobustness = 2;
constexpr std::uint32_t kQueryIntervalS = 125;
constexpr std::uint32_t kResponseS = 10;
// A query may come from a guest: shorter intervals than the default would end others' memberships.
constexpr std::uint32_t kQueryIntervalMaxS = 3600;
constexpr std::uint64_t kLastMemberNs = 2 * kSecondNs;  // Two queries of one second each.
constexpr std::size_t kMessageMax = 4096;  // Bytes of a membership message that are looked at.

std::uint64_t member_time_ns(std::uint32_t query_interval_s) noexcept {
    return (kRobustness * std::uint64_t{query_interval_s} + kResponseS) * kSecondNs;
}

std::uint64_t querier_time_ns(std::uint32_t query_interval_s) noexcept {
    return (kRobustness * std::uint64_t{query_interval_s} + kResponseS / 2U) * kSecondNs;
}

// Family of the group of a MAC; kNone if it is none of IP.
IpFamily family_of(const MacAddr& group) noexcept {
    const auto& b = group.bytes;
    if (b[0] == 0x01 && b[1] == 0x00 && b[2] == 0x5e && b[3] < 0x80) { return IpFamily::kV4; }
    return b[0] == 0x33 && b[1] == 0x33 ? IpFamily::kV6 : IpFamily::kNone;
}

// Groups whose members need not report them (RFC 4541 §2.1.2 (2), §3).
bool is_always_flooded(const MacAddr& group, IpFamily family) noexcept {
    const auto& b = group.bytes;
    if (family == IpFamily::kV4) { return b[3] == 0 && b[4] == 0; }
    if (family == IpFamily::kNone) { return true; }
    const bool all_nodes = b[2] == 0 && b[3] == 0 && b[4] == 0 && b[5] == 1;
    return all_nodes || b[2] == 0xff;
}

// Seconds between general queries, 0 if nobody sends any.
std::uint32_t query_interval_s(const WorkerContext& context, const Domain& domain,
                               IpFamily family) noexcept {
    const auto heard = context.learned.find(LearnedKey::querier(domain.id, family), context.now_ns);
    return heard ? heard->detail : domain.multicast.querier_interval_s;
}

void add_listeners(WorkerContext& context, const Domain& domain, GroupPorts& out) noexcept {
    for (const PortIndex port : domain.promiscuous) { out.ports.set(port.value); }
    context.learned.for_each_port(LearnedKey::router_port(domain.id, PortIndex{0}), context.now_ns,
                                  [&out](const LearnedRow& row) {
                                      if (row.key.port.value < kPortMax) {
                                          out.ports.set(row.key.port.value);
                                      }
                                  });
    for (const PortIndex port : domain.fabric) { out.ports.set(port.value); }
}

void fill(WorkerContext& context, const Domain& domain, GroupPorts& out) noexcept {
    const IpFamily family = family_of(out.group);
    out.ports.reset();
    out.everybody = !domain.multicast.snooping || is_always_flooded(out.group, family) ||
                    query_interval_s(context, domain, family) == 0;
    if (out.everybody) { return; }
    bool is_registered = false;
    const LearnedKey key = LearnedKey::group_member(domain.id, PortIndex{0}, out.group);
    context.learned.for_each_port(key, context.now_ns, [&](const LearnedRow& row) {
        is_registered = true;
        if (row.key.port.value < kPortMax) { out.ports.set(row.key.port.value); }
    });
    out.everybody = !is_registered && domain.multicast.flood_unregistered;
    if (!out.everybody) { add_listeners(context, domain, out); }
}

GroupPorts& cached(WorkerContext& context, std::uint16_t domain, const MacAddr& group) noexcept {
    const auto& b = group.bytes;
    const std::size_t hash =
        (b[5] * 31U + b[4] * 17U + b[3] * 7U + b[2] + domain) % kGroupCacheSize;
    return context.groups[hash];
}

// The message as one piece, in place or copied; empty if it is longer than what is looked at.
std::span<const std::uint8_t> message_of(const Packet& packet,
                                         std::array<std::uint8_t, kMessageMax>& room) noexcept {
    const ParsedFrame& frame = packet.frame;
    const std::uint32_t frame_size = packet.mbuf->pkt_len;
    if (frame.l4_offset == 0 || frame.l4_size > kMessageMax || frame.l4_offset > frame_size ||
        frame.l4_size > frame_size - frame.l4_offset) {
        return {};
    }
    const void* bytes = rte_pktmbuf_read(packet.mbuf, frame.l4_offset, frame.l4_size, room.data());
    return bytes == nullptr ? std::span<const std::uint8_t>{}
                            : std::span<const std::uint8_t>(static_cast<const std::uint8_t*>(bytes),
                                                            frame.l4_size);
}

struct Snooper {
    WorkerContext& context;
    const Domain& domain;
    const FlowKey& key;
    const PortConfig& in;
    IpFamily family;
    LearnedSource source;

    void learn(const LearnedKey& row, std::uint64_t time_ns, std::uint32_t limit,
               std::uint32_t detail, std::uint8_t flags = 0) const noexcept {
        LearnedValue value;
        value.flags = flags;
        value.port = key.port;
        value.source = source;
        value.detail = detail;
        value.expires_ns = context.now_ns + time_ns;
        static_cast<void>(context.learned.learn(row, value, limit, context.now_ns));
    }

    // A query from nobody (0.0.0.0, ::) is one of a switch like this: no router is there.
    void query(const Membership& message) const noexcept {
        const std::uint32_t interval =
            std::clamp(message.query_interval_s, kQueryIntervalS, kQueryIntervalMaxS);
        const bool is_nobody = key.source().bytes == IpAddr{}.bytes;
        const LearnedKey row = LearnedKey::querier(domain.id, family);
        const auto known = context.learned.find(row, context.now_ns);
        const bool is_elected = !is_nobody && precedes_own();
        if (is_elected || !known || known->flags == 0) {
            learn(row, querier_time_ns(interval), 0, interval, is_elected ? kQuerierElected : 0);
        }
        if (is_nobody) { return; }
        learn(LearnedKey::router_port(domain.id, key.port), querier_time_ns(interval), 0, 0);
    }

    // The lowest address asks (RFC 3376 §6.6.2, RFC 3810 §7.6.2); ours is no address in IGMP, which
    // never wins.
    [[nodiscard]] bool precedes_own() const noexcept {
        if (family == IpFamily::kV4 || domain.multicast.querier_interval_s == 0) { return true; }
        const auto& m = domain.multicast.querier_mac.bytes;
        const IpAddr own =
            IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2U), m[1],
                        m[2], 0xff, 0xfe, m[3], m[4], m[5]});
        return key.source().bytes < own.bytes;
    }

    // A leaving member may not be the last one behind its port: who still wants the group answers
    // the querier's question within the last-member time.
    void leave(const LearnedKey& row) const noexcept {
        const auto value = context.learned.find(row, context.now_ns);
        if (!value) { return; }
        if (!in.learning.is_on() && !in.is_uplink) {
            context.learned.forget(row);  // One guest, nobody else.
            return;
        }
        if (value->expires_ns <= context.now_ns + kLastMemberNs) { return; }
        learn(row, kLastMemberNs, 0, 0);
    }

    void report(const Membership& message) const noexcept {
        const std::uint32_t interval = query_interval_s(context, domain, family);
        const std::uint64_t time_ns = member_time_ns(interval == 0 ? kQueryIntervalS : interval);
        for (std::size_t i = 0; i < message.record_count; ++i) {
            const GroupRecord& record = message.records[i];
            if (is_always_flooded(record.group, family)) { continue; }
            const LearnedKey row = LearnedKey::group_member(domain.id, key.port, record.group);
            if (record.joins) {
                learn(row, time_ns, in.is_uplink ? 0 : kGroupPerPortMax, 0);
            } else {
                leave(row);
            }
        }
    }
};

}  // namespace

const GroupPorts& group_ports(WorkerContext& context, std::uint16_t domain,
                              const MacAddr& group) noexcept {
    GroupPorts& entry = cached(context, domain, group);
    if (entry.stamp == context.stamp && entry.domain == domain && entry.group == group) {
        return entry;
    }
    entry.stamp = context.stamp;
    entry.domain = domain;
    entry.group = group;
    fill(context, context.snapshot->domains[domain], entry);
    return entry;
}

const GroupPorts& router_ports(WorkerContext& context, std::uint16_t domain) noexcept {
    GroupPorts& out = context.routers;
    out.ports.reset();
    add_listeners(context, context.snapshot->domains[domain], out);
    return out;
}

SnoopResult snoop(WorkerContext& context, const Packet& packet, const PortConfig& in,
                  std::uint16_t domain) noexcept {
    const ParsedFrame& frame = packet.frame;
    const Domain& where = context.snapshot->domains[domain];
    if (!where.multicast.snooping || frame.fragment) { return SnoopResult::kForward; }
    const bool is_igmp = frame.inspect_kind == InspectKind::kIgmp;
    std::array<std::uint8_t, kMessageMax> room;
    const std::span<const std::uint8_t> bytes = message_of(packet, room);
    if (bytes.empty()) { return SnoopResult::kForward; }
    TokenBucket& bucket = context.chains[frame.key.port.value].membership;
    if (!take_token(bucket, kMembershipPerPortPps, context.now_ns)) {
        return SnoopResult::kForward;
    }
    Membership message;
    const bool is_good = is_igmp ? read_igmp(bytes, message) : read_mld(bytes, message);
    if (!is_good) { return SnoopResult::kMalformed; }
    const IpFamily family = is_igmp ? IpFamily::kV4 : IpFamily::kV6;
    const Snooper snooper{context, where,  frame.key,
                          in,      family, is_igmp ? LearnedSource::kIgmp : LearnedSource::kMld};
    const bool was_active = query_interval_s(context, where, family) != 0;
    if (message.kind == MembershipKind::kQuery) { snooper.query(message); }
    const bool is_about_groups =
        message.kind == MembershipKind::kReport || message.kind == MembershipKind::kLeave;
    if (is_about_groups) { snooper.report(message); }
    context.refresh_stamp();
    return is_about_groups && was_active ? SnoopResult::kToRouters : SnoopResult::kForward;
}

}  // namespace sluice::datapath
