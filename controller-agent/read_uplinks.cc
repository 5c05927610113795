// SPDX-License-Identifier: Apache-2.0
// Readers of uplinks, and of the teaming of a switch or a port group.
#include "controller-agent/document_reader.h"

namespace sluice::agent {
namespace {

using model::FailureDetection;
using model::Lacp;
using model::TeamingPolicy;

void read_uplink(Fields& fields, std::string name, model::Document& document) {
    model::Uplink uplink{std::move(name), ""};
    if (!fields.text("device", uplink.device)) {
        fields.refuse(Errc::kInvalid, "device",
                      "is missing, expected a device like \"net_af_packet0,iface=eth1\"");
    }
    document.uplinks.push_back(std::move(uplink));
}

}  // namespace

void read_teaming(Fields fields, model::Teaming& teaming) {
    fields.choice("policy", teaming.policy,
                  {{"port_id", TeamingPolicy::kPortId},
                   {"src_mac", TeamingPolicy::kSourceMac},
                   {"ip_hash", TeamingPolicy::kIpHash},
                   {"load", TeamingPolicy::kLoad},
                   {"explicit", TeamingPolicy::kExplicit}});
    fields.texts("active", teaming.active, kUplinkMax);
    fields.texts("standby", teaming.standby, kUplinkMax);
    fields.flag("failback", teaming.failback);
    fields.number("failback_hold_s", teaming.failback_hold_s, 0, kFailbackHoldMaxS);
    fields.choice("failure_detection", teaming.detection,
                  {{"link", FailureDetection::kLink}, {"probe", FailureDetection::kProbe}});
    fields.choice("lacp", teaming.lacp,
                  {{"off", Lacp::kOff}, {"active", Lacp::kActive}, {"passive", Lacp::kPassive}});
    fields.finish();
}

void read_uplinks(Fields& root, Fault& fault, model::Document& document) {
    each_named(root, "uplinks", "uplink", kUplinkMax, fault,
               [&](Fields& f, std::string name) { read_uplink(f, std::move(name), document); });
}

}  // namespace sluice::agent
