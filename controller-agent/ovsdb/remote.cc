// SPDX-License-Identifier: Apache-2.0
// Remotes as text.
#include "controller-agent/ovsdb/remote.h"

#include <charconv>
#include <optional>

#include "sluice/base/limits.h"

namespace sluice::ovsdb {

namespace {

constexpr std::size_t kUnixPathMax = 107;  // sun_path and its zero, unix(7).

Error bad(std::string_view item, const std::string& expected) {
    return Error{
        Errc::kInvalid, "database remote \"" + std::string(item) + "\" is not " + expected, {}};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (ec != std::errc() || end != text.data() + text.size() || port == 0) { return std::nullopt; }
    return port;
}

Result<Remote> parse_address(std::string_view item, Transport transport, std::string_view rest) {
    const std::string expected = "tcp:HOST:PORT or ssl:HOST:PORT, an IPv6 address in brackets";
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos) { return bad(item, expected); }
    auto host = rest.substr(0, colon);
    const auto port = parse_port(rest.substr(colon + 1));
    const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (is_bracketed) { host = host.substr(1, host.size() - 2); }
    const bool has_colon = host.find(':') != std::string_view::npos;
    if (!port || host.empty() || has_colon != is_bracketed ||
        host.find_first_of("[]/ \t") != std::string_view::npos) {
        return bad(item, expected);
    }
    return Remote{transport, std::string(host), *port, {}};
}

Result<Remote> parse_remote(std::string_view item) {
    if (item.starts_with("tcp:")) { return parse_address(item, Transport::kTcp, item.substr(4)); }
    if (item.starts_with("ssl:")) { return parse_address(item, Transport::kSsl, item.substr(4)); }
    if (!item.starts_with("unix:")) {
        return bad(item, "tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH");
    }
    const auto path = item.substr(5);
    if (path.empty() || path.size() > kUnixPathMax) {
        return bad(item, "unix:PATH with a path of 1 to 107 bytes");
    }
    return Remote{Transport::kUnix, {}, 0, std::string(path)};
}

}  // namespace

std::string Remote::text() const {
    if (transport == Transport::kUnix) { return "unix:" + path; }
    const bool is_ipv6 = host.find(':') != std::string::npos;
    return std::string(transport == Transport::kSsl ? "ssl:" : "tcp:") +
           (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::vector<Remote>> parse_remotes(std::string_view text) {
    std::vector<Remote> remotes;
    while (true) {
        const auto comma = text.find(',');
        auto parsed = parse_remote(text.substr(0, comma));
        if (!parsed.ok()) { return parsed.error(); }
        remotes.push_back(std::move(parsed).value());
        if (comma == std::string_view::npos) { break; }
        text.remove_prefix(comma + 1);
    }
    if (remotes.size() > kOvsdbRemoteMax) {
        return Error{Errc::kLimit,
                     std::to_string(remotes.size()) + " database remotes are more than " +
                         std::to_string(kOvsdbRemoteMax),
                     {}};
    }
    return remotes;
}

}  // namespace sluice::ovsdb
