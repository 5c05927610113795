// SPDX-License-Identifier: Apache-2.0
// Domain: which layer-2 domain a frame enters, and how a port of it is tagged. First packets and
// inspected frames only.
#include "datapath/stages.h"

namespace sluice::datapath {

std::uint16_t ingress_domain(const PortConfig& port, const FlowKey& key) noexcept {
    if (!key.has(kKeyTagged)) { return port.vlan.untagged_domain; }
    if (!port.vlan.tagged_domains) {
        return kNoDomain;
    }  // Access and untagged ports take no tag, VID 0 included.
    return (*port.vlan.tagged_domains)[key.vlan & 0xfffU];
}

std::optional<Step> egress_vlan_step(const PortConfig& egress, const Domain& domain,
                                     const FlowKey& key) noexcept {
    const bool leaves_tagged = egress.vlan.is_trunk && domain.vlan != 0;
    const bool is_tagged = key.has(kKeyTagged);
    if (leaves_tagged && !is_tagged) { return Step{StepKind::kVlanPush, 0, domain.vlan}; }
    if (!leaves_tagged && is_tagged) { return Step{StepKind::kVlanPop, 0, 0}; }
    return std::nullopt;
}

PortIndex destination_of(const Domain& domain, const FlowKey& key) noexcept {
    const PortIndex owner = domain.macs.find(key.destination_mac);
    return owner == kNoPort && domain.uplink != key.port ? domain.uplink : owner;
}

bool is_reserved_group(const MacAddr& mac) noexcept {
    const auto& b = mac.bytes;
    return b[0] == 0x01 && b[1] == 0x80 && b[2] == 0xc2 && b[3] == 0 && b[4] == 0 && b[5] <= 0x0f;
}

}  // namespace sluice::datapath
