// SPDX-License-Identifier: Apache-2.0
// Spec from text.
#include "spec.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include "limits.h"

namespace sluice::load {
namespace {

std::optional<std::uint32_t> parse_ip(const std::string& text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) { return std::nullopt; }
    return ntohl(address.s_addr);
}

std::optional<Mac> parse_mac(std::string_view text) {
    Mac mac{};
    if (text.size() != 17) { return std::nullopt; }
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const char* at = text.data() + 3 * i;
        if (std::from_chars(at, at + 2, mac[i], 16).ptr != at + 2) { return std::nullopt; }
        if (i + 1 < mac.size() && at[2] != ':') { return std::nullopt; }
    }
    return (mac[0] & 1U) != 0 ? std::nullopt : std::optional(mac);
}

struct Range {
    std::uint32_t first, last;
};

std::optional<Range> parse_prefix(const std::string& text, std::size_t slash) {
    const auto ip = parse_ip(text.substr(0, slash));
    unsigned bits = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + slash + 1, end, bits);
    if (!ip || error != std::errc{} || at != end || bits < 8 || bits > 32) { return std::nullopt; }
    if (bits >= 31) { return Range{*ip, *ip | (bits == 31 ? 1U : 0U)}; }
    const std::uint32_t hosts = (1U << (32 - bits)) - 1;
    const std::uint32_t first = (*ip & hosts) == 0 ? *ip + 1 : *ip;
    const std::uint32_t last = (*ip | hosts) - 1;
    return first > last ? std::nullopt : std::optional(Range{first, last});
}

std::optional<Range> parse_range(const std::string& text) {
    if (const auto slash = text.find('/'); slash != std::string::npos) {
        return parse_prefix(text, slash);
    }
    const auto dash = text.find('-');
    const auto first = parse_ip(text.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_ip(text.substr(dash + 1));
    if (!first || !last || *last < *first) { return std::nullopt; }
    return Range{*first, *last};
}

Error refuse(const std::string& text, const std::string& why) {
    return Error{Errc::kInvalid, "end \"" + text + "\": " + why, text};
}

Status add_ips(const std::string& text, const std::string& value, Spec& spec) {
    const auto range = parse_range(value);
    if (!range) {
        return refuse(text,
                      "ip \"" + value + "\" is not an address, PREFIX/8..32 or FIRST-LAST of IPv4");
    }
    if (spec.ips.size() + (range->last - range->first) + 1 > kIpCountMax) {
        return refuse(text, "more than " + std::to_string(kIpCountMax) + " addresses");
    }
    for (std::uint32_t i = 0; i <= range->last - range->first; ++i) {
        spec.ips.push_back(range->first + i);
    }
    return Ok{};
}

std::optional<std::uint32_t> parse_vni(const std::string& text) {
    std::uint32_t vni = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, vni);
    if (error != std::errc{} || at != end || vni == 0 || vni > kVniMax) { return std::nullopt; }
    return vni;
}

Status read_tunnel(const std::string& text, const std::string& value, Spec& spec) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at != std::string::npos;) {
        const std::size_t end = value.find('/', at);
        parts.push_back(value.substr(at, end == std::string::npos ? end : end - at));
        at = end == std::string::npos ? end : end + 1;
    }
    if (parts.size() == 4) {
        const auto vni = parse_vni(parts[0]);
        const auto own = parse_ip(parts[1]);
        const auto peer = parse_ip(parts[2]);
        const auto mac = parse_mac(parts[3]);
        if (vni && own && peer && mac && *own != *peer) {
            spec.tunnel = Tunnel{*vni, *own, *peer, {}, *mac};
            return Ok{};
        }
    }
    return refuse(text, "vxlan \"" + value +
                            "\" is not VNI/OWN-VTEP/SWITCH-VTEP/SWITCH-MAC, like "
                            "5000/172.16.0.2/172.16.0.1/02:00:00:00:99:01");
}

Status read_item(const std::string& text, const std::string& item, Spec& spec) {
    if (item == "listen") {
        spec.listen = true;
        return Ok{};
    }
    const std::size_t equals = item.find('=');
    const std::string key = item.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : item.substr(equals + 1);
    if (key == "ip") { return add_ips(text, value, spec); }
    if (key == "vxlan") { return read_tunnel(text, value, spec); }
    if (key != "mac" && key != "via") {
        return refuse(text, "\"" + item +
                                "\" is none of mac=ADDRESS, ip=ADDRESSES, via=ADDRESS, "
                                "vxlan=VNI/OWN-VTEP/SWITCH-VTEP/SWITCH-MAC, listen");
    }
    const auto mac = parse_mac(value);
    if (!mac) {
        return refuse(text,
                      key + " \"" + value + "\" is not a unicast address like 02:00:00:00:00:01");
    }
    (key == "mac" ? spec.mac : spec.via.emplace()) = *mac;
    return Ok{};
}

}  // namespace

Result<Spec> parse_spec(const std::string& text, unsigned number) {
    Spec spec;
    spec.mac = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(number)};
    std::size_t at = text.find(',');
    spec.path = text.substr(0, at);
    while (at != std::string::npos) {
        const std::size_t end = text.find(',', at + 1);
        const std::size_t size = end == std::string::npos ? end : end - at - 1;
        if (auto read = read_item(text, text.substr(at + 1, size), spec); !read) {
            return read.error();
        }
        at = end;
    }
    if (spec.path.empty()) { return refuse(text, "the path of a vhost-user socket is missing"); }
    if (spec.ips.empty()) { spec.ips = {0x0a000000U + number}; }
    if (spec.tunnel) {
        spec.tunnel->own_mac = spec.mac;
        spec.tunnel->own_mac[4] = 0x99;
    }
    std::ranges::sort(spec.ips);
    if (std::ranges::adjacent_find(spec.ips) != spec.ips.end()) {
        return refuse(text, "an address is there twice");
    }
    return spec;
}

std::string ip_text(std::uint32_t ip) {
    return std::to_string(ip >> 24U) + "." + std::to_string(ip >> 16U & 255U) + "." +
           std::to_string(ip >> 8U & 255U) + "." + std::to_string(ip & 255U);
}

std::string mac_text(const Mac& mac) {
    char text[18];
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                  mac[3], mac[4], mac[5]);
    return text;
}

}  // namespace sluice::load
