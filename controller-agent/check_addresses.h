// SPDX-License-Identifier: Apache-2.0
// What the checks of a document ask of an address. Any thread, pure.
#pragma once

#include <string>

#include "sluice/model/port.h"
#include "sluice/net/address.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {

[[nodiscard]] inline bool is_multicast(const IpAddr& ip) noexcept {
    return ip.is_v4() ? ip.bytes[12] >= 224 && ip.bytes[12] < 240 : ip.bytes[0] == 0xff;
}

/// Neither multicast, nor IPv4's reserved top, nor all zero.
[[nodiscard]] inline bool is_unicast(const IpAddr& ip) noexcept {
    const bool is_high = ip.is_v4() ? ip.bytes[12] >= 224 : ip.bytes[0] == 0xff;
    return !is_high && ip.bytes != IpAddr{}.bytes;
}

[[nodiscard]] inline bool is_unicast(const MacAddr& mac) noexcept {
    return !mac.is_group() && !mac.is_zero();
}

/// fe80::/10.
[[nodiscard]] inline bool is_link_local(const IpAddr& ip) noexcept {
    return ip.is_v6() && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0U) == 0x80;
}

[[nodiscard]] inline const char* family_text(IpFamily family) noexcept {
    return family == IpFamily::kV6 ? "IPv6" : "IPv4";
}

[[nodiscard]] inline std::string to_text(const model::InterfaceAddress& address) {
    return to_string(address.ip) + "/" + std::to_string(address.prefix_length);
}

}  // namespace sluice::agent
