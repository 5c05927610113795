// SPDX-License-Identifier: Apache-2.0
// Networks of a port in its document: "vlan" (0: untagged) or "vni" names one of its domains, on
// every host the same. Control thread.
#pragma once

#include <string>

#include "admin/params.h"
#include "src/sluiced/port_document.h"

namespace sluice::daemon {

/// The longest that a row of a document may last.
inline constexpr std::uint64_t kExpiresMsMax = 30ULL * 86400U * 1000U;

/// The first domain of the port that meets `condition`; nullptr if none does.
template <typename Condition>
[[nodiscard]] const datapath::Domain* find_network(const PortPlace& place, Condition&& condition) {
    for (const datapath::Domain* domain : place.domains()) {
        if (condition(*domain)) { return domain; }
    }
    return nullptr;
}

inline void set_port_network(nlohmann::json& row, const datapath::Domain& domain) {
    if (domain.vni != 0) {
        row["vni"] = domain.vni;
    } else {
        row["vlan"] = domain.vlan;
    }
}

/// @return kInvalid if the port is not in it here
[[nodiscard]] inline Result<const datapath::Domain*> read_network(const PortPlace& place,
                                                                  admin::ParamReader& read) {
    const std::uint64_t vni = read.count("vni", 0);
    const std::uint64_t vlan = read.count("vlan", 0);
    const datapath::Domain* domain = find_network(place, [&](const datapath::Domain& each) {
        return vni != 0 ? each.vni == vni : each.vni == 0 && each.vlan == vlan;
    });
    if (domain != nullptr) { return domain; }
    return Error{Errc::kInvalid,
                 "the port is not in " +
                     (vni != 0 ? "VNI " + std::to_string(vni) : "VLAN " + std::to_string(vlan)) +
                     " here",
                 ""};
}

}  // namespace sluice::daemon
