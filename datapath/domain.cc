// SPDX-License-Identifier: Apache-2.0
// Domain: which layer-2 domain a frame enters, and how a port of it is tagged. First packets and
// inspected frames only.
#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {

std::uint16_t domain_of_vni(const PortConfig& port, std::uint32_t vni) noexcept {
    const PortVlan& vlan = port.vlan;
    if (!vlan.vnis) { return kNoDomain; }
    const auto at = std::lower_bound(vlan.vnis->begin(), vlan.vnis->end(), vni,
                                     [](const std::pair<std::uint32_t, std::uint16_t>& row,
                                        std::uint32_t v) { return row.first < v; });
    return at != vlan.vnis->end() && at->first == vni ? at->second : kNoDomain;
}

std::uint16_t ingress_domain(const PortConfig& port, const FlowKey& key) noexcept {
    if (!key.has(kKeyTagged)) {  // Tagged by a VTEP: a service elsewhere sent it back (nsh.h).
        return port.vtep != kNoVtep ? domain_of_vni(port, key.tunnel >> 8U)
                                    : port.vlan.untagged_domain;
    }
    if (!port.vlan.tagged_domains) {
        return kNoDomain;
    }  // Access and untagged ports take no tag, VID 0 included.
    return (*port.vlan.tagged_domains)[key.vlan & 0xfffU];
}

std::uint16_t egress_vlan_step(const PortConfig& egress, const Domain& domain,
                               const FlowKey& key) noexcept {
    const bool leaves_tagged = egress.vlan.is_trunk && domain.vlan != 0;
    const bool is_tagged = key.has(kKeyTagged);
    if (leaves_tagged && !is_tagged) {
        return static_cast<std::uint16_t>(Steps::kVlanPush | domain.vlan);
    }
    return !leaves_tagged && is_tagged ? Steps::kVlanPop : std::uint16_t{0};
}

bool is_reserved_group(const MacAddr& mac) noexcept {
    const auto& b = mac.bytes;
    return b[0] == 0x01 && b[1] == 0x80 && b[2] == 0xc2 && b[3] == 0 && b[4] == 0 && b[5] <= 0x0f;
}

}  // namespace sluice::datapath
