// SPDX-License-Identifier: Apache-2.0
// Text forms of addresses, strict: what is printed parses back. Control thread and tools;
// allocates.
#pragma once

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/net/address.h"

namespace sluice {

/// "02:00:00:00:00:01", six two-digit hex groups, either case. Nothing else.
[[nodiscard]] inline std::optional<MacAddr> parse_mac(std::string_view text) {
    if (text.size() != 17) { return std::nullopt; }
    MacAddr mac;
    for (std::size_t i = 0; i < 6; ++i) {
        const char* first = text.data() + i * 3;
        if (i > 0 && first[-1] != ':') { return std::nullopt; }
        const auto [end, error] = std::from_chars(first, first + 2, mac.bytes[i], 16);
        if (error != std::errc{} || end != first + 2) { return std::nullopt; }
    }
    return mac;
}

/// Dotted quad or RFC 4291 §2.2 text. No zone, no port, no brackets.
[[nodiscard]] inline std::optional<IpAddr> parse_ip(std::string_view text) {
    if (text.size() >= INET6_ADDRSTRLEN) { return std::nullopt; }
    const std::string copy(text);
    if (copy.size() != std::string_view(copy.c_str()).size()) {
        return std::nullopt;
    }  // Embedded zero byte.
    IpAddr ip;
    if (inet_pton(AF_INET, copy.c_str(), &ip.bytes[12]) == 1) {
        ip.family = IpFamily::kV4;
        return ip;
    }
    ip = IpAddr{};
    if (inet_pton(AF_INET6, copy.c_str(), ip.bytes.data()) != 1) { return std::nullopt; }
    ip.family = IpFamily::kV6;
    return ip;
}

/// "ADDRESS" (full length) or "ADDRESS/LENGTH". Set host bits are refused (nullopt).
[[nodiscard]] inline std::optional<IpPrefix> parse_prefix(std::string_view text) {
    const auto slash = text.find('/');
    const auto ip = parse_ip(text.substr(0, slash));
    if (!ip) { return std::nullopt; }
    const unsigned width = ip->is_v4() ? 32U : 128U;
    unsigned length = width;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (error != std::errc{} || end != digits.data() + digits.size() || length > width) {
            return std::nullopt;
        }
    }
    const unsigned first_bit = 128U - width + length;
    for (unsigned bit = first_bit; bit < 128U; ++bit) {
        if ((ip->bytes[bit / 8U] >> (7U - bit % 8U) & 1U) != 0) { return std::nullopt; }
    }
    return IpPrefix{*ip, static_cast<std::uint8_t>(length)};
}

[[nodiscard]] inline std::string to_string(const MacAddr& mac) {
    char text[18];
    const auto& b = mac.bytes;
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
                  b[5]);
    return text;
}

/// IPv6 in RFC 5952 form. An IpAddr without family prints as "".
[[nodiscard]] inline std::string to_string(const IpAddr& ip) {
    char text[INET6_ADDRSTRLEN] = "";
    if (ip.is_v4()) { inet_ntop(AF_INET, &ip.bytes[12], text, sizeof text); }
    if (ip.is_v6()) { inet_ntop(AF_INET6, ip.bytes.data(), text, sizeof text); }
    return text;
}

/// Always with "/LENGTH".
[[nodiscard]] inline std::string to_string(const IpPrefix& prefix) {
    return to_string(prefix.address) + "/" + std::to_string(prefix.length);
}

}  // namespace sluice
