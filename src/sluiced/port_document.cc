// SPDX-License-Identifier: Apache-2.0
// Port document: connections; see port_document.h. Learned rows are in port_learned.cc.
#include "src/sluiced/port_document.h"

#include <algorithm>
#include <cstring>

#include "admin/params.h"
#include "sluice/net/address_text.h"
#include "src/host/compile_chains.h"
#include "src/host/connection_view.h"
#include "src/sluiced/port_network.h"

namespace sluice::daemon {
namespace {

using admin::ParamReader;
using datapath::Domain;
using nlohmann::json;
using Row = datapath::ImportConnections::Row;

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmp6 = 58;
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint8_t kScaleMax = 14;

bool is_icmp(std::uint8_t protocol) { return protocol == kIcmp || protocol == kIcmp6; }

std::string rule_name(const host::RuleRegistry& rules, RuleId id) {
    const auto* key = rules.name_of(id);
    if (key == nullptr) { return ""; }
    return key->first == host::kDefaultRule ? key->first : key->first + "/" + key->second;
}

// A rule that this host does not have counts as none: the next packet is judged.
RuleId rule_of(const host::RuleRegistry& rules, const std::string& name) {
    if (name.empty()) { return RuleId{}; }
    if (name == host::kDefaultRule) { return rules.find({name, name}); }
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos) { return RuleId{}; }
    return rules.find({name.substr(0, slash), name.substr(slash + 1)});
}

// It may have expired since it was copied.
std::uint64_t remaining_ns(const PortPlace& place, const Connection& record) {
    return std::max(record.expires_ns, place.now_ns) - place.now_ns;
}

json peer_json(const TcpPeer& peer) {
    return {{"end", peer.end},           {"max_end", peer.max_end}, {"max_ack", peer.max_ack},
            {"window", peer.max_window}, {"scale", peer.scale},     {"flags", peer.flags}};
}

json services_json(const datapath::Snapshot& snapshot, const ServicePins& pins) {
    json rows = json::array();
    for (std::size_t i = 0; i < std::min<std::size_t>(pins.count, pins.hops.size()); ++i) {
        const ServiceHop& hop = pins.hops[i];
        const bool is_known = hop.instance < snapshot.service_instances.size() &&
                              hop.rule < snapshot.service_rules.size();
        if (!is_known) { continue; }
        rows.push_back({{"slot", hop.slot},
                        {"side", hop.of_receiver ? "responder" : "opener"},
                        {"rule", snapshot.service_rules[hop.rule].name},
                        {"instance", snapshot.service_instances[hop.instance].name}});
    }
    return rows;
}

// A bounded number; complains like the reader does.
struct Numbers {
    ParamReader& read;
    Status& status;

