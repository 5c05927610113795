// SPDX-License-Identifier: Apache-2.0
// Querier: see querier.h.
#include "datapath/querier.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kResponse = 100;       // Tenths of a second (IGMP).
constexpr std::uint16_t kResponseMs = 10000;  // MLD.
constexpr std::uint8_t kRobustness = 2;

/// Writes a frame byte by byte, in wire order.
class FrameWriter {
public:
    explicit FrameWriter(std::uint8_t (&room)[kQueryFrameMax]) noexcept : room_(room) {}

    FrameWriter& bytes(std::initializer_list<std::uint8_t> list) noexcept {
        for (const std::uint8_t byte : list) { room_[size_++] = byte; }
        return *this;
    }
    template <typename Range>
    FrameWriter& copy(const Range& range) noexcept {
        for (const std::uint8_t byte : range) { room_[size_++] = byte; }
        return *this;
    }
    FrameWriter& zeros(std::size_t count) noexcept {
        std::memset(room_ + size_, 0, count);
        size_ += count;
        return *this;
    }
    /// The inverted sum of [from, to) and `extra` at `at`.
    void checksum(std::size_t from, std::size_t to, std::size_t at, std::uint32_t extra) noexcept {
        std::uint32_t sum = raw_sum(room_ + from, to - from) + extra;
        sum = (sum & 0xffffU) + (sum >> 16U);
        sum = (sum & 0xffffU) + (sum >> 16U);
        const auto inverted = static_cast<std::uint16_t>(~sum);
        std::memcpy(room_ + at, &inverted, sizeof inverted);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::uint8_t* room_;
    std::size_t size_ = 0;
};

// The code of an interval (RFC 3376 §4.1.7), rounded down.
std::uint8_t interval_code(std::uint32_t seconds) noexcept {
    if (seconds < 128) { return static_cast<std::uint8_t>(seconds); }
    std::uint32_t exponent = 0;
    while (exponent < 7 && (seconds >> (exponent + 3U)) > 0x1f) { ++exponent; }
    const std::uint32_t mantissa = std::min(seconds >> (exponent + 3U), 0x1fU) & 0x0fU;
    return static_cast<std::uint8_t>(0x80U | exponent << 4U | mantissa);
}

std::uint32_t swapped(std::uint32_t host) noexcept {
    return __builtin_bswap16(static_cast<std::uint16_t>(host));
}

void send_to(WorkerContext& context, const Domain& domain, PortIndex egress,
             const std::uint8_t* bytes, std::size_t size, std::uint64_t& sent) noexcept {
    const PortConfig* out = context.snapshot->port(egress);
    if (out == nullptr || !out->is_enabled) { return; }
    context.counters.created.add(1);
    rte_mbuf* frame = rte_pktmbuf_alloc(context.options.pool);
    if (frame == nullptr) { return count_drop(context, egress, DropReason::kNoBuffer); }
    frame->port = egress.value;  // Whom a drop is charged to: it entered nowhere.
    frame->hash.rss = 0;
    auto* room = rte_pktmbuf_append(frame, static_cast<std::uint16_t>(size));
    if (room == nullptr) { return drop(context, frame, DropReason::kNoBuffer); }
    std::memcpy(room, bytes, size);
    Program program;
    if (const auto step = egress_vlan_step(*out, domain, FlowKey{})) {
        program.steps[program.step_count++] = *step;
    }
    if (!run_vlan_steps(*frame, program)) { return drop(context, frame, DropReason::kNoBuffer); }
    output(context, frame, egress);
    ++sent;
}

void send_all(WorkerContext& context, const Domain& domain, const std::uint8_t* bytes,
              std::size_t size, std::uint64_t& sent) noexcept {
    for (const PortIndex egress : domain.members) {
        send_to(context, domain, egress, bytes, size, sent);
    }
    if (domain.uplink != kNoPort) { send_to(context, domain, domain.uplink, bytes, size, sent); }
}

bool hears_another(const WorkerContext& context, const Domain& domain, IpFamily family) noexcept {
    const auto heard = context.learned.find(LearnedKey::querier(domain.id, family), context.now_ns);
    return heard && (heard->flags & kQuerierElected) != 0;
}

}  // namespace

std::size_t make_igmp_query(const MacAddr& mac, std::uint32_t interval_s,
                            std::uint8_t (&room)[kQueryFrameMax]) noexcept {
    FrameWriter out(room);
    out.bytes({0x01, 0x00, 0x5e, 0, 0, 1}).copy(mac.bytes).bytes({0x08, 0x00});
    // IPv4 with the router alert option (RFC 2113), TTL 1, DSCP CS6.
    out.bytes({0x46, 0xc0, 0, 36, 0, 0, 0x40, 0, 1, 2, 0, 0});
    out.zeros(4).bytes({224, 0, 0, 1}).bytes({0x94, 4, 0, 0});
    out.bytes({0x11, kResponse, 0, 0, 0, 0, 0, 0, kRobustness, interval_code(interval_s), 0, 0});
    out.checksum(14, 38, 24, 0);
    out.checksum(38, 50, 40, 0);
    return out.size();
}

std::size_t make_mld_query(const MacAddr& mac, std::uint32_t interval_s,
                           std::uint8_t (&room)[kQueryFrameMax]) noexcept {
    const auto& m = mac.bytes;
    FrameWriter out(room);
    out.bytes({0x33, 0x33, 0, 0, 0, 1}).copy(m).bytes({0x86, 0xdd});
    // IPv6, hop limit 1, a hop-by-hop header with router alert (RFC 2711) before ICMPv6.
    out.bytes({0x60, 0, 0, 0, 0, 36, 0, 1}).bytes({0xfe, 0x80}).zeros(6);
    out.bytes({static_cast<std::uint8_t>(m[0] ^ 2U), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]});
    out.bytes({0xff, 0x02}).zeros(13).bytes({1});
    out.bytes({58, 0, 5, 2, 0, 0, 1, 0});
    out.bytes({130, 0, 0, 0, kResponseMs >> 8U, kResponseMs & 0xffU, 0, 0}).zeros(16);
    out.bytes({kRobustness, interval_code(interval_s), 0, 0});
    constexpr std::size_t kAddresses = 22, kIcmp = 62, kIcmpSize = 28;
    const std::uint32_t pseudo = raw_sum(room + kAddresses, 32) + swapped(kIcmpSize) + swapped(58);
    out.checksum(kIcmp, kIcmp + kIcmpSize, kIcmp + 2, pseudo);
    return out.size();
}

bool SendQueries::step(WorkerContext& context) noexcept {
    const auto& domains = context.snapshot->domains;
    for (; at_ < domains.size(); ++at_) {
        const Domain& domain = domains[at_];
        const std::uint32_t interval_s = domain.multicast.querier_interval_s;
        if (interval_s == 0 || domain.switch_name != switch_name_) { continue; }
        std::uint8_t room[kQueryFrameMax];
        if (!hears_another(context, domain, IpFamily::kV4)) {
            send_all(context, domain, room,
                     make_igmp_query(domain.multicast.querier_mac, interval_s, room), sent);
        }
        if (!hears_another(context, domain, IpFamily::kV6)) {
            send_all(context, domain, room,
                     make_mld_query(domain.multicast.querier_mac, interval_s, room), sent);
        }
        ++at_;
        return false;  // A domain a step: the bursts between them empty the buffers.
    }
    return true;
}

}  // namespace sluice::datapath
