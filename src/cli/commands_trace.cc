// SPDX-License-Identifier: Apache-2.0
// `trace`: what would become of a packet that nobody sent, step by step.
#include <array>

#include "command.h"
#include "format.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

constexpr std::array kStepFields{
    Field{"WHERE", "where", as_text},
    Field{"SLOT", "slot", as_text},
    Field{"WHAT", "what", as_text},
    Field{"DETAIL", "detail", as_text},
};

void render_trace(const json& result, const View& view) {
    print_rows(value_at(result, "steps"), kStepFields, view, "no steps");
    const std::string verdict = as_text(value_at(result, "verdict"));
    const json reason = value_at(result, "reason");
    const bool is_dropped = reason.is_string() && reason != "";
    const std::string text =
        is_dropped ? verdict + ": " + printable(reason.get<std::string>()) : verdict;
    view.out << paint(view, is_dropped ? Color::kRed : Color::kGreen, text) << '\n';
}

Argument text(const char* name, const char* param, const char* metavar, const char* help) {
    return {name, param, Kind::kText, false, help, Offer::kNothing, "", metavar};
}

Argument number(const char* name, const char* param, const char* help) {
    return {name, param, Kind::kCount, false, help, Offer::kNothing, "", "N"};
}

}  // namespace

Command trace_command() {
    return {
        "trace",
        "what would become of a packet from a port, and why; nothing is sent, learned or counted",
        {{"PORT", "port", Kind::kText, true, "port or uplink where it enters", Offer::kPorts},
         text("--to-mac", "to_mac", "MAC",
              "destination MAC; if left out, of the port that has the destination's address"),
         text("--from-mac", "from_mac", "MAC", "source MAC; if left out, the port's own"),
         text("--src", "src", "IP", "source address; if left out, the port's first one"),
         text("--dst", "dst", "IP", "destination address"),
         text("--proto", "proto", "PROTO",
              "tcp, udp, sctp, icmp, icmpv6 or a number; if left out, tcp with ports, else icmp"),
         number("--sport", "sport", "source port, 40000 if left out"),
         number("--dport", "dport", "destination port"),
         text("--flags", "flags", "FLAGS", "TCP flags like syn,ack; syn if left out"),
         number("--icmp-type", "icmp_type", "ICMP type; if left out, an echo request"),
         number("--icmp-code", "icmp_code", "ICMP code"),
         number("--dscp", "dscp", "DSCP"),
         number("--vlan", "vlan", "802.1Q tag"),
         {"--from-network", "from_network", Kind::kFlag, false,
          "the packet comes by the uplink and goes to PORT; give --src"}},
        {"trace vm1 --dst 10.0.0.2 --dport 80",
         "trace vm1 --dst 10.0.0.2 --proto udp --sport 5000 --dport 53",
         "trace vm1 --dst 192.0.2.1 --to-mac 02:00:00:00:00:fe --dport 443 --flags ack",
         "trace vm2 --from-network --src 198.51.100.7 --dport 22"},
        render_trace};
}

}  // namespace sluice::cli