    std::uint64_t upto(const char* key, std::uint64_t max) const {
        const std::uint64_t value = read.count(key, 0);
        if (value > max && status) {
            status = Error{
                Errc::kInvalid,
                std::string(key) + " " + std::to_string(value) + " is above " + std::to_string(max),
                ""};
        }
        return std::min(value, max);
    }
};

Error invalid(const std::string& what) { return Error{Errc::kInvalid, what, ""}; }

Status read_peer(const json* peers, const char* key, TcpPeer& out) {
    if (peers == nullptr || !peers->is_object() || !peers->contains(key)) {
        return invalid(std::string("tcp.") + key + " is missing");
    }
    const json& row = (*peers)[key];
    if (!row.is_object()) { return invalid(std::string("tcp.") + key + " is not an object"); }
    ParamReader read(row);
    Status status = Ok{};
    const Numbers number{read, status};
    out.end = static_cast<std::uint32_t>(number.upto("end", UINT32_MAX));
    out.max_end = static_cast<std::uint32_t>(number.upto("max_end", UINT32_MAX));
    out.max_ack = static_cast<std::uint32_t>(number.upto("max_ack", UINT32_MAX));
    out.max_window = static_cast<std::uint16_t>(number.upto("window", UINT16_MAX));
    out.scale = static_cast<std::uint8_t>(number.upto("scale", kScaleMax));
    out.flags = static_cast<std::uint8_t>(number.upto("flags", UINT8_MAX));
    if (!status) { return status; }
    return read.finish();
}

std::optional<std::uint8_t> protocol_of(const std::string& text) {
    static const std::map<std::string, std::uint8_t> kByText = [] {
        std::map<std::string, std::uint8_t> all;
        for (unsigned number = 0; number <= UINT8_MAX; ++number) {
            const auto protocol = static_cast<std::uint8_t>(number);
            all.emplace(host::protocol_text(protocol), protocol);
        }
        return all;
    }();
    const auto at = kByText.find(text);
    return at == kByText.end() ? std::nullopt : std::optional(at->second);
}

// Words of states are the same for UDP, ICMP and others.
std::optional<ConnectionState> state_of(const std::string& text, std::uint8_t protocol) {
    auto first = ConnectionState::kOtherOneWay;
    auto last = ConnectionState::kOtherTwoWay;
    if (protocol == kTcp) {
        first = ConnectionState::kTcpSynSent;
        last = ConnectionState::kTcpLastAck;
    } else if (protocol == kUdp) {
        first = ConnectionState::kUdpOneWay;
        last = ConnectionState::kUdpTwoWay;
    } else if (is_icmp(protocol)) {
        first = ConnectionState::kIcmpOneWay;
        last = ConnectionState::kIcmpTwoWay;
    }
    for (auto each = static_cast<unsigned>(first); each <= static_cast<unsigned>(last); ++each) {
        const auto state = static_cast<ConnectionState>(each);
        if (text == host::to_text(state)) { return state; }
    }
    return std::nullopt;
}

// As tuple_of() of the opener's first packet.
TupleOfFrame tuple_from(const IpAddr& source, std::uint16_t source_port, const IpAddr& destination,
                        std::uint16_t destination_port, std::uint8_t protocol, DomainId tracking) {
    TupleOfFrame out;
    const int order = std::memcmp(source.bytes.data(), destination.bytes.data(), 16);
    out.from_a = is_icmp(protocol) || order < 0 || (order == 0 && source_port <= destination_port);
    const IpAddr& a = out.from_a ? source : destination;
    const IpAddr& b = out.from_a ? destination : source;
    std::copy(a.bytes.begin(), a.bytes.end(), out.tuple.ip_a);
    std::copy(b.bytes.begin(), b.bytes.end(), out.tuple.ip_b);
    out.tuple.port_a = Be16::from_host(out.from_a ? source_port : destination_port);
    out.tuple.port_b = Be16::from_host(out.from_a ? destination_port : source_port);
    out.tuple.domain = tracking;
    out.tuple.protocol = protocol;
    out.tuple.family = source.family;
    out.may_open = true;
    return out;
}

// The port where an address of the same tracking is: a vNIC here, else the fabric.
PortIndex place_of(const PortPlace& place, const Domain& home, const IpAddr& ip) {
    for (const Domain& domain : place.snapshot.domains) {
        if (domain.tracking != home.tracking) { continue; }
        PortIndex port = kNoPort;
        if (const AddressOwner* owner = domain.owner(ip)) {
            port = owner->port;
        } else if (const auto at = place.bound.find({domain.id, ip}); at != place.bound.end()) {
            port = at->second;
        }
        if (port != kNoPort && port != place.port) { return port; }
    }
    return home.fabric.empty() ? kNoPort : home.fabric.front();
}

Result<IpAddr> read_address(ParamReader& read, const char* key) {
    const std::string text = read.required_text(key);
    const std::optional<IpAddr> ip = parse_ip(text);
    if (!ip) { return invalid(std::string(key) + " \"" + text + "\" is no IP address"); }
    return *ip;
}

// Services that this host has not, or that run in its process, leave no pin: policy chooses anew.
Status read_services(const PortPlace& place, const json* rows, ServicePins& pins) {
    if (rows == nullptr) { return Ok{}; }
    if (!rows->is_array() || rows->size() > pins.hops.size()) {
        return invalid("services is no list of " + std::to_string(pins.hops.size()) +
                       " services at most");
    }
    const auto index_of = [](const auto& items, const std::string& name) -> std::uint16_t {
        const auto at = std::find_if(items.begin(), items.end(),
                                     [&](const auto& item) { return item.name == name; });
        return at == items.end() || name.empty() ? std::uint16_t{0}
                                                 : static_cast<std::uint16_t>(at - items.begin());
    };
    bool is_whole = true;
    for (const json& row : *rows) {
        if (!row.is_object()) { return invalid("services holds what is no object"); }
        ParamReader read(row);
        ServiceHop hop;
        static_cast<void>(read.count("slot", 0));  // For people: the rule has it.
        hop.of_receiver = read.text("side") == "responder";
        hop.rule = index_of(place.snapshot.service_rules, read.text("rule"));
        hop.slot = place.snapshot.service_rules.empty()
                       ? std::uint8_t{0}
                       : place.snapshot.service_rules[hop.rule].slot;
        hop.instance = index_of(place.snapshot.service_instances, read.text("instance"));
        if (Status status = read.finish(); !status) { return status; }
        const bool is_here = hop.rule != 0 && hop.instance != datapath::kNoService &&
                             place.snapshot.service_instances[hop.instance].module == 0;
        is_whole = is_whole && is_here;
        pins.hops[pins.count++] = hop;
    }
    if (!is_whole) { pins = ServicePins{}; }
    return Ok{};
}

}  // namespace

