// SPDX-License-Identifier: Apache-2.0
// Making of a SwsecProgram from resolved configuration. Control thread.
#include <algorithm>

#include "iochain/address_order.h"
#include "iochain/fingerprint.h"
#include "iochain/swsec/program.h"

namespace sluice {
namespace iochain {
namespace {

void add(Fingerprint& print, const MacAddr& mac) noexcept {
    for (const std::uint8_t byte : mac.bytes) { print.add(byte); }
}

std::array<std::uint64_t, 2> fingerprint_of(const SwsecInput& config) noexcept {
    Fingerprint print;
    add(print, config.mac);
    for (const IpAddr& ip : config.ips) {
        print.add(static_cast<std::uint64_t>(wide(ip) >> 64U));
        print.add(static_cast<std::uint64_t>(wide(ip)));
        print.add(static_cast<std::uint64_t>(ip.family));
    }
    print.add(config.ips.size());
    const model::Guards& guards = config.guards;
    std::uint64_t bits = 0;
    for (const bool flag :
         {config.spoofguard, config.first_use, config.forged_transmits, guards.bpdu,
          guards.dhcp_server, guards.dhcp_client, guards.ra, guards.non_ip}) {
        bits = (bits << 1U) | (flag ? 1U : 0U);
    }
    print.add(bits);
    // Limits and age are those of what is yet to be learned: no cached verdict hangs on them.
    const model::Limits& limits = config.limits;
    for (const std::uint32_t rate : {limits.arp_pps, limits.nd_pps, limits.dhcp_pps,
                                     limits.broadcast_pps, limits.multicast_pps}) {
        print.add(rate);
    }
    return print.value();
}

}  // namespace

IpAddr link_local_of(const MacAddr& mac) noexcept {
    const auto& m = mac.bytes;
    const auto flipped = static_cast<std::uint8_t>(m[0] ^ 2U);
    return IpAddr::v6(
        {0xfe, 0x80, 0, 0, 0, 0, 0, 0, flipped, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]});
}

SwsecProgram::SwsecProgram(const SwsecInput& input) : config_(input) {
    std::sort(config_.ips.begin(), config_.ips.end());
    config_.ips.erase(std::unique(config_.ips.begin(), config_.ips.end()), config_.ips.end());
    fingerprint_ = fingerprint_of(config_);
}

bool SwsecProgram::owns(const IpAddr& ip) const noexcept {
    if (config_.ips.empty() && !config_.first_use) { return ip == link_local_of(config_.mac); }
    return is_given(ip);
}

bool SwsecProgram::is_given(const IpAddr& ip) const noexcept {
    return std::binary_search(config_.ips.begin(), config_.ips.end(), ip);
}

}  // namespace iochain

std::shared_ptr<const SlotProgram> compile_swsec(const SwsecInput& input) {
    return std::make_shared<const iochain::SwsecProgram>(input);
}

}  // namespace sluice
