// SPDX-License-Identifier: Apache-2.0
// WorkerContext: all that one worker owns, and what it borrows for the running poll. The stages
// (ingress, first_packet, steps, inspect, replicate, output) are functions over it, one a file.
// Thread: its worker only, counters excepted.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "datapath/capture.h"
#include "datapath/events.h"
#include "datapath/fair_share.h"
#include "datapath/flow_table.h"
#include "datapath/fragment.h"
#include "datapath/handover.h"
#include "datapath/large_frame.h"
#include "datapath/multicast.h"
#include "datapath/neighbours.h"
#include "datapath/reach.h"
#include "datapath/rewrite_table.h"
#include "datapath/service_health.h"
#include "datapath/service_networks.h"
#include "datapath/service_paths.h"
#include "datapath/service_states.h"
#include "datapath/snapshot.h"
#include "datapath/tunnel_membership.h"
#include "datapath/tunnel_table.h"
#include "datapath/vtep_peers.h"
#include "sluice/iochain/learned_table.h"
#include "sluice/iochain/service_pins.h"
#include "sluice/telemetry/counters.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::datapath {

class SecurityAssociations;  // security_associations.h

/// Frames that wait for the end of the poll to leave by one port.
struct TxBuffer {
    std::uint16_t count = 0;
    bool is_listed = false;  ///< In WorkerContext::tx_dirty.
    std::array<rte_mbuf*, kBurstMax> frames;
};

/// What few packets of a burst need: those that are decided and not cached, and fragments.
struct PacketAside {
    FlowState state;                ///< Program of a packet that is not cached.
    RuleId rule_from, rule_to;      ///< Of `state`.
    PortIndex sender = kNoPort;     ///< Of `state`, as FlowCold has it.
    AclTrail acl;                   ///< Of `state`; of an inspected frame, of its last vNIC.
    FragmentResult fragment;        ///< Of a fragment.
    TupleOfFrame tuple;             ///< Of a flow that foresee() has seen, prepared.
    Judgement judgement;            ///< Of the same: what slot 2 has looked up.
    std::uint64_t foreseen_in = 0;  ///< WorkerContext::burst_number of that.
};

/// A frame on its way through one burst. Three cache lines.
struct Packet {
    ParsedFrame frame;
    rte_mbuf* mbuf = nullptr;
    std::uint64_t hash = 0;
    FlowState* flow = nullptr;  ///< Its program: in the table, in `aside`, or not known yet.
    PacketAside* aside = nullptr;
    std::uint32_t index = kNoFlow;  ///< Flow-table entry, also while it is stale.
    bool is_related = false;        ///< ICMP error that quotes a live connection.
};
static_assert(sizeof(Packet) == 192);

/// Where the last frame of the running burst went by a port of this worker: mostly the next one
/// goes there too.
struct LastOutput {
    PortIndex port = kNoPort;
    TxBuffer* buffer = nullptr;
};

/// What a worker is made with.
struct WorkerOptions {
    unsigned index = 0;
    unsigned worker_count = 1;
    rte_mempool* pool = nullptr;
    ConnectionTable* connections = nullptr;
    LearnedTable* learned = nullptr;
    const LearnedTable* fleet = nullptr;  ///< What controllers told.
    Reach* reach = nullptr;
    ServicePinTable* pins = nullptr;
    ServiceStates* services = nullptr;
    ServiceNetworks* service_networks = nullptr;
    SecurityAssociations* associations = nullptr;
    std::uint32_t flow_capacity = kFlowTableDefault;
    bool flow_cache = true;          ///< False: every packet walks both chains (--no-flow-cache).
    std::uint64_t seed = 0;          ///< Of the flow table's hash.
    std::uint64_t share_cycles = 0;  ///< Window of FairShare; 0 = nobody is bounded.
    std::uint64_t (*cycles)() noexcept = nullptr;  ///< The cycle counter; null: the TSC. Of tests.
};

struct WorkerContext {
    explicit WorkerContext(const WorkerOptions& options);

    const WorkerOptions options;
    FlowTable flows;
    FragmentTable fragments;
    RewriteTable rewrites;
    NeighbourQueue neighbours;
    TunnelTable tunnels;
    TunnelMemberships memberships;
    VtepPeers vtep_peers;
    ConnectionTable& connections;
    LearnedTable& learned;
    const LearnedTable& fleet;  // control: rw, worker: ro
    Reach& reach;
    ServicePinTable& pins;
    ServiceStates& services;
    ServiceNetworks& service_networks;
    ServicePaths service_paths;
    ServiceHealth service_health;
    SecurityAssociations& associations;
    std::vector<ServiceCounters> service_counters;  // worker: rw, control: ro; by instance
    const Snapshot* snapshot = nullptr;             ///< Of the running poll.
    std::uint64_t stamp = 0;   ///< (generation, learned.epoch()): what programs hold at.
    std::uint64_t now_ns = 0;  ///< Of the running poll.
    std::uint32_t now_ms = 0;
    CaptureState capture;  ///< Of the running poll.

    /// Takes in what was learned: programs that are older are looked at again from here on. After
    /// whatever may have learned something.
    void refresh_stamp() noexcept {
        stamp = std::uint64_t{learned.epoch()} << 32U | snapshot->generation;
    }

    WorkerCounters counters;          // worker: rw, control: ro
    std::vector<PortCounters> ports;  // worker: rw, control: ro; by PortIndex
    LazyMemory rule_memory;
    RuleCounters* rules;                   // worker: rw, control: ro; by rule_slot()
    std::vector<ChainState> chains;        // by PortIndex
    std::vector<LearnedKey> changed_macs;  // by PortIndex: the row of a vNIC that changed its MAC
    EventRing<FirewallEvent> firewall_events;  // worker: w, control: r

    GroupCache groups;   // Ports that groups go to.
    GroupPorts routers;  // Of the last call of router_ports().

    std::array<Packet, kBurstMax> burst;       // Of the running burst.
    std::array<PacketAside, kBurstMax> aside;  // Of the same packets.
    std::uint64_t burst_number = 0;
    std::uint32_t slow_count = 0;  ///< Frames of the last burst that no cached program carried.
    FairShare share;
    std::vector<Counter> held_rounds;  ///< worker: rw, control: ro; by PortIndex: passed over in.
    LastOutput last_output;
    LargeFrames large;
    std::vector<TxBuffer> tx;                 // by PortIndex
    std::vector<PortIndex> tx_dirty;          // Ports with frames in `tx`.
    std::vector<TxBuffer> handover;           // by worker
    std::vector<HandoverQueue*> to_worker;    // by worker; null: this one
    std::vector<HandoverQueue*> from_worker;  // by worker; null: this one
};

}  // namespace sluice::datapath