bool is_local(const PortPlace& place, PortIndex port) {
    const datapath::PortConfig* config = place.snapshot.port(port);
    return config != nullptr && !config->is_uplink;
}

std::vector<const Domain*> PortPlace::domains() const {
    std::vector<const Domain*> found;
    const datapath::PortVlan& vlan = snapshot.port(port)->vlan;
    if (vlan.untagged_domain != datapath::kNoDomain) {
        found.push_back(&snapshot.domains[vlan.untagged_domain]);
    }
    if (!vlan.tagged_domains) { return found; }
    for (const std::uint16_t index : *vlan.tagged_domains) {
        if (index != datapath::kNoDomain) { found.push_back(&snapshot.domains[index]); }
    }
    return found;
}

json write_connection(const PortPlace& place, const PortConnection& row) {
    const Connection& record = row.record;
    const Domain* domain = find_network(
        place, [&](const Domain& each) { return each.tracking == record.tuple.domain; });
    if (domain == nullptr) { return nullptr; }
    const host::ConnectionView view = host::view_of(record, place.port);
    const bool is_opener = view.opened_by_port;
    const RuleId own = is_opener ? record.opener_rule : record.responder_rule;
    const RuleId other = is_opener ? record.responder_rule : record.opener_rule;
    const auto has = [&](ConnectionFlag flag) { return (record.flags & flag) != 0; };
    json out{{"proto", host::protocol_text(record.tuple.protocol)},
             {"src", to_string(view.source)},
             {"sport", view.source_port},
             {"dst", to_string(view.destination)},
             {"dport", view.destination_port},
             {"initiator", is_opener ? "out" : "in"},
             {"state", host::to_text(record.state)},
             {"expires_ms", remaining_ns(place, record) / kNsPerMs},
             {"rule", rule_name(place.rules, own)},
             {"stateful", has(is_opener ? kConnOpenerStateful : kConnResponderStateful)},
             {"peer_rule", rule_name(place.rules, other)},
             {"peer_stateful", has(is_opener ? kConnResponderStateful : kConnOpenerStateful)},
             {"alg", has(kConnAlg)},
             {"related", has(kConnRelated)},
             {"logged", record.logged != 0},
             {"packets", record.packets},
             {"bytes", std::uint64_t{record.bytes}}};
    set_port_network(out, *domain);
    if (is_icmp(record.tuple.protocol)) { out["code"] = record.tuple.port_b.host() & 0xffU; }
    if (record.tuple.protocol == kTcp) {
        out["tcp"] = {{"opener", peer_json(record.peer[0])},
                      {"responder", peer_json(record.peer[1])},
                      {"midstream", has(kConnLiberal)}};
    }
    if (row.pins.count > 0) { out["services"] = services_json(place.snapshot, row.pins); }
    return out;
}

namespace {

struct Ends {
    IpAddr source, destination;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint8_t protocol = 0;
};

Result<Ends> read_ends(ParamReader& read) {
    Ends ends;
    const std::string text = read.required_text("proto");
    const std::optional<std::uint8_t> protocol = protocol_of(text);
    if (!protocol) { return invalid("proto \"" + text + "\" is no protocol"); }
    const Result<IpAddr> source = read_address(read, "src");
    const Result<IpAddr> destination = read_address(read, "dst");
    if (!source) { return source.error(); }
    if (!destination) { return destination.error(); }
    if (source.value().family != destination.value().family) {
        return invalid("src and dst are of two families");
    }
    Status status = Ok{};
    const Numbers number{read, status};
    ends = {source.value(), destination.value(), 0, 0, *protocol};
    ends.source_port = static_cast<std::uint16_t>(number.upto("sport", UINT16_MAX));
    const std::uint64_t code = number.upto("code", UINT8_MAX);
    const std::uint64_t dport = number.upto("dport", is_icmp(*protocol) ? UINT8_MAX : UINT16_MAX);
    ends.destination_port =
        static_cast<std::uint16_t>(is_icmp(*protocol) ? dport << 8U | code : dport);
    if (!status) { return status.error(); }
    return ends;
}

Status read_tcp(const json* tcp, ConnectionImport& out) {
    if (tcp == nullptr || !tcp->is_object()) { return invalid("tcp is missing"); }
    if (Status status = read_peer(tcp, "opener", out.peer[0]); !status) { return status; }
    if (Status status = read_peer(tcp, "responder", out.peer[1]); !status) { return status; }
    const auto midstream = tcp->find("midstream");
    out.is_liberal = midstream != tcp->end() && midstream->is_boolean() && midstream->get<bool>();
    return Ok{};
}

}  // namespace

