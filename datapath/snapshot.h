// SPDX-License-Identifier: Apache-2.0
// Snapshot: everything that workers need of the configuration, immutable, published by one pointer
// and reclaimed when every worker has passed a quiescent state (rte_rcu_qsbr). Built on the control
// thread by src/host/compile. Epochs: `generation` grows with every snapshot; policy_epoch and
// Domain::epoch say at which generation that part last changed in a way that nothing describes.
// What changed in rules, static MACs and owners of addresses is described by the `differences`
// since then. A program that is older than the snapshot, but not than its parts, and that no newer
// difference concerns, still holds and is restamped (revalidate.cc).
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datapath/fragment.h"
#include "datapath/port.h"
#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/address_table.h"
#include "sluice/iochain/chain.h"
#include "sluice/iochain/policy_difference.h"
#include "sluice/model/encryption.h"
#include "sluice/model/port_group.h"
#include "sluice/model/service_chain.h"
#include "sluice/net/address.h"

namespace sluice::datapath {

/// Static MAC table of a domain: sorted, searched by first packets only.
class MacTable {
public:
    struct Row {
        MacAddr mac;
        PortIndex port;            ///< kNoPort: behind `remote`.
        std::uint16_t remote = 0;  ///< Index into Snapshot::remotes.
    };
    MacTable() = default;
    explicit MacTable(std::vector<Row> rows) : rows_(std::move(rows)) {
        std::sort(rows_.begin(), rows_.end(),
                  [](const Row& a, const Row& b) { return a.mac < b.mac; });
    }
    /// Row of `mac`, nullptr if none.
    [[nodiscard]] const Row* row(const MacAddr& mac) const noexcept {
        const auto at =
            std::lower_bound(rows_.begin(), rows_.end(), mac,
                             [](const Row& row, const MacAddr& m) { return row.mac < m; });
        return at != rows_.end() && at->mac == mac ? &*at : nullptr;
    }
    /// Port of this host that owns `mac`, kNoPort if none.
    [[nodiscard]] PortIndex find(const MacAddr& mac) const noexcept {
        const Row* found = row(mac);
        return found != nullptr ? found->port : kNoPort;
    }
    [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }

private:
    std::vector<Row> rows_;
};

/// Multicast of a domain.
struct DomainMulticast {
    bool snooping = true;
    bool flood_unregistered = true;
    std::uint32_t querier_interval_s = 0;  ///< Our own querier's; 0 = none.
    MacAddr querier_mac;                   ///< From which it asks.
    bool operator==(const DomainMulticast&) const = default;
};

inline constexpr std::uint16_t kNoTeam = 0xffff;
inline constexpr std::uint16_t kNoService = 0;  ///< Instance and rule indices begin at 1.
inline constexpr std::uint16_t kNoVtep = 0xffff;
inline constexpr std::uint16_t kNoRouter = 0xffff;

/// How the uplinks of a switch are shared out (teaming.cc).
struct Team {
    model::TeamingPolicy policy = model::TeamingPolicy::kPortId;
    bool is_lag = false;             ///< The fabric sees one link: nothing comes twice.
    std::vector<PortIndex> active;   ///< In order.
    std::vector<PortIndex> standby;  ///< In order.

    bool operator==(const Team&) const = default;
};

/// A VTEP of this host (RFC 7348).
struct VtepConfig {
    PortIndex port;    ///< Its own: decapsulated frames enter, frames for tunnels leave by it.
    PortIndex uplink;  ///< Polled by the same worker.
    std::string switch_name;
    DomainId underlay;  ///< Where its neighbours are learned (LearnedKind::kNeighbour).
    MacAddr mac;
    IpAddr ip;
    std::uint8_t prefix_length = 0;
    std::optional<IpAddr> gateway;
    std::uint16_t vlan = 0;  ///< 0 = untagged.
    std::uint16_t mtu = 0;   ///< Bytes of layer 3 of the underlay.
    std::uint16_t udp_port = 0;
    std::uint32_t bfd_interval_ms = 0;  ///< 0 = no BFD.
    std::uint8_t bfd_multiplier = 0;

    bool operator==(const VtepConfig&) const = default;
};

/// A VTEP of another host. Its index, from 1 on, keeps its meaning as long as it is configured.
struct RemoteVtep {
    IpAddr ip;                 ///< kNone: a free index.
    std::string switch_name;   ///< The one that has it.
    bool gets_floods = false;  ///< In `remote_vteps`; else only bindings name it.

    bool operator==(const RemoteVtep&) const = default;
};

/// An address of a router's interface.
struct RouterAddress {
    IpAddr ip;
    std::uint8_t prefix_length = 0;

