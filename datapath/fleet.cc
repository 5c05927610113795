// SPDX-License-Identifier: Apache-2.0
// Fleet: what controllers tell of MACs and addresses on other hosts, behind the document's and
// before what frames teach: by it frames find their VTEP, questions their answer (suppress.cc), and
// the router its next hops (route.cc) without asking the network. Control writes the table beside
// workers (src/sluiced/fleet_bindings), which look for first packets, inspected frames and programs
// that are looked at again. Empty on a host without a controller: one load.
#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {

bool is_remote_usable(const WorkerContext& context, std::uint16_t index,
                      std::uint16_t remote) noexcept {
    if (remote >= context.snapshot->remotes.size()) { return false; }
    const auto& vteps = context.snapshot->domains[index].vteps;
    return std::any_of(vteps.begin(), vteps.end(),
                       [&](std::uint16_t vtep) { return context.reach.works(vtep, remote); });
}

// A remote VTEP that the newest document has no more is nobody's until control has caught up.
std::uint16_t told_remote(const WorkerContext& context, std::uint16_t index,
                          const MacAddr& mac) noexcept {
    if (context.fleet.size() == 0) { return 0; }
    const Snapshot& snapshot = *context.snapshot;
    const auto row =
        context.fleet.find(LearnedKey::mac(snapshot.domains[index].id, mac), context.now_ns);
    const bool counts = row && is_remote_usable(context, index, row->remote) &&
                        snapshot.remotes[row->remote].ip.family != IpFamily::kNone;
    return counts ? row->remote : std::uint16_t{0};
}

// What the document says of an address comes first, even if that is not its MAC. A MAC of this host
// has moved here since: what is its own, the host knows better.
std::optional<MacAddr> told_mac(const WorkerContext& context, std::uint16_t index,
                                const IpAddr& ip) noexcept {
    if (context.fleet.size() == 0) { return std::nullopt; }
    const Domain& domain = context.snapshot->domains[index];
    if (domain.owner(ip) != nullptr) { return std::nullopt; }
    const auto row = context.fleet.find(LearnedKey::neighbour(domain.id, ip), context.now_ns);
    if (!row || domain.macs.find(row->mac) != kNoPort) { return std::nullopt; }
    return row->mac;
}

}  // namespace sluice::datapath
