// SPDX-License-Identifier: Apache-2.0
// ConnectionFilter: `show conns --filter`: terms KEY=VALUE or KEY!=VALUE, all of which must hold.
//     proto=tcp src=10.0.0.0/24 dport=80-88 state!=established initiator=in rule=app/web-in
// Parsed once, then asked for each record: no allocation, no text compared. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/result.h"
#include "sluice/iochain/connection.h"
#include "sluice/net/address.h"
#include "src/host/connection_view.h"

namespace sluice::host {

/// What names in a filter stand for; nullopt if they stand for nothing.
struct FilterNames {
    std::function<std::optional<PortIndex>(const std::string& port)> port;
    std::function<std::optional<RuleId>(const std::string& rule)> rule;  ///< "SECTION/RULE"
};

class ConnectionFilter {
public:
    /// An empty text lets everything through.
    /// @return kInvalid, kNotFound: one sentence with the position, from 1 on, of the term or value
    [[nodiscard]] static Result<ConnectionFilter> parse(std::string_view text,
                                                        const FilterNames& names);

    /// @param view  view_of(connection) from the side that `initiator` is meant from
    [[nodiscard]] bool matches(const Connection& connection,
                               const ConnectionView& view) const noexcept;

    /// The vNIC of the first `port=`, kNoPort without one: whose side to look from.
    [[nodiscard]] PortIndex port() const noexcept;

private:
    enum class Key : std::uint8_t {
        kProtocol,
        kSource,
        kDestination,
        kSourcePort,
        kDestinationPort,
        kState,
        kInitiator,
        kRule,
        kPort,
    };
    struct Term {
        Key key = Key::kProtocol;
        bool negated = false;
        std::uint32_t low = 0;   // Protocol, port number, state mask, 1 = out, rule, port index.
        std::uint32_t high = 0;  // Port number: end of the range.
        IpPrefix prefix;
    };
    [[nodiscard]] static Result<Term> read_term(std::string_view text, std::size_t position,
                                                const FilterNames& names);
    [[nodiscard]] static bool holds(const Term& term, const Connection& connection,
                                    const ConnectionView& view) noexcept;

    std::vector<Term> terms_;
};

}  // namespace sluice::host
