// SPDX-License-Identifier: Apache-2.0
// See connection_filter.h. A term is split at its operator, its value read by its key.
#include "src/host/connection_filter.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "sluice/net/address_text.h"

namespace sluice::host {
namespace {

constexpr std::size_t kFilterLengthMax = 4096;
constexpr std::size_t kShownMax = 60;

Error at(std::size_t position, const std::string& why, Errc code = Errc::kInvalid) {
    return Error{code, "filter: at " + std::to_string(position) + ": " + why, "filter"};
}

std::string quoted(std::string_view text) {
    std::string shown(text.substr(0, kShownMax));
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; },
        '?');
    return "\"" + shown + (text.size() > kShownMax ? "...\"" : "\"");
}

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t max) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size() && !text.empty();
    return whole && value <= max ? std::optional(value) : std::nullopt;
}

std::optional<std::uint32_t> protocol(std::string_view text) {
    for (const std::uint8_t known : std::array<std::uint8_t, 5>{6, 17, 132, 1, 58}) {
        if (protocol_text(known) == text) { return known; }
    }
    return number(text.starts_with("ip/") ? text.substr(3) : text, 255);
}

/// Bits of the states with this word: "one_way" is UDP's, ICMP's and others'.
std::optional<std::uint32_t> states(std::string_view text) {
    constexpr auto kLast = static_cast<unsigned>(ConnectionState::kOtherTwoWay);
    std::uint32_t mask = 0;
    for (unsigned state = 0; state <= kLast; ++state) {
        if (text == to_text(static_cast<ConnectionState>(state))) { mask |= 1U << state; }
    }
    return mask != 0 ? std::optional(mask) : std::nullopt;
}

std::string state_words() {
    return "syn_sent, syn_sent2, syn_received, established, fin_wait, close_wait, last_ack, "
           "time_wait, close, one_way, two_way";
}

}  // namespace

Result<ConnectionFilter::Term> ConnectionFilter::read_term(std::string_view text,
                                                           std::size_t position,
                                                           const FilterNames& names) {
    constexpr std::array<std::pair<std::string_view, Key>, 9> kKeys{
        {{"proto", Key::kProtocol},
         {"src", Key::kSource},
         {"dst", Key::kDestination},
         {"sport", Key::kSourcePort},
         {"dport", Key::kDestinationPort},
         {"state", Key::kState},
         {"initiator", Key::kInitiator},
         {"rule", Key::kRule},
         {"port", Key::kPort}}};
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) {
        return at(position, quoted(text) + " is not KEY=VALUE or KEY!=VALUE");
    }
    Term term;
    term.negated = equals > 0 && text[equals - 1] == '!';
    const std::string_view word = text.substr(0, equals - (term.negated ? 1U : 0U));
    const auto* key = std::find_if(kKeys.begin(), kKeys.end(),
                                   [&](const auto& row) { return row.first == word; });
    if (key == kKeys.end()) {
        return at(position,
                  quoted(word) +
                      " is not one of proto, src, dst, sport, dport, state, initiator, rule, port");
    }
    term.key = key->second;
    const std::string_view value = text.substr(equals + 1);
    const std::size_t value_at = position + equals + 1;
    const auto take = [&](std::optional<std::uint32_t> read,
                          const std::string& expected) -> Result<Term> {
        if (!read) { return at(value_at, quoted(value) + " is not " + expected); }
        term.low = term.high = *read;
        return term;
    };
    switch (term.key) {
        case Key::kProtocol:
            return take(protocol(value), "tcp, udp, sctp, icmp, icmpv6 or a number 0..255");
        case Key::kState: return take(states(value), "one of " + state_words());
        case Key::kInitiator:
            return take(value == "out"  ? std::optional(1U)
                        : value == "in" ? std::optional(0U)
                                        : std::nullopt,
                        "in or out");
        case Key::kSource:
        case Key::kDestination: {
            const auto prefix = parse_prefix(value);
            if (!prefix) { return at(value_at, quoted(value) + " is not an address or a prefix"); }
            term.prefix = *prefix;
            return term;
        }
        case Key::kSourcePort:
        case Key::kDestinationPort: {
            const std::size_t dash = value.find('-');
            const auto low = number(value.substr(0, dash), 65535);
            const auto high =
                dash == std::string_view::npos ? low : number(value.substr(dash + 1), 65535);
            if (!low || !high || *low > *high) {
                return at(value_at, quoted(value) + " is not a port 0..65535 or a range of ports");
            }
            term.low = *low;
            term.high = *high;
            return term;
        }
        case Key::kRule: {
            const auto rule = names.rule(std::string(value));
            if (!rule) {
                return at(value_at, "rule " + quoted(value) + " does not exist", Errc::kNotFound);
            }
            return take(rule->value, "");
        }
        case Key::kPort: {
            const auto port = names.port(std::string(value));
            if (!port) {
                return at(value_at, "port " + quoted(value) + " does not exist", Errc::kNotFound);
            }
            return take(port->value, "");
        }
    }
    return term;
}

Result<ConnectionFilter> ConnectionFilter::parse(std::string_view text, const FilterNames& names) {
    if (text.size() > kFilterLengthMax) {
        return Error{Errc::kLimit,
                     "filter: has " + std::to_string(text.size()) + " bytes, at most " +
                         std::to_string(kFilterLengthMax) + " are allowed",
                     "filter"};
    }
    ConnectionFilter filter;
    constexpr std::string_view kBlank = " \t\r\n";
    std::size_t from = text.find_first_not_of(kBlank);
    while (from != std::string_view::npos) {
        const std::size_t end = std::min(text.find_first_of(kBlank, from), text.size());
        Result<Term> term = read_term(text.substr(from, end - from), from + 1, names);
        if (!term) { return term.error(); }
        filter.terms_.push_back(term.value());
        from = text.find_first_not_of(kBlank, end);
    }
    return filter;
}

bool ConnectionFilter::holds(const Term& term, const Connection& connection,
                             const ConnectionView& view) noexcept {
    const auto within = [&](std::uint16_t port) { return port >= term.low && port <= term.high; };
    switch (term.key) {
        case Key::kProtocol: return connection.tuple.protocol == term.low;
        case Key::kSource: return term.prefix.contains(view.source);
        case Key::kDestination: return term.prefix.contains(view.destination);
        case Key::kSourcePort: return within(view.source_port);
        case Key::kDestinationPort: return within(view.destination_port);
        case Key::kState: return (term.low >> static_cast<unsigned>(connection.state) & 1U) != 0;
        case Key::kInitiator: return view.opened_by_port == (term.low == 1);
        case Key::kRule:
            return connection.opener_rule.value == term.low ||
                   connection.responder_rule.value == term.low;
        case Key::kPort:
            return connection.opener_port.value == term.low ||
                   connection.responder_port.value == term.low;
    }
    return false;
}

bool ConnectionFilter::matches(const Connection& connection,
                               const ConnectionView& view) const noexcept {
    return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
        return holds(term, connection, view) != term.negated;
    });
}

PortIndex ConnectionFilter::port() const noexcept {
    for (const Term& term : terms_) {
        if (term.key == Key::kPort && !term.negated) {
            return PortIndex{static_cast<std::uint16_t>(term.low)};
        }
    }
    return kNoPort;
}

}  // namespace sluice::host
