// SPDX-License-Identifier: Apache-2.0
// trace: what would become of a frame, and why. The question gets its defaults here, the worker
// that polls the ingress runs the real decisions dry (datapath/trace.h), and numbers get their
// names.
#include <algorithm>

#include "datapath/trace.h"
#include "sluice/base/base64.h"
#include "sluice/iochain/learned_order.h"
#include "sluice/model/resolve.h"
#include "sluice/net/address_text.h"
#include "src/host/connection_view.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

// Behind where it goes to.
std::string seal_text(const datapath::Snapshot& snapshot, std::uint8_t key_policy) {
    if (key_policy == 0) { return {}; }
    const bool is_known = key_policy < snapshot.key_policies.size();
    return ", sealed under " +
           (is_known ? snapshot.key_policies[key_policy].name : "a former policy");
}

using datapath::Domain;
using datapath::PortConfig;
using datapath::Trace;
using datapath::TraceStep;
using datapath::TraceWhat;
using nlohmann::json;

constexpr std::size_t kFrameMin = 14, kFrameMax = 9216;              // Of a tunnelled frame.
constexpr MacAddr kNeighbour{{0x02, 0xff, 0xff, 0xff, 0xff, 0xfe}};  // Of a frame from the network.

Error refused(const std::string& why) { return {Errc::kInvalid, "trace: " + why, "trace"}; }