    bool operator==(const RouterAddress&) const = default;
};

struct RouterInterface {
    std::string name;
    DomainId domain;
    std::uint16_t domain_index = 0xffff;
    std::vector<RouterAddress> addresses;
    std::vector<IpAddr> dhcp_relay;
};

/// An instance of a service. Its index keeps its meaning as long as the name is configured.
struct ServiceInstanceConfig {
    std::string name;         ///< Empty: a free index.
    PortIndex in = kNoPort;   ///< Leg for what leaves a VM; kNoPort: not on this host.
    PortIndex out = kNoPort;  ///< The other leg, or `in` again.
    model::Encapsulation encapsulation = model::Encapsulation::kPlain;
    std::uint16_t remote = 0;  ///< Elsewhere: index into Snapshot::remotes.
    std::uint32_t vni = 0;     ///< By which hosts hand it frames; 0 = not reached from elsewhere.
    std::uint32_t path = 0;    ///< NSH service path identifier.
    std::uint16_t module = 0;  ///< In-process: index into Snapshot::service_modules, from 1 on.
    bool takes_new = true;     ///< Some rule gives it a weight: else it is draining.

    bool operator==(const ServiceInstanceConfig&) const = default;
};

/// A rule that redirects. Its index keeps its meaning as long as it is configured.
struct ServiceRuleConfig {
    std::string name;  ///< "CHAIN/RULE"; empty: a free index.
    RuleId id;         ///< Of its counters.
    std::uint8_t slot = 0;
    model::OnFailure on_failure = model::OnFailure::kOpen;
    struct Choice {
        std::uint16_t instance = 0;
        std::uint32_t weight = 0;  ///< 0 = draining.
        bool operator==(const Choice&) const = default;
    };
    std::vector<Choice> instances;

    bool operator==(const ServiceRuleConfig&) const = default;
};

/// A key policy, by its number.
struct KeyPolicyConfig {
    std::string name;  ///< Empty: no such policy.
    model::KeyAlgorithm algorithm = model::KeyAlgorithm::kAes128Gcm;

    bool operator==(const KeyPolicyConfig&) const = default;
};

class ServiceModule;  // service_module.h
class RemoteIndex;    // remote_index.h
class RouteTable;     // route_table.h

/// A distributed router.
struct RouterConfig {
    std::string name;
    MacAddr vmac;  ///< Towards vNICs.
    MacAddr pmac;  ///< Towards the fabric and through tunnels: this host's.
    std::vector<RouterInterface> interfaces;
    std::shared_ptr<const RouteTable> routes;  ///< Connected ones included.
    std::uint32_t epoch = 0;                   ///< Generation of the last change of anything of it.
};

/// One layer-2 domain: a switch and a VLAN, or a VNI.
struct Domain {
    DomainId id;  ///< For the life of the process.
    /// What connections are found by: shared by all domains that routers join.
    DomainId tracking;
    std::string switch_name;
    std::uint16_t vlan = 0;            ///< 0 = untagged.
    std::uint32_t vni = 0;             ///< 0 = VLAN-backed.
    std::uint16_t router = kNoRouter;  ///< Index into Snapshot::routers.
    std::uint16_t interface = 0;       ///< Of that router.
    std::uint16_t team = kNoTeam;      ///< Of ports without one of their own; kNoTeam: no uplink.
    std::vector<std::uint16_t> vteps;  ///< Of a VNI: indices into Snapshot::vteps, in order.
    model::Replication replication = model::Replication::kUnicast;
    IpAddr multicast_group;                    ///< kNone: none.
    std::vector<std::uint16_t> flood_remotes;  ///< Of head_end and service_node, into
                                               ///< Snapshot::remotes.
    std::uint32_t epoch = 0;                   ///< See above.
    MacTable macs;
    AddressTable owners;                 ///< Who has which address, by the document.
    std::vector<PortIndex> members;      ///< In document order.
    std::vector<PortIndex> promiscuous;  ///< Members that receive every frame.
    std::vector<PortIndex> flood;        ///< Members that receive unknown unicast: these, and
                                         ///< learning ones that ask for it.
    std::vector<PortIndex> learners;     ///< Ports that teach MACs, disabled ones included.
    std::vector<PortIndex> fabric;       ///< Its uplinks, or its VTEPs' ports: where the rest of
                                         ///< the domain is; not in `members`.
    DomainMulticast multicast;
    std::uint16_t service_vid = 0;  ///< Tag of its frames on service legs; 0: no rule redirects.
    bool is_service_path = false;   ///< No tenants' network: hosts hand frames to services by it.

