// SPDX-License-Identifier: Apache-2.0
// ServicePaths: see service_paths.h.
#include "datapath/service_paths.h"

#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

// Each switch with VTEPs has a domain of its own for the VNI.
std::uint16_t path_domain(const Snapshot& snapshot, std::uint32_t vni,
                          const std::string& switch_name) noexcept {
    const auto at =
        std::find_if(snapshot.domains.begin(), snapshot.domains.end(), [&](const Domain& domain) {
            return domain.is_service_path && domain.vni == vni && domain.switch_name == switch_name;
        });
    return at == snapshot.domains.end() ? kNoDomain
                                        : static_cast<std::uint16_t>(at - snapshot.domains.begin());
}

ServiceWay find_way(const WorkerContext& context, std::uint32_t vni,
                    const std::string& switch_name) noexcept {
    const std::uint16_t domain = path_domain(*context.snapshot, vni, switch_name);
    if (domain == kNoDomain) { return {}; }
    return {way_out(context, domain, kNoPort, FlowKey{}), domain};
}

}  // namespace

void ServicePaths::follow(const Snapshot& snapshot) noexcept {
    generation_ = snapshot.generation;
    count_ = 0;
    const auto& all = snapshot.service_instances;
    for (std::size_t i = 1; i < all.size() && count_ < rows_.size(); ++i) {
        if (all[i].name.empty()) { continue; }
        rows_[count_++] = {all[i].path, static_cast<std::uint16_t>(i)};
    }
    std::sort(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(count_),
              [](const Row& a, const Row& b) { return a.path < b.path; });
}

std::uint16_t ServicePaths::find(const WorkerContext& context, std::uint32_t path,
                                 std::uint32_t vni) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    if (generation_ != snapshot.generation) { follow(snapshot); }
    const auto end = rows_.begin() + static_cast<std::ptrdiff_t>(count_);
    auto at = std::lower_bound(rows_.begin(), end, path,
                               [](const Row& row, std::uint32_t p) { return row.path < p; });
    for (; at != end && at->path == path; ++at) {
        if (snapshot.service_instances[at->instance].vni == vni) { return at->instance; }
    }
    return kNoService;
}

// Which VTEPs work is in the stamp.
ServiceWay ServicePaths::way(const WorkerContext& context, std::uint16_t instance,
                             std::uint16_t remote) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    Way& way = ways_[instance];
    const std::string& switch_name = snapshot.remotes[remote].switch_name;
    if (way.stamp != context.stamp || *way.switch_name != switch_name) {
        way.to = find_way(context, snapshot.service_instances[instance].vni, switch_name);
        way.switch_name = &switch_name;
        way.stamp = context.stamp;
    }
    return way.to;
}

}  // namespace sluice::datapath
