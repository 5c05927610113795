// SPDX-License-Identifier: Apache-2.0
// model::Dfw: the noun `dfw`, the stateful distributed firewall of slot 2. Sections in order, rules
// in order, first match wins, then the default. Lists of a rule that are empty mean `any`. Plain
// values, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/model/alg.h"
#include "sluice/model/service.h"

namespace sluice::model {

enum class DfwAction : std::uint8_t { kAllow, kDrop, kReject };

/// One firewall rule.
struct Rule {
    std::string name;  ///< Unique in its section.
    DfwAction action = DfwAction::kAllow;
    RuleDirection direction = RuleDirection::kBoth;
    std::vector<std::string> source;       ///< Address, prefix or name; empty = any.
    std::vector<std::string> destination;  ///< Address, prefix or name; empty = any.
    bool negate_source = false;            ///< Never true with an empty `source`.
    bool negate_destination = false;       ///< Never true with an empty `destination`.
    std::vector<Service> services;         ///< Empty = any.
    std::vector<std::string> applied_to;   ///< Groups, port groups, ports; empty = every port.
    Alg alg = Alg::kNone;  ///< kFtp: `services` are TCP; kTftp: UDP. Stateful, allow.
    bool log = false;

    bool operator==(const Rule&) const = default;
};

/// A named run of rules.
struct Section {
    std::string name;
    bool stateful = true;
    bool tcp_strict =
        true;  ///< TCP connections start with a SYN only. Meaningless if not stateful.
    std::vector<Rule> rules;

    bool operator==(const Section&) const = default;
};

/// Idle time, in seconds, after which a connection or half-made datagram is forgotten.
struct Timeouts {
    std::uint32_t tcp_syn_sent_s = 120;
    std::uint32_t tcp_syn_received_s = 60;
    std::uint32_t tcp_established_s = 86400;
    std::uint32_t tcp_fin_wait_s = 120;
    std::uint32_t tcp_close_wait_s = 240;
    std::uint32_t tcp_last_ack_s = 30;
    std::uint32_t tcp_time_wait_s = 120;
    std::uint32_t tcp_close_s = 10;
    std::uint32_t udp_s = 30;          ///< Seen in one direction only.
    std::uint32_t udp_stream_s = 180;  ///< Seen in both directions.
    std::uint32_t icmp_s = 60;
    std::uint32_t other_s = 60;
    std::uint32_t fragment_v4_s = 15;
    std::uint32_t fragment_v6_s = 60;  ///< RFC 8200 §4.5.

    bool operator==(const Timeouts&) const = default;
};

/// Sizes of the connection table.
struct DfwLimits {
    std::uint32_t connections_per_port = 500000;  ///< 0 = none.
    std::uint32_t half_open_per_port = 0;         ///< 0 = none.
    std::uint32_t connections = 8000000;          ///< The host's; 0 = what memory allows.

    bool operator==(const DfwLimits&) const = default;
};

/// The firewall of the host.
struct Dfw {
    DfwAction default_action = DfwAction::kAllow;  ///< Stateful.
    std::vector<Section> sections;
    std::vector<std::string>
        exclude;  ///< Groups, port groups, ports that no rule and no default touches.
    Timeouts timeouts;
    DfwLimits limits;
    std::uint32_t grace_s = 0;  ///< Seconds after the start in which TCP may begin in mid-stream.

    bool operator==(const Dfw&) const = default;
};

}  // namespace sluice::model
