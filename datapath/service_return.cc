// SPDX-License-Identifier: Apache-2.0
// Service return: whose a frame is that a service's leg sent: of a connection that passes the
// service, known by the tag of its domain and by its addresses, or one that the service made up, or
// whose header it rewrote. Called for first packets (first_packet.cc), and where a program of such
// frames needs to know where they entered first. Worker.
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

bool enters_tagged(const PortConfig& in, std::uint16_t index, const Domain& domain) noexcept {
    return in.vlan.is_trunk && in.vlan.untagged_domain != index && domain.vlan != 0;
}

// By which remote VTEP the sender's MAC is heard.
std::uint16_t remote_of(const WorkerContext& context, const FlowKey& key,
                        std::uint16_t domain) noexcept {
    FlowKey towards = key;
    towards.destination_mac = key.source_mac;
    const std::uint16_t remote = find_destination(context, domain, towards).remote;
    return remote == kEveryRemote ? std::uint16_t{0} : remote;
}

// Its source MAC is not one that the document gives to somebody else than the sender.
bool may_be_of(const WorkerContext& context, const Domain& domain, const FlowKey& key) noexcept {
    const PortIndex owner = domain.macs.find(key.source_mac);
    return owner == kNoPort || owner == key.port ||
           is_router_mac(*context.snapshot, domain, key.source_mac);
}

Recalled::Kind judge_leg(const ServiceInstanceConfig& service, PortIndex leg,
                         ConnectionSide side) noexcept {
    if (service.in == kNoPort) { return Recalled::Kind::kReturned; }  // Elsewhere: no leg.
    const PortIndex returns_by = side == ConnectionSide::kOpener ? service.out : service.in;
    return leg == returns_by ? Recalled::Kind::kReturned : Recalled::Kind::kWrongLeg;
}

}  // namespace

std::uint16_t instance_behind(const WorkerContext& context, const FlowKey& key) noexcept {
    const PortConfig* in = context.snapshot->port(key.port);
    if (in == nullptr) { return kNoService; }
    if (in->vtep == kNoVtep || !key.has(kKeyTagged)) { return in->leg_of; }
    return static_cast<std::uint16_t>(key.tunnel >> 8U);  // By a VTEP, see run_returned().
}

PortIndex sender_of(const WorkerContext& context, ConnectionHandle handle,
                    ConnectionSide side) noexcept {
    const Connection* record = context.connections.get(handle);
    if (record == nullptr) { return kNoPort; }
    if (side == ConnectionSide::kOpener) { return record->opener_port; }
    if (record->responder_port != kNoPort) { return record->responder_port; }
    return context.pins.of(handle).responder;
}

std::optional<FlowKey> entered_key(const WorkerContext& context, const FlowKey& key,
                                   std::uint16_t index, PortIndex sender) noexcept {
    const PortConfig* in = context.snapshot->port(sender);
    if (in == nullptr || index == kNoDomain) { return std::nullopt; }
    const Domain& domain = context.snapshot->domains[index];
    FlowKey entered = key;
    entered.port = sender;
    entered.vlan = 0;
    entered.tunnel = 0;
    entered.flags &= static_cast<std::uint8_t>(~kKeyTagged);
    if (in->vtep != kNoVtep) {
        entered.tunnel = domain.vni << 8U | kTunnelled;
        entered.vlan = remote_of(context, entered, index);
    } else if (enters_tagged(*in, index, domain)) {
        entered.flags |= kKeyTagged;
        entered.vlan = domain.vlan;
    }
    return entered;
}

Recalled recall(WorkerContext& context, const Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    Recalled recalled;
    const std::uint16_t instance = instance_behind(context, key);
    if (instance == kNoService || instance >= context.snapshot->service_instances.size() ||
        !key.has(kKeyTagged) || !key.is_ip() || key.destination_mac.is_group()) {
        return recalled;
    }
    const std::uint16_t index = ingress_domain(*context.snapshot->port(key.port), key);
    if (index == kNoDomain) { return recalled; }
    const Domain& domain = context.snapshot->domains[index];
    const TupleOfFrame tuple = tuple_of(key, domain.tracking);
    const ConnectionHandle handle = context.connections.find(tuple, context.now_ns);
    Connection record;
    if (!handle.is_set() || !context.connections.snapshot(handle, record) ||
        record.redirected == 0 || !is_pinned(context, handle, instance)) {
        return recalled;
    }
    const ConnectionSide side = context.connections.side_of(handle, tuple);
    const auto entered = entered_key(context, key, index, sender_of(context, handle, side));
    if (!entered || !may_be_of(context, domain, *entered)) { return recalled; }
    recalled.instance = instance;
    recalled.key = *entered;
    recalled.kind = judge_leg(context.snapshot->service_instances[instance], key.port, side);
    return recalled;
}

}  // namespace sluice::datapath
