// SPDX-License-Identifier: Apache-2.0
// Readers of vteps, and of what switches and port groups say of tunnels.
#include "controller-agent/document_reader.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::Replication;
using model::Vtep;

void read_uplink_of(Fields& fields, const model::Document& document, Vtep& vtep) {
    if (fields.text("uplink", vtep.uplink)) { return; }
    if (document.uplinks.size() == 1) {
        vtep.uplink = document.uplinks.front().name;
    } else {
        fields.refuse(Errc::kInvalid, "uplink", "is missing, expected an uplink's name");
    }
}

void read_vtep(Fields& fields, std::string name, model::Document& document) {
    Vtep vtep;
    vtep.name = std::move(name);
    read_needed_interface_address(fields, "ip", vtep.address);
    if (!read_mac(fields, "mac", vtep.mac)) {
        const std::string& host = document.host.name;
        const std::string owner = host.empty() ? to_string(vtep.address.ip) : host;
        vtep.mac = model::default_mac(owner + "/" + vtep.name);
    }
    read_ip(fields, "gateway", vtep.gateway);
    read_uplink_of(fields, document, vtep);
    fields.number("vlan", vtep.vlan, 0, kVlanMax);
    fields.number("mtu", vtep.mtu, kMtuMin, kVtepMtuMax);
    fields.number("udp_port", vtep.udp_port, 1, 65535);
    document.vteps.push_back(std::move(vtep));
}

void read_bfd(Fields fields, model::Bfd& bfd) {
    fields.flag("enabled", bfd.enabled);
    fields.number("interval_ms", bfd.interval_ms, kBfdIntervalMinMs, kBfdIntervalMaxMs);
    fields.number("multiplier", bfd.multiplier, 1, kBfdMultiplierMax);
    fields.finish();
}

}  // namespace

void read_vteps(Fields& root, Fault& fault, model::Document& document) {
    each_named(root, "vteps", "vtep", kVtepMax, fault,
               [&](Fields& f, std::string name) { read_vtep(f, std::move(name), document); });
}

void read_overlay(Fields& fields, model::Switch& item) {
    read_ips(fields, "remote_vteps", kRemoteVtepMax, item.remote_vteps);
    read_bfd(fields.nested("bfd"), item.bfd);
}

void read_overlay(Fields& fields, model::PortGroup& group) {
    fields.number("vni", group.vni, 1, kVniMax);
    const bool has_replication = fields.choice("replication", group.replication,
                                               {{"unicast", Replication::kUnicast},
                                                {"hybrid", Replication::kHybrid},
                                                {"multicast", Replication::kMulticast},
                                                {"head_end", Replication::kHeadEnd},
                                                {"service_node", Replication::kServiceNode}});
    read_ip(fields, "multicast_group", group.multicast_group);
    read_ips(fields, "flood_vteps", kRemoteVtepMax, group.flood_vteps);
    if (!group.flood_vteps.empty() && !model::uses_flood_vteps(group.replication)) {
        fields.refuse(Errc::kInvalid, "flood_vteps", "needs replication head_end or service_node");
    }
    if (group.vni != 0) { return; }
    if (has_replication && group.replication != Replication::kUnicast) {
        fields.refuse(Errc::kInvalid, "replication", "needs a vni, the port group has none");
    }
    if (group.multicast_group) {
        fields.refuse(Errc::kInvalid, "multicast_group", "needs a vni, the port group has none");
    }
}

}  // namespace sluice::agent