Result<Row> read_connection(const PortPlace& place, const json& row) {
    if (!row.is_object()) { return invalid("it is no object"); }
    ParamReader read(row);
    const Result<const Domain*> network = read_network(place, read);
    if (!network) { return network.error(); }
    const Result<Ends> ends = read_ends(read);
    if (!ends) { return ends.error(); }
    const Domain& domain = *network.value();
    const Ends& e = ends.value();
    Row out{};
    ConnectionImport& c = out.connection;
    c.tuple = tuple_from(e.source, e.source_port, e.destination, e.destination_port, e.protocol,
                         domain.tracking);
    const std::string state = read.required_text("state");
    const std::optional<ConnectionState> known = state_of(state, e.protocol);
    if (!known) { return invalid("state \"" + state + "\" is none of its protocol"); }
    c.state = *known;
    const std::string initiator = read.required_text("initiator");
    if (initiator != "in" && initiator != "out") {
        return invalid("initiator \"" + initiator + "\" is neither in nor out");
    }
    const bool is_opener = initiator == "out";
    const PortIndex other = place_of(place, domain, is_opener ? e.destination : e.source);
    Status status = Ok{};
    const Numbers number{read, status};
    c.remaining_ns = number.upto("expires_ms", kExpiresMsMax) * kNsPerMs;
    const RuleId rule = rule_of(place.rules, read.text("rule"));
    RuleId peer_rule = rule_of(place.rules, read.text("peer_rule"));
    const bool stateful = read.flag("stateful");
    bool peer_stateful = read.flag("peer_stateful");
    if (!is_local(place, other)) {  // Judged at another host, if at all.
        peer_rule = RuleId{};
        peer_stateful = false;
    }
    c.opener_port = is_opener ? place.port : other;
    c.responder_port = is_opener ? other : place.port;
    c.opener_rule = is_opener ? rule : peer_rule;
    c.responder_rule = is_opener ? peer_rule : rule;
    c.opener_stateful = is_opener ? stateful : peer_stateful;
    c.responder_stateful = is_opener ? peer_stateful : stateful;
    c.alg = read.flag("alg");
    c.related = read.flag("related");
    c.logged = read.flag("logged");
    c.packets = read.count("packets", 0);
    c.bytes = read.count("bytes", 0);
    const json* tcp = read.value("tcp");
    if (status && e.protocol == kTcp) { status = read_tcp(tcp, c); }
    if (status) { status = read_services(place, read.value("services"), out.pins); }
    if (status) { status = read.finish(); }
    if (!status) { return status.error(); }
    out.pins.responder = c.responder_port;
    return out;
}

Row row_moved(const PortPlace& place, const PortConnection& row, ConnectionSide side, PortIndex to,
              bool side_stateful) {
    const Connection& record = row.record;
    const bool is_opener = side == ConnectionSide::kOpener;
    const auto has = [&](ConnectionFlag flag) { return (record.flags & flag) != 0; };
    Row out{};
    ConnectionImport& c = out.connection;
    c.tuple.tuple = record.tuple;
    c.tuple.from_a = has(kConnOpenerIsA);
    c.tuple.may_open = true;
    c.opener_port = is_opener ? to : record.opener_port;
    c.responder_port = is_opener ? record.responder_port : to;
    c.opener_rule = is_opener ? RuleId{} : record.opener_rule;
    c.responder_rule = is_opener ? record.responder_rule : RuleId{};
    c.opener_stateful = is_opener ? side_stateful : has(kConnOpenerStateful);
    c.responder_stateful = is_opener ? has(kConnResponderStateful) : side_stateful;
    c.alg = has(kConnAlg);
    c.related = has(kConnRelated);
    c.logged = record.logged != 0;
    c.is_liberal = has(kConnLiberal);
    c.state = record.state;
    c.remaining_ns = remaining_ns(place, record);
    c.peer[0] = record.peer[0];
    c.peer[1] = record.peer[1];
    c.packets = record.packets;
    c.bytes = record.bytes;
    out.pins = row.pins;
    return out;
}

PortIndex fabric_of(const PortPlace& place, DomainId tracking) {
    const Domain* domain =
        find_network(place, [&](const Domain& each) { return each.tracking == tracking; });
    return domain == nullptr || domain->fabric.empty() ? kNoPort : domain->fabric.front();
}

}  // namespace sluice::daemon