/// The MAC of an IP group (RFC 1112 §6.4, RFC 2464 §7); nullopt for one host.
std::optional<MacAddr> group_mac(const IpAddr& ip) {
    const auto& b = ip.bytes;
    if (ip.is_v6()) {
        if (b[0] != 0xff) { return std::nullopt; }
        return MacAddr{{0x33, 0x33, b[12], b[13], b[14], b[15]}};
    }
    if (b[12] == 255) { return MacAddr{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
    if (b[12] < 224) { return std::nullopt; }
    return MacAddr{{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(b[13] & 0x7fU), b[14], b[15]}};
}

std::optional<IpAddr> own_ip(const PortConfig& port, IpFamily family) {
    for (const IpAddr& ip : port.ips) {
        if (ip.family == family) { return ip; }
    }
    return std::nullopt;
}

/// Text of an address, or nullopt if it was left out.
Result<std::optional<IpAddr>> address_of(const char* key, const std::string& text) {
    if (text.empty()) { return std::optional<IpAddr>(); }
    const auto ip = parse_ip(text);
    if (!ip) { return refused(std::string(key) + " " + text + " is not an address"); }
    return std::optional<IpAddr>(*ip);
}

Result<std::optional<MacAddr>> mac_of(const char* key, const std::string& text) {
    if (text.empty()) { return std::optional<MacAddr>(); }
    const auto mac = parse_mac(text);
    if (!mac) { return refused(std::string(key) + " " + text + " is not a MAC address"); }
    return std::optional<MacAddr>(*mac);
}

const Domain* domain_of(const datapath::Snapshot& snapshot, const PortConfig& port,
                        std::optional<std::uint16_t> vlan) {
    std::uint16_t index = port.vlan.untagged_domain;
    if (vlan) {
        index = port.vlan.tagged_domains ? (*port.vlan.tagged_domains)[*vlan] : datapath::kNoDomain;
    }
    return index == datapath::kNoDomain ? nullptr : &snapshot.domains[index];
}

std::string domain_text(const Domain& domain) {
    return "switch " + domain.switch_name +
           (domain.vni != 0    ? ", VNI " + std::to_string(domain.vni)
            : domain.vlan == 0 ? ", untagged"
                               : ", VLAN " + std::to_string(domain.vlan));
}

struct Words {
    const char* what;
    const char* detail;
};

Words words_of(TraceWhat what) {
    switch (what) {
        case TraceWhat::kDomain: return {"enter", ""};
        case TraceWhat::kConnection: return {"connection", ""};
        case TraceWhat::kAgain:
            return {"end", "a rule no longer allows the connection: judged again without it"};
        case TraceWhat::kRule: return {"match", "rule "};
        case TraceWhat::kSlot: return {"pass", ""};
        case TraceWhat::kLearn: return {"learn", "the source MAC would be learned here"};
        case TraceWhat::kFound: return {"found", "the destination MAC is behind "};
        case TraceWhat::kUnknown:
            return {"unknown", "nobody here has the destination MAC: to the fabric by "};
        case TraceWhat::kFlood: return {"flood", "ports that it goes to: "};
        case TraceWhat::kOpen: return {"open", "it opens a connection"};
        case TraceWhat::kRouted: return {"route", "by the router, to "};
        case TraceWhat::kRouter: return {"answer", "it is for the router itself"};
        case TraceWhat::kWait: return {"wait", "until its next hop has answered"};
        case TraceWhat::kDecapsulate: return {"decapsulate", "it came from VTEP "};
        case TraceWhat::kEncapsulate: return {"encapsulate", "to "};
        case TraceWhat::kRedirect: return {"redirect", "redirected to "};
        case TraceWhat::kSetDscp: return {"set_dscp", "DSCP "};
        case TraceWhat::kVlanPop: return {"pop_vlan", "the tag is taken off"};
        case TraceWhat::kVlanPush: return {"push_vlan", "VLAN "};
        case TraceWhat::kOutput: return {"output", "to its peer"};
        case TraceWhat::kDrop: break;
    }
    return {"drop", ""};
}

const char* verdict_of(const Trace& trace, bool by_uplink) {
    if (trace.reached == 0) { return "dropped"; }
    const TraceWhat last = trace.steps[trace.count - 1].what;
    if (last == TraceWhat::kRouter) { return "answered"; }
    if (last == TraceWhat::kWait) { return "held"; }
    if (trace.reached > 1) { return "flooded"; }
    return by_uplink ? "forwarded" : "delivered";
}

}  // namespace

// A MAC for an address: the document's owner in the domain, the controller's, or who was seen to
// use it.
boost::asio::awaitable<std::optional<MacAddr>> ShowService::mac_for(DomainId id, IpAddr ip) {
    const Domain* domain = domain_of(dataplane_.snapshot(), id);
    const AddressOwner* owner = domain == nullptr ? nullptr : domain->owner(ip);
    if (owner != nullptr) { co_return owner->mac; }
    const auto told = dataplane_.fleet().find(LearnedKey::neighbour(id, ip), 0);
    if (told && (domain == nullptr || domain->macs.find(told->mac) == kNoPort)) {
        co_return told->mac;
    }
    std::optional<LearnedRow> first;
    const auto compare = [&](const LearnedRow& row) {
        const bool is_it = row.key.kind == LearnedKind::kBinding && row.key.domain == id &&
                           row.key.ip_address() == ip;
        if (is_it && (!first || comes_before(row, *first))) { first = row; }
    };
    co_await for_each_learned(dataplane_.learned(), compare);
    if (!first) { co_return std::nullopt; }
    co_return first->value.mac;
}

std::string ShowService::trace_connection(const Trace& trace) const {
    const Connection& connection = trace.connection;
    std::string text =
        std::string(host::to_text(connection.state)) + ", opened by " +
        (connection.opener_port == kNoPort ? "the network" : name_of(connection.opener_port)) +
        (trace.by_opener ? "; this is its opener's way" : "; this is an answer");
    std::string rule = rule_text(connection.opener_rule);
    if (rule.empty()) { rule = rule_text(connection.responder_rule); }
    return rule.empty() ? text : text + ", rule " + rule;
}

std::string ShowService::trace_slot(const TraceStep& step) const {
    std::string text = step.direction == Direction::kFromVm ? "from the VM" : "to the VM";
    const std::string rule = rule_text(step.rule);
    if (!rule.empty()) { text += ", rule " + rule; }
    if (step.is_stateful) { text += ", stateful"; }
    if (step.is_bound) {
        text +=
            std::string(", the source is bound to it by ") + source_text(step.source, "learned");
    }
    return text;
}

// It goes on as if the service gave it back.
std::string ShowService::trace_redirect(const TraceStep& step) const {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const bool has_rule = step.detail != 0 && step.detail < snapshot.service_rules.size();
    const std::string rule = has_rule ? ", rule " + snapshot.service_rules[step.detail].name : "";
    if (step.argument == datapath::kNoService ||
        step.argument >= snapshot.service_instances.size()) {
        return "no instance works" + rule;
    }
    return "redirected to " + snapshot.service_instances[step.argument].name + " by slot " +
           std::to_string(step.slot) + rule;
}

std::string ShowService::remote_text(std::uint16_t remote) const {
    const auto& remotes = dataplane_.snapshot().remotes;
    if (remote == datapath::kEveryRemote) { return "every VTEP of the network"; }
    return remote < remotes.size() ? "VTEP " + to_string(remotes[remote].ip) : "a former VTEP";
}

// What words_of() says of a step, and the step's own particulars.
std::string ShowService::trace_detail(const Trace& trace, const TraceStep& step) const {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const std::string words = words_of(step.what).detail;
    switch (step.what) {
        case TraceWhat::kDomain:
            return step.argument == datapath::kNoDomain
                       ? "no layer-2 domain takes this tag here"
                       : domain_text(snapshot.domains[step.argument]);
        case TraceWhat::kConnection: return trace_connection(trace);
        case TraceWhat::kRule: return words + rule_text(step.rule);
        case TraceWhat::kSlot: return trace_slot(step);
        case TraceWhat::kRedirect: return trace_redirect(step);
        case TraceWhat::kFound:
            return words + (step.argument != 0 ? remote_text(step.argument) : name_of(step.port)) +
                   (step.is_static ? ", by the document"
                    : step.is_told ? ", by the controller"
                                   : ", learned");
        case TraceWhat::kRouted: return words + domain_text(snapshot.domains[step.argument]);
        case TraceWhat::kDecapsulate: return words + to_string(snapshot.remotes[step.argument].ip);
        case TraceWhat::kEncapsulate:
            return words + remote_text(trace.tunnel.remote) + ", VNI " +
                   std::to_string(trace.tunnel.vni) + seal_text(snapshot, trace.tunnel.key_policy);
        case TraceWhat::kUnknown: return words + name_of(step.port);
        case TraceWhat::kFlood:
        case TraceWhat::kSetDscp:
        case TraceWhat::kVlanPush: return words + std::to_string(step.argument);
        case TraceWhat::kOutput: {
            const PortConfig* port = snapshot.port(step.port);
            const bool is_up = port != nullptr && port->device->is_up();
            return is_up ? words : "the port is down just now: port_down";
        }
        default: return words;
    }
}

json ShowService::trace_step(const Trace& trace, const TraceStep& step) const {
    const bool is_dropped = step.reason != DropReason::kNone;
    std::string detail = trace_detail(trace, step);
    if (is_dropped) {
        const DropReasonInfo& info = kDropReasons[static_cast<std::size_t>(step.reason)];
        detail += (detail.empty() ? "" : ", ") + std::string(info.text) + ": " +
                  std::string(info.meaning);
    }
    const bool is_switching =
        step.port == kNoPort || step.what == TraceWhat::kFound || step.what == TraceWhat::kUnknown;
    return {{"host", config_.document().host.name},
            {"where", is_switching ? "switch" : name_of(step.port)},
            {"slot", step.slot == datapath::kNoSlot ? "" : kSlots[step.slot].name},
            {"what", is_dropped ? "drop" : words_of(step.what).what},
            {"detail", detail}};
}

Result<ShowService::TraceStart> ShowService::trace_start(const TraceQuestion& question) const {
    const Result<PortIndex> named = index_of(question.port);
    if (!named) { return named.error(); }
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const PortConfig& port = *snapshot.port(named.value());
    if (!question.from_network) {
        return TraceStart{named.value(), &port, nullptr, std::nullopt, {}};
    }
    const Domain* domain = domain_of(snapshot, port, std::nullopt);
    if (domain == nullptr || domain->fabric.empty()) {
        return refused("port " + question.port + " has no uplink to the network");
    }
    std::optional<std::uint16_t> vlan;
    if (domain->vlan != 0) { vlan = domain->vlan; }
    const PortIndex way = domain->fabric.front();
    TraceStart start{way, snapshot.port(way), &port, vlan, {}};
    if (domain->vni != 0) {
        if (snapshot.remotes.size() < 2) {
            return refused("no VTEP of another host is known that it could come from");
        }
        start.tunnel = {1, domain->vni};
    }
    return start;
}

boost::asio::awaitable<Result<TraceFrame>> ShowService::trace_frame(TraceQuestion question,
                                                                    TraceStart start) {
    const auto src = address_of("src", question.src);
    if (!src) { co_return src.error(); }
    auto dst = address_of("dst", question.dst);
    if (!dst) { co_return dst.error(); }
    const auto to_mac = mac_of("to_mac", question.to_mac);
    if (!to_mac) { co_return to_mac.error(); }
    const auto from_mac = mac_of("from_mac", question.from_mac);
    if (!from_mac) { co_return from_mac.error(); }
    std::optional<IpAddr> source = src.value(), destination = dst.value();
    if (!destination && start.receiver != nullptr) {
        destination = own_ip(*start.receiver, source ? source->family : IpFamily::kV4);
    }
    if (!destination) { co_return refused("dst is not given: where does the packet go?"); }
    if (!source) { source = own_ip(*start.in, destination->family); }
    if (!source) {
        co_return refused("src is not given, and " + start.in->name + " has no address of dst's " +
                          "family");
    }
    if (source->family != destination->family) {
        co_return refused("src " + question.src + " and dst " + question.dst +
                          " are not of one family");
    }
    Result<TraceFrame> frame = frame_of(question, source->is_v6());
    if (!frame) { co_return frame.error(); }
    TraceFrame& out = frame.value();
    out.source = *source;
    out.destination = *destination;
    if (!out.vlan) { out.vlan = start.vlan; }
    out.source_mac = from_mac.value().value_or(start.in->is_uplink ? kNeighbour : start.in->mac);
    std::optional<MacAddr> to = to_mac.value();
    if (!to) { to = group_mac(*destination); }
    if (!to && start.receiver != nullptr) { to = start.receiver->mac; }
    const Domain* domain = domain_of(dataplane_.snapshot(), *start.in, out.vlan);
    if (!to && domain != nullptr) { to = co_await mac_for(domain->id, *destination); }
    if (!to && domain != nullptr && domain->router != datapath::kNoRouter) {
        to = dataplane_.snapshot().routers[domain->router].vmac;
    }
    if (!to && domain != nullptr) {
        co_return refused("nobody in the domain is known to have " + to_string(*destination) +
                          ": give to_mac, of a router for instance");
    }
    out.destination_mac = to.value_or(kNeighbour);
    co_return frame;
}

AnswerLater ShowService::trace(TraceQuestion question) {
    const Result<TraceStart> start = trace_start(question);
    if (!start) { co_return start.error(); }
    const PortIndex ingress = start.value().ingress;
    const datapath::TraceTunnel tunnel = start.value().tunnel;
    const Result<TraceFrame> frame = co_await trace_frame(question, start.value());
    if (!frame) { co_return frame.error(); }
    std::vector<std::uint8_t> bytes = bytes_of(frame.value());
    co_return co_await run_trace(ingress, std::move(bytes), tunnel);
}

AnswerLater ShowService::trace_tunnelled(TunnelledFrame frame) {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const auto source = parse_ip(frame.source);
    const auto bytes = base64_decode(frame.frame);
    if (!source || !bytes || bytes->size() < kFrameMin || bytes->size() > kFrameMax) {
        co_return refused("source and frame do not describe a tunnelled frame");
    }
    const auto destination = parse_ip(frame.destination);
    const auto vtep = std::find_if(
        snapshot.vteps.begin(), snapshot.vteps.end(), [&](const datapath::VtepConfig& each) {
            return frame.destination.empty() ? each.ip.family == source->family
                                             : destination && each.ip == *destination;
        });
    if (vtep == snapshot.vteps.end()) {
        co_return Error{Errc::kNotFound, "trace: no VTEP here has the address " + frame.destination,
                        "trace"};
    }
    const auto remote = std::find_if(snapshot.remotes.begin(), snapshot.remotes.end(),
                                     [&](const auto& each) { return each.ip == *source; });
    if (remote == snapshot.remotes.end()) {
        co_return refused("VTEP " + frame.source + " is not known here: unknown_vtep");
    }
    const datapath::TraceTunnel tunnel{
        static_cast<std::uint16_t>(remote - snapshot.remotes.begin()), frame.vni, frame.key_policy};
    std::vector<std::uint8_t> inner = *bytes;
    co_return co_await run_trace(vtep->port, std::move(inner), tunnel);
}

// Where it leaves for, as another host's trace_tunnelled() takes it.
json ShowService::tunnel_json(PortIndex vtep_port, const datapath::TraceCommand& command) const {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    const PortConfig* port = snapshot.port(vtep_port);
    const datapath::TraceTunnel& tunnel = command.trace.tunnel;
    json out{{"vni", tunnel.vni},
             {"source", to_string(snapshot.vteps[port->vtep].ip)},
             {"frame", base64_encode(command.frame())}};
    if (tunnel.key_policy != 0) { out["key_policy"] = tunnel.key_policy; }
    if (tunnel.remote < snapshot.remotes.size()) {
        out["destination"] = to_string(snapshot.remotes[tunnel.remote].ip);
    }
    return out;
}

boost::asio::awaitable<Result<json>> ShowService::run_trace(PortIndex ingress,
                                                            std::vector<std::uint8_t> frame,
                                                            datapath::TraceTunnel tunnel) {
    const unsigned worker = dataplane_.snapshot().port(ingress)->worker;
    datapath::TraceCommand command(ingress, std::move(frame), tunnel);
    co_await run_on_worker(dataplane_, worker, command);
    const Trace& trace = command.trace;
    if (trace.is_gone) { co_return refused("the port is gone"); }
    if (trace.is_inspected) {
        co_return refused(
            "ARP, neighbour discovery, DHCP, group membership and ICMP errors are judged by their "
            "contents and rates, frame by frame, and can't be traced");
    }
    json steps = json::array();
    DropReason reason = trace.reason;
    PortIndex out = kNoPort;
    for (std::size_t i = 0; i < trace.count; ++i) {
        const TraceStep& step = trace.steps[i];
        steps.push_back(trace_step(trace, step));
        if (trace.reached == 0 && reason == DropReason::kNone) { reason = step.reason; }
        if (step.what == TraceWhat::kOutput) { out = step.port; }
    }
    if (trace.reached == 0 && reason == DropReason::kNone) { reason = DropReason::kNoDestination; }
    const PortConfig* to = dataplane_.snapshot().port(out);
    json answer{{"verdict", verdict_of(trace, to != nullptr && to->is_uplink)},
                {"reason", reason == DropReason::kNone ? "" : std::string(to_string(reason))},
                {"steps", steps}};
    if (trace.tunnel.remote != 0 && to != nullptr && to->vtep != datapath::kNoVtep) {
        answer["tunnel"] = tunnel_json(out, command);
    }
    co_return answer;
}

}  // namespace sluice::daemon
