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
#include <vector>

#include "datapath/fragment.h"
#include "datapath/port.h"
#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/address_table.h"
#include "sluice/iochain/chain.h"
#include "sluice/iochain/policy_difference.h"
#include "sluice/net/address.h"

namespace sluice::datapath {

/// Static MAC table of a domain: sorted, searched by first packets only.
class MacTable {
public:
    struct Row {
        MacAddr mac;
        PortIndex port;
    };
    MacTable() = default;
    explicit MacTable(std::vector<Row> rows) : rows_(std::move(rows)) {
        std::sort(rows_.begin(), rows_.end(),
                  [](const Row& a, const Row& b) { return a.mac < b.mac; });
    }
    /// Port that owns `mac`, kNoPort if none.
    [[nodiscard]] PortIndex find(const MacAddr& mac) const noexcept {
        const auto at =
            std::lower_bound(rows_.begin(), rows_.end(), mac,
                             [](const Row& row, const MacAddr& m) { return row.mac < m; });
        return at != rows_.end() && at->mac == mac ? at->port : kNoPort;
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

/// One layer-2 domain: a switch and a VLAN.
struct Domain {
    DomainId id;  ///< For the life of the process; connections are keyed by it.
    std::string switch_name;
    std::uint16_t vlan = 0;   ///< 0 = untagged.
    std::uint32_t epoch = 0;  ///< See above.
    MacTable macs;
    AddressTable owners;                 ///< Who has which address, by the document.
    std::vector<PortIndex> members;      ///< In document order.
    std::vector<PortIndex> promiscuous;  ///< Members that receive every frame.
    std::vector<PortIndex> flood;        ///< Members that receive unknown unicast: these, and
                                         ///< learning ones that ask for it.
    std::vector<PortIndex> learners;     ///< Ports that teach MACs, disabled ones included.
    PortIndex uplink = kNoPort;          ///< Where the rest of the domain is; not in `members`.
    DomainMulticast multicast;

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
    bool is_uplink = false;          ///< To the fabric: nothing is learned from it.
    bool arp_suppression = false;    ///< ARP and ND questions of it are answered, if that is known.
    bool lists_refused = false;      ///< SpoofGuard manual: what is refused waits for a word on it.
    bool may_advertise = false;      ///< The RA guard is off: it may be a router.
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
