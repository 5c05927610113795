// SPDX-License-Identifier: Apache-2.0
// Learned rows: see learned_rows.h.
#include "src/sluiced/learned_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::daemon {

const char* source_text(LearnedSource source, const char* data) noexcept {
    switch (source) {
        case LearnedSource::kArp: return "arp";
        case LearnedSource::kNd: return "nd";
        case LearnedSource::kDhcp: return "dhcp";
        case LearnedSource::kIgmp: return "igmp";
        case LearnedSource::kMld: return "mld";
        case LearnedSource::kData: break;
    }
    return data;
}

const datapath::Domain* domain_of(const datapath::Snapshot& snapshot, DomainId id) noexcept {
    const auto& domains = snapshot.domains;
    const auto at = std::find_if(domains.begin(), domains.end(),
                                 [id](const datapath::Domain& each) { return each.id == id; });
    return at == domains.end() ? nullptr : &*at;
}

void set_network(nlohmann::json& row, const datapath::Domain& domain) {
    const bool has_vni = domain.vni != 0;
    row["switch"] = domain.switch_name;
    row["vlan"] = has_vni ? nlohmann::json() : nlohmann::json(domain.vlan);
    row["vni"] = has_vni ? nlohmann::json(domain.vni) : nlohmann::json();
}

Result<PortIndex> find_port(const host::PortRegistry& ports, const datapath::Snapshot& snapshot,
                            const std::string& name) {
    const PortIndex index = ports.find(name);
    if (index == kNoPort || snapshot.port(index) == nullptr) {
        return Error{Errc::kNotFound, "port " + name + " does not exist", "port " + name};
    }
    return index;
}

}  // namespace sluice::daemon
