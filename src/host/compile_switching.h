// SPDX-License-Identifier: Apache-2.0
// Compile switching: the layer-2 domains of a snapshot, who is in them, and what changed of them.
// Runs on the compile helper thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sluice/model/segment.h"
#include "src/host/compile_ports.h"

namespace sluice::host {

/// Builds the domains, in this order: ports and routers enter them, bindings are put in, then the
/// fabric joins what there is, finish() ends it.
class Switching {
public:
    explicit Switching(const Compilation& compilation) : compilation_(compilation) {}

    /// Puts a vNIC's port into its domains. False if there are too many.
    [[nodiscard]] bool join(PortIndex index, const model::Port& port,
                            const model::PortGroup& group);

    /// Untagged frames of a service's leg are of `group`'s domain, if it has one (nullptr: none, a
    /// trunk: neither); it is no member of it. False if there are too many domains.
    [[nodiscard]] bool hear(PortIndex leg, const model::PortGroup* group);

    /// Index of the domain of a group that is no trunk, a new one if nobody has entered it.
    /// kNoDomain if there are too many.
    [[nodiscard]] std::uint16_t open(const model::PortGroup& group);

    /// Index of the network `vni` by which hosts hand each other frames for services, a new one if
    /// nobody has opened it. kNoDomain if there are too many.
    [[nodiscard]] std::uint16_t open_path(const model::Switch& on, std::uint32_t vni);

    /// Who gets what a group with head_end or service_node floods; indices into Snapshot::remotes.
    void flood_to(const model::PortGroup& group, std::vector<std::uint16_t> remotes);

    /// Puts a binding of the document into its domain, if somebody has entered that.
    /// @param remote  VTEP behind which it is, as in Snapshot::remotes; 0 = none
    void bind(const model::Binding& binding, const model::PortGroup& group, std::uint16_t remote);

    /// Makes an uplink a way out of every VLAN of its switch: a trunk, with the untagged domain,
    /// too.
    void join_uplink(PortIndex index, const std::string& switch_name);

    /// Makes a VTEP a way out of every VNI of its switch.
    /// @param vtep  index into Snapshot::vteps
    void join_vtep(PortIndex index, std::uint16_t vtep, const std::string& switch_name);

    /// Gives the domains their MACs, owners of addresses and epochs. Returns what describes the
    /// changed ones of those domains that keep their epoch.
    /// @param is_changed_router  by index into Snapshot::routers: more than its routes changed
    [[nodiscard]] std::vector<datapath::DomainDifference> finish(
        const std::vector<bool>& is_changed_router);

private:
    using Key = std::pair<std::string, model::Segment>;

    /// What a port receives beside its own frames.
    struct Hearing {
        bool is_promiscuous = false;
        bool takes_unknown = false;
    };

    [[nodiscard]] std::uint16_t open(const model::Switch& on, const model::Segment& segment,
                                     const model::PortGroup* group);
    [[nodiscard]] bool enter(PortIndex index, std::uint16_t domain, const Hearing& hearing);
    [[nodiscard]] bool join_trunk(PortIndex index, const model::Vlan& vlan,
                                  const model::PortGroup& group, const Hearing& hearing);
    [[nodiscard]] bool is_alike(const datapath::Domain& domain, const datapath::Domain& old,
                                const std::vector<bool>& is_changed_router) const;

    const Compilation& compilation_;
    std::map<Key, std::uint16_t> by_key_;
    std::vector<std::vector<datapath::MacTable::Row>> macs_;
    std::vector<std::vector<AddressOwner>> owners_;
    const model::PortGroup* last_group_ = nullptr;  // Whose domain bind() found last.
    std::uint16_t last_domain_ = datapath::kNoDomain;
};

}  // namespace sluice::host
