// SPDX-License-Identifier: Apache-2.0
// Multicast: snooping of IGMP and MLD (RFC 4541). Reports and queries pass through inspect(), which
// hands them here; replicate() asks which ports a group goes to. The answer is kept in the worker
// until something is learned or applied. Timers are rows of the LearnedTable that expire.
//
//   state of a domain     groups go to
//   no querier heard      every member (no snooping, as without this file)
//   querier, or our own   members that reported it, router ports, promiscuous ports, the uplink;
//                         a group that nobody reported: everybody, or without flood_unregistered
//                         router ports, promiscuous ports and the uplink
//   224.0.0.0/24, ff02::1, solicited nodes, and what is no IP multicast: every member
#pragma once

#include <array>
#include <bitset>
#include <cstdint>

#include "sluice/base/limits.h"
#include "sluice/iochain/frame.h"
#include "sluice/net/address.h"

struct rte_mbuf;

namespace sluice::datapath {

struct WorkerContext;
struct PortConfig;
struct Packet;

/// Ports that a group goes to, as they were at `stamp`.
struct GroupPorts {
    std::uint64_t stamp = 0;  ///< WorkerContext::stamp; never 0 once filled.
    std::uint16_t domain = 0;
    bool everybody = false;
    MacAddr group;
    std::bitset<kPortMax> ports;
};
using GroupCache = std::array<GroupPorts, kGroupCacheSize>;

/// Ports of the domain that want frames to the group MAC. Valid until the next call.
[[nodiscard]] const GroupPorts& group_ports(WorkerContext& context, std::uint16_t domain,
                                            const MacAddr& group) noexcept;

/// What becomes of a membership frame.
enum class SnoopResult : std::uint8_t {
    kForward,    ///< Like any frame to its group.
    kToRouters,  ///< To router ports, promiscuous ports and the uplink only (RFC 4541 §2.1.1).
    kMalformed,  ///< To be dropped.
};

/// Learns from an IGMP or MLD frame that slot 1 let pass.
[[nodiscard]] SnoopResult snoop(WorkerContext& context, const Packet& packet, const PortConfig& in,
                                std::uint16_t domain) noexcept;

/// Router ports, promiscuous ports and the uplink of a domain. Valid until the next call.
[[nodiscard]] const GroupPorts& router_ports(WorkerContext& context, std::uint16_t domain) noexcept;

}  // namespace sluice::datapath