    /// Who has `ip` here by the document: before all that was learned. nullptr: it does not say.
    [[nodiscard]] const AddressOwner* owner(const IpAddr& ip) const noexcept {
        return owners.find(ip);
    }
};

/// MACs and addresses of a domain that came, went or moved.
struct DomainDifference {
    DomainId domain;
    std::vector<std::uint64_t> macs;  ///< MacAddr::number(), ascending.
    std::vector<IpAddr> addresses;    ///< Ascending.
};

/// What one snapshot changed of the one before, as far as flows can be told apart by it.
struct Difference {
    std::uint32_t generation = 0;                    ///< Of the snapshot that brought it.
    std::unique_ptr<const PolicyDifference> policy;  ///< Null: no rules.
    std::vector<DomainDifference> domains;           ///< By ascending id.
};

inline constexpr std::uint16_t kNoDomain = 0xffff;

/// How a port speaks 802.1Q.
struct PortVlan {
    bool is_trunk = false;
    std::uint16_t untagged_domain = kNoDomain;  ///< Index of the domain of untagged frames.
    /// Domain index by VID for a trunk, shared by trunks with the same ranges; null otherwise.
    std::shared_ptr<const std::array<std::uint16_t, 4096>> tagged_domains;
    /// Of a VTEP's port: (VNI, domain index), ascending.
    std::shared_ptr<const std::vector<std::pair<std::uint32_t, std::uint16_t>>> vnis;
};

/// What a port may teach of the MACs behind it.
struct PortLearning {
    bool learns = false;   ///< mac_learning: all of them, up to `limit`.
    bool follows = false;  ///< mac_changes without mac_learning: the newest one.
    std::uint32_t limit = 0;
    std::uint64_t age_ns = 0;  ///< 0 = never forgotten.
    [[nodiscard]] bool is_on() const noexcept { return learns || follows; }
};

/// Which addresses that a vNIC is seen to use are remembered.
struct PortBindings {
    std::uint32_t limit_v4 = 0;  ///< 0 = none.
    std::uint32_t limit_v6 = 0;
    std::uint64_t age_ns = 0;  ///< Idle time until one is forgotten; 0 = never.
};

/// One port as workers see it.
struct PortConfig {
    bool is_enabled = true;
    std::string name;
    std::string port_group;
    MacAddr mac;
    std::vector<IpAddr> ips;
    unsigned worker = 0;  ///< Index of the worker that polls it.
    std::uint32_t frame_size_max =
        0;                           ///< Bytes without tag; larger only as a segmentation request.
    std::uint32_t flow_quota = 0;    ///< 0 = none.
    bool has_group_limits = false;   ///< broadcast_pps or multicast_pps is set.
    std::string shape;               ///< Digest of switching settings: equal shapes switch alike.
    std::uint32_t policy_epoch = 0;  ///< See above; what else a port is counts as policy, too.
    bool is_uplink = false;          ///< To the fabric, an uplink or a VTEP: no vNIC.
    std::uint16_t vtep = kNoVtep;    ///< Of a VTEP's port: index into Snapshot::vteps.
    bool has_vteps = false;          ///< Of an uplink: some VTEP is there.
    std::uint16_t team = kNoTeam;    ///< Of its port group, in place of the domain's.
    std::uint16_t leg_of = kNoService;  ///< Of a service's leg: the instance. Its `vlan` is a trunk
                                        ///< of the service VIDs.
    bool arp_suppression = false;  ///< ARP and ND questions of it are answered, if that is known.
    bool lists_refused = false;    ///< SpoofGuard manual: what is refused waits for a word on it.
    bool may_advertise = false;    ///< The RA guard is off: it may be a router.
    PortLearning learning;
    PortBindings bindings;
    PortVlan vlan;
    std::shared_ptr<const ChainProgram> chain;
    std::shared_ptr<Port> device;
};

struct Snapshot {
    std::uint32_t generation = 0;   ///< Of snapshots; not the document's.
    bool reads_dscp = false;        ///< Some vNIC's policy reads DSCP; else keys carry none.
    bool follows_bindings = false;  ///< Some rule names what follows learned addresses.
    std::vector<std::optional<PortConfig>> ports;  ///< By PortIndex.
    std::vector<Domain> domains;
    std::vector<Team> teams;
    std::vector<VtepConfig> vteps;
    std::vector<RemoteVtep> remotes;                  ///< [0] is nobody.
    std::shared_ptr<const RemoteIndex> remote_index;  ///< Over `remotes`; null: nobody is known.
    std::vector<RouterConfig> routers;
    std::vector<ServiceInstanceConfig> service_instances;         ///< [0] is nobody.
    std::vector<ServiceRuleConfig> service_rules;                 ///< [0] is none.
    std::vector<std::shared_ptr<ServiceModule>> service_modules;  ///< [0] is none.
    std::vector<KeyPolicyConfig> key_policies;  ///< By number, kKeyPolicyMax + 1; empty: none.
    std::vector<std::vector<PortIndex>> worker_ports;  ///< Ports that each worker polls.
    /// The newest last; at most kDifferenceMax. What is older is in the epochs.
    std::vector<std::shared_ptr<const Difference>> differences;
    std::shared_ptr<const PolicyImage> policy;  ///< For the next compilation; workers don't look.
    ConnectionTimeouts timeouts{};
    ConnectionLimits limits{};
    FragmentTimeouts fragment_timeouts;

    [[nodiscard]] const PortConfig* port(PortIndex index) const noexcept {
        return index.value < ports.size() && ports[index.value] ? &*ports[index.value] : nullptr;
    }
};

}  // namespace sluice::datapath
