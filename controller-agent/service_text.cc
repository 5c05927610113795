// SPDX-License-Identifier: Apache-2.0
// Parsers and printers of service_text.h.
#include "controller-agent/service_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <utility>

#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::PortRange;
using model::Service;

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 5> kProtocols{{
    {"tcp", model::kProtocolTcp},
    {"udp", model::kProtocolUdp},
    {"sctp", model::kProtocolSctp},
    {"icmp", model::kProtocolIcmp},
    {"icmpv6", model::kProtocolIcmpv6},
}};

/// In the order of their bits (RFC 9293 §3.1).
constexpr std::array<std::string_view, 8> kTcpFlagWords{"fin", "syn", "rst", "psh",
                                                        "ack", "urg", "ece", "cwr"};

std::optional<PortRange> parse_ports(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto first = parse_number(text.substr(0, dash), 65535);
    const auto last =
        dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), 65535);
    if (!first || !last || *first > *last) { return std::nullopt; }
    return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::optional<Service> with_ports(Service service, std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto destination = parse_ports(text.substr(0, colon));
    if (!destination) { return std::nullopt; }
    service.destination = *destination;
    if (colon != std::string_view::npos) {
        const auto source = parse_ports(text.substr(colon + 1));
        if (!source) { return std::nullopt; }
        service.source = *source;
    }
    return service;
}

std::optional<Service> with_icmp(Service service, std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto type = parse_number(text.substr(0, slash), 255);
    if (!type) { return std::nullopt; }
    service.icmp_type = static_cast<std::uint8_t>(*type);
    if (slash != std::string_view::npos) {
        const auto code = parse_number(text.substr(slash + 1), 255);
        if (!code) { return std::nullopt; }
        service.icmp_code = static_cast<std::uint8_t>(*code);
    }
    return service;
}

std::string ports_text(const PortRange& range) {
    const std::string first = std::to_string(range.first);
    return range.first == range.last ? first : first + "-" + std::to_string(range.last);
}

std::string_view protocol_word(std::uint8_t protocol) {
    for (const auto& [word, number] : kProtocols) {
        if (number == protocol) { return word; }
    }
    return {};
}

}  // namespace

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t max) {
    if (text.empty() || (text.size() > 1 && text.front() == '0')) { return std::nullopt; }
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) {
        return std::nullopt;
    }
    return value;
}

std::optional<Service> parse_service(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view word = text.substr(0, slash);
    const bool bare = slash == std::string_view::npos;
    const std::string_view rest = bare ? std::string_view{} : text.substr(slash + 1);
    Service service;
    if (word == "ip") {
        const auto number = parse_number(rest, 255);
        if (!number) { return std::nullopt; }
        service.protocol = static_cast<std::uint8_t>(*number);
        return service;
    }
    for (const auto& [name, number] : kProtocols) {
        if (word != name) { continue; }
        service.protocol = number;
        if (bare) { return service; }
        return model::has_ports(number) ? with_ports(service, rest) : with_icmp(service, rest);
    }
    return std::nullopt;
}

std::string to_text(const Service& service) {
    if (service.any) { return "any"; }
    const std::string_view word = protocol_word(service.protocol);
    if (word.empty()) { return "ip/" + std::to_string(service.protocol); }
    std::string text(word);
    if (service.icmp_type) { text += "/" + std::to_string(*service.icmp_type); }
    if (service.icmp_code) { text += "/" + std::to_string(*service.icmp_code); }
    if (!service.destination.is_any() || !service.source.is_any()) {
        text += "/" + ports_text(service.destination);
    }
    if (!service.source.is_any()) { text += ":" + ports_text(service.source); }
    return text;
}

std::optional<model::VlanRange> parse_vlan_range(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto first = parse_number(text.substr(0, dash), kVlanMax);
    const auto last =
        dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), kVlanMax);
    if (!first || !last || *first < kVlanMin || *first > *last) { return std::nullopt; }
    return model::VlanRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::string to_text(const model::VlanRange& range) {
    return ports_text(PortRange{range.first, range.last});
}

std::optional<model::MacMatch> parse_mac_match(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto value = parse_mac(text.substr(0, slash));
    if (!value) { return std::nullopt; }
    model::MacMatch match;
    match.value = *value;
    if (slash != std::string_view::npos) {
        const auto mask = parse_mac(text.substr(slash + 1));
        if (!mask) { return std::nullopt; }
        match.mask = *mask;
    }
    if (!match.matches(match.value)) { return std::nullopt; }
    return match;
}

std::string to_text(const model::MacMatch& match) {
    const std::string value = to_string(match.value);
    return match.mask == model::MacMatch{}.mask ? value : value + "/" + to_string(match.mask);
}

std::optional<model::TcpFlagsMatch> parse_tcp_flags(std::string_view text) {
    model::TcpFlagsMatch match;
    for (;;) {
        const std::size_t comma = text.find(',');
        std::string_view word = text.substr(0, comma);
        const bool is_set = !word.starts_with('!');
        if (!is_set) { word.remove_prefix(1); }
        const auto at = std::find(kTcpFlagWords.begin(), kTcpFlagWords.end(), word);
        if (at == kTcpFlagWords.end()) { return std::nullopt; }
        const auto bit = static_cast<std::uint8_t>(1U << (at - kTcpFlagWords.begin()));
        if ((match.mask & bit) != 0) { return std::nullopt; }
        match.mask |= bit;
        if (is_set) { match.value |= bit; }
        if (comma == std::string_view::npos) { return match; }
        text.remove_prefix(comma + 1);
    }
}

std::string to_text(const model::TcpFlagsMatch& match) {
    std::string text;
    for (std::size_t i = 0; i < kTcpFlagWords.size(); ++i) {
        if ((match.mask >> i & 1U) == 0) { continue; }
        text += text.empty() ? "" : ",";
        text += (match.value >> i & 1U) != 0 ? "" : "!";
        text += kTcpFlagWords[i];
    }
    return text;
}

std::optional<std::uint16_t> parse_ethertype(std::string_view text) {
    if (text.size() < 3 || text.size() > 6 || !text.starts_with("0x")) { return std::nullopt; }
    std::uint16_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 2, end, value, 16);
    if (error != std::errc{} || stop != end || value < 0x0600) { return std::nullopt; }
    return value;
}

std::string ethertype_text(std::uint16_t ethertype) {
    char text[8];
    std::snprintf(text, sizeof text, "0x%04x", unsigned{ethertype});
    return text;
}

}  // namespace sluice::agent
