// SPDX-License-Identifier: Apache-2.0
// Querier: see querier.h.
#include "datapath/querier.h"

#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kResponse = 100;       // Tenths of a second (IGMP).
constexpr std::uint16_t kResponseMs = 10000;  // MLD.
constexpr std::uint8_t kRobustness = 2;

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

bool hears_another(const WorkerContext& context, const Domain& domain, IpFamily family) noexcept {
    const auto heard = context.learned.find(LearnedKey::querier(domain.id, family), context.now_ns);
    return heard && (heard->flags & kQuerierElected) != 0;
}

}  // namespace

OwnFrame make_igmp_query(const MacAddr& mac, std::uint32_t interval_s) noexcept {
    OwnFrame out;
    out.bytes({0x01, 0x00, 0x5e, 0, 0, 1}).copy(mac.bytes).bytes({0x08, 0x00});
    // IPv4 with the router alert option (RFC 2113), TTL 1, DSCP CS6.
    out.bytes({0x46, 0xc0, 0, 36, 0, 0, 0x40, 0, 1, 2, 0, 0});
    out.zeros(4).bytes({224, 0, 0, 1}).bytes({0x94, 4, 0, 0});
    out.bytes({0x11, kResponse, 0, 0, 0, 0, 0, 0, kRobustness, interval_code(interval_s), 0, 0});
    out.checksum(14, 38, 24, 0);
    out.checksum(38, 50, 40, 0);
    return out;
}

OwnFrame make_mld_query(const MacAddr& mac, std::uint32_t interval_s) noexcept {
    const auto& m = mac.bytes;
    OwnFrame out;
    out.bytes({0x33, 0x33, 0, 0, 0, 1}).copy(m).bytes({0x86, 0xdd});
    // IPv6, hop limit 1, a hop-by-hop header with router alert (RFC 2711) before ICMPv6.
    out.bytes({0x60, 0, 0, 0, 0, 36, 0, 1}).bytes({0xfe, 0x80}).zeros(6);
    out.bytes({static_cast<std::uint8_t>(m[0] ^ 2U), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]});
    out.bytes({0xff, 0x02}).zeros(13).bytes({1});
    out.bytes({58, 0, 5, 2, 0, 0, 1, 0});
    out.bytes({130, 0, 0, 0, kResponseMs >> 8U, kResponseMs & 0xffU, 0, 0}).zeros(16);
    out.bytes({kRobustness, interval_code(interval_s), 0, 0});
    constexpr std::size_t kAddresses = 22, kIcmp = 62, kIcmpSize = 28;
    const std::uint32_t pseudo =
        raw_sum(out.all().data() + kAddresses, 32) + swapped(kIcmpSize) + swapped(58);
    out.checksum(kIcmp, kIcmp + kIcmpSize, kIcmp + 2, pseudo);
    return out;
}

bool SendQueries::step(WorkerContext& context) noexcept {
    const auto& domains = context.snapshot->domains;
    for (; at_ < domains.size(); ++at_) {
        const Domain& domain = domains[at_];
        const std::uint32_t interval_s = domain.multicast.querier_interval_s;
        if (interval_s == 0 || domain.switch_name != switch_name_) { continue; }
        const auto index = static_cast<std::uint16_t>(at_++);
        const MacAddr& mac = domain.multicast.querier_mac;
        if (!hears_another(context, domain, IpFamily::kV4)) {
            sent += flood_own(context, index, {make_igmp_query(mac, interval_s).all()});
        }
        if (!hears_another(context, domain, IpFamily::kV6)) {
            sent += flood_own(context, index, {make_mld_query(mac, interval_s).all()});
        }
        return false;  // A domain a step: the bursts between them empty the buffers.
    }
    return true;
}

}  // namespace sluice::datapath
