// SPDX-License-Identifier: Apache-2.0
// `trace`: what would become of a packet that nobody sent, step by step.
#include <array>

#include "client.h"
#include "command.h"
#include "format.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

constexpr int kTunnelMax = 4;  // Hosts that a packet may cross.

constexpr std::array kStepFields{
    Field{"HOST", "host", as_text},     Field{"WHERE", "where", as_text},
    Field{"SLOT", "slot", as_text},     Field{"WHAT", "what", as_text},
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

Outcome<bool> take_peers(Invocation& invocation) {
    if (const auto at = invocation.params.find("peer"); at != invocation.params.end()) {
        invocation.peers = at->get<std::vector<std::string>>();
        invocation.params.erase(at);
    }
    return true;
}

// What the peer that has the tunnel's other end says; null if none of them has.
Outcome<json> ask_peers(const Invocation& invocation, const json& tunnel) {
    for (const std::string& peer : invocation.peers) {
        Endpoint endpoint = invocation.endpoint;
        endpoint.socket_path = peer;
        auto answer = call(endpoint, "trace.tunnelled", tunnel.dump());
        if (answer.ok()) { return answer; }
        if (answer.failure().code != "not_found") { return answer; }
    }
    return json();
}

// From tunnel to tunnel, as far as peers are given.
Outcome<json> follow_tunnels(const Invocation& invocation, json answer) {
    for (int i = 0; i < kTunnelMax && answer.contains("tunnel"); ++i) {
        auto next = ask_peers(invocation, answer["tunnel"]);
        if (!next.ok()) { return next; }
        if (next.value().is_null()) { break; }
        json steps = std::move(answer["steps"]);
        for (json& step : next.value()["steps"]) { steps.push_back(std::move(step)); }
        answer = std::move(next.value());
        answer["steps"] = std::move(steps);
    }
    return answer;
}

Argument text(const char* name, const char* param, const char* metavar, const char* help) {
    return {name, param, Kind::kText, false, help, Offer::kNothing, "", metavar};
}

Argument number(const char* name, const char* param, const char* help) {
    return {name, param, Kind::kCount, false, help, Offer::kNothing, "", "N"};
}

}  // namespace

Command trace_command() {
    Argument peer{"--peer", "peer", Kind::kTexts, false,
                  "socket of another host's daemon: the trace goes on there; may be repeated"};
    peer.metavar = "PATH";
    Command trace{
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
          "the packet comes from the fabric and goes to PORT; give --src"},
         peer},
        {"trace vm1 --dst 10.0.0.2 --dport 80",
         "trace vm1 --dst 10.0.0.2 --proto udp --sport 5000 --dport 53",
         "trace vm1 --dst 192.0.2.1 --to-mac 02:00:00:00:00:fe --dport 443 --flags ack",
         "trace vm2 --from-network --src 198.51.100.7 --dport 22",
         "trace vm1 --dst 10.0.1.7 --dport 80 --peer /run/host-2/sluiced.sock"},
        render_trace};
    trace.prepare = take_peers;
    trace.follow = follow_tunnels;
    return trace;
}

}  // namespace sluice::cli
