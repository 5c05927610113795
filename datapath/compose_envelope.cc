// SPDX-License-Identifier: Apache-2.0
// Composer, envelopes: frames of legs and of service paths that hosts and services hand each other
// (nsh.cc). They are nobody's network: no chain, no learning, no switching. Called first of all for
// frames that come by a leg or a VTEP.
#include "datapath/composer.h"
#include "datapath/nsh_header.h"

namespace sluice::datapath {
namespace {

// Untagged by the leg of a service that speaks NSH; or with a tag that no domain here has, out of a
// plain one that other hosts use.
bool is_handed_by_leg(const Snapshot& snapshot, const PortConfig& in, const FlowKey& key,
                      std::uint16_t domain) noexcept {
    const ServiceInstanceConfig& instance = snapshot.service_instances[in.leg_of];
    if (instance.encapsulation == model::Encapsulation::kNsh) {
        return !key.has(kKeyTagged) && key.ethertype.host() == kEtherNsh;
    }
    return key.has(kKeyTagged) && domain == kNoDomain && instance.vni != 0;
}

}  // namespace

// True: it ends that way.
bool Composer::end_service_frame() noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const std::uint16_t index = program.domain;
    if (in.vtep != kNoVtep && key.has(kKeyTagged)) {  // Of no connection that passes the service.
        set_drop(DropReason::kServiceReturn);
        program.flags |= kProgramTransient;
        return true;
    }
    const bool is_path = index != kNoDomain && snapshot.domains[index].is_service_path;
    const bool is_ours = in.vtep != kNoVtep ? is_path : is_handed_by_leg(snapshot, in, key, index);
    if (!is_ours) { return false; }
    program.ending = Ending::kNsh;
    if (is_path && key.ethertype.host() != kEtherNsh) { set_drop(DropReason::kBadNsh); }
    return true;
}

}  // namespace sluice::datapath
