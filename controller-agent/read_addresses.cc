// SPDX-License-Identifier: Apache-2.0
// Readers of addresses, for every noun that has some.
#include <algorithm>
#include <charconv>

#include "controller-agent/document_reader.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

constexpr const char* kMacExpected = "a MAC address like 02:00:00:00:00:01";
constexpr const char* kIpExpected = "an IPv4 or IPv6 address";
constexpr const char* kPrefixExpected = "an address or a prefix without host bits";
constexpr const char* kInterfaceExpected = "an address with its prefix length like \"10.0.9.1/24\"";

/// "10.0.9.1/24": host bits are welcome, the length is needed.
std::optional<model::InterfaceAddress> parse_interface_address(std::string_view text) {
    const auto slash = text.find('/');
    const auto ip = parse_ip(text.substr(0, slash));
    if (!ip || slash == std::string_view::npos) { return std::nullopt; }
    const std::string_view digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length == 0 ||
        length > (ip->is_v4() ? 32U : 128U)) {
        return std::nullopt;
    }
    return model::InterfaceAddress{*ip, static_cast<std::uint8_t>(length)};
}

/// A text that `parse` understands.
template <typename T, typename Parse>
bool read_one(Fields& fields, std::string_view key, const char* expected, Parse parse, T& out) {
    std::string text;
    if (!fields.text(key, text)) { return false; }
    const auto value = parse(text);
    if (!value) {
        fields.refuse(Errc::kInvalid, key, shown(std::string_view(text)) + " is not " + expected);
        return true;
    }
    out = *value;
    return true;
}

template <typename T, typename Parse>
void read_list(Fields& fields, std::string_view key, std::size_t max, const char* expected,
               Parse parse, std::vector<T>& out) {
    std::vector<std::string> items;
    fields.texts(key, items, max);
    out.reserve(items.size());
    for (const std::string& item : items) {
        const auto value = parse(item);
        if (!value) {
            fields.refuse(Errc::kInvalid, key,
                          "holds " + shown(std::string_view(item)) + ", which is not " + expected);
            return;
        }
        out.push_back(*value);
    }
}

void need(Fields& fields, bool is_there, std::string_view key, const char* expected) {
    if (is_there) { return; }
    fields.refuse(Errc::kInvalid, key, std::string("is missing, expected ") + expected);
}

}  // namespace

bool read_mac(Fields& fields, std::string_view key, MacAddr& out) {
    return read_one(fields, key, kMacExpected, parse_mac, out);
}

void read_needed_mac(Fields& fields, std::string_view key, MacAddr& out) {
    need(fields, read_mac(fields, key, out), key, kMacExpected);
}

void read_ip(Fields& fields, std::string_view key, std::optional<IpAddr>& out) {
    static_cast<void>(read_one(fields, key, kIpExpected, parse_ip, out));
}

void read_needed_ip(Fields& fields, std::string_view key, IpAddr& out) {
    need(fields, read_one(fields, key, kIpExpected, parse_ip, out), key, kIpExpected);
}

void read_ips(Fields& fields, std::string_view key, std::size_t max, std::vector<IpAddr>& out) {
    read_list(fields, key, max, kIpExpected, parse_ip, out);
}

void read_prefixes(Fields& fields, std::string_view key, std::size_t max,
                   std::vector<IpPrefix>& out) {
    read_list(fields, key, max, kPrefixExpected, parse_prefix, out);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
}

void read_needed_interface_address(Fields& fields, std::string_view key,
                                   model::InterfaceAddress& out) {
    const bool is_there = read_one(fields, key, kInterfaceExpected, parse_interface_address, out);
    need(fields, is_there, key, kInterfaceExpected);
}

void read_interface_addresses(Fields& fields, std::string_view key, std::size_t max,
                              std::vector<model::InterfaceAddress>& out) {
    read_list(fields, key, max, kInterfaceExpected, parse_interface_address, out);
}

}  // namespace sluice::agent
