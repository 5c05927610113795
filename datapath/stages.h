// SPDX-License-Identifier: Apache-2.0
// The stages of a frame's way, in order; each is one file of the same name.
// docs/life-of-a-packet.md walks through them. All run on the worker that polls the ingress port.
// No allocation, no system call, no log, no exception.
#pragma once

#include <optional>
#include <span>

#include "datapath/context.h"

namespace sluice::datapath {

// ingress.cc
/// Takes a burst from a port to its end: parse, lookup, first packets, steps, endings. Owns the
/// frames.
void process_burst(WorkerContext& context, PortIndex ingress, std::span<rte_mbuf*> frames) noexcept;

// domain.cc
/// Index of the layer-2 domain that a frame of `key` enters by `port`; kNoDomain if its tag, or the
/// lack of one, is not allowed.
[[nodiscard]] std::uint16_t ingress_domain(const PortConfig& port, const FlowKey& key) noexcept;
/// The VLAN step that turns a frame of `key` into what `egress` sends for `domain`; nullopt if none
/// is needed.
[[nodiscard]] std::optional<Step> egress_vlan_step(const PortConfig& egress, const Domain& domain,
                                                   const FlowKey& key) noexcept;
/// Where a unicast frame goes: the owner of the MAC; if nobody owns it the uplink, unless it came
/// from there.
[[nodiscard]] PortIndex destination_of(const Domain& domain, const FlowKey& key) noexcept;
/// True for 01:80:c2:00:00:00..0f, which no bridge forwards (IEEE 802.1Q §8.6.3).
[[nodiscard]] bool is_reserved_group(const MacAddr& mac) noexcept;

// first_packet.cc
/// Decides a packet that has no program, or a stale one: both chains, switching, connection. Sets
/// packet.flow, cached or not.
void decide_packet(WorkerContext& context, Packet& packet) noexcept;
/// True if `state` still holds under the running snapshot; restamps it if it is only older.
[[nodiscard]] bool still_holds(const WorkerContext& context, const FlowKey& key,
                               FlowState& state) noexcept;
/// Copies what slot 2 needs of a live connection; false if it is gone.
[[nodiscard]] bool view_connection(WorkerContext& context, ConnectionHandle handle,
                                   ConnectionSide side, ConnectionView& view) noexcept;

// fragmented.cc
/// Takes a fragment through the fragment stage and decides it; never cached. Tracks the datagram
/// when it is whole.
/// @return kNone if packet.flow says how the frame ends.
[[nodiscard]] DropReason resolve_fragment(WorkerContext& context, Packet& packet) noexcept;

// steps.cc
/// Runs the VLAN steps of a program on a frame that nobody shares. False: no room (the frame must
/// be dropped).
[[nodiscard]] bool run_vlan_steps(rte_mbuf& frame, const Program& program) noexcept;

// reject.cc
/// Tells the sender of `packet`, which a rule rejects, within kRejectPerPortPps of its vNIC; says
/// nothing to errors, groups, later fragments and impossible senders. The packet stays the
/// caller's.
void answer_rejected(WorkerContext& context, const Packet& packet) noexcept;

// bindings.cc
/// Remembers what an inspected frame of `key` claimed, within the limits of its vNIC.
void learn_claims(WorkerContext& context, const FlowKey& key, DomainId domain,
                  const BindingClaims& claims) noexcept;
/// A flow of `key` carried a packet at `used_ms`: its source address is in use.
void keep_binding(WorkerContext& context, const FlowKey& key, std::uint32_t used_ms) noexcept;

// inspect.cc
/// Whether a frame of that kind may change what later frames of its burst are judged by: then its
/// source judges it in order of arrival.
[[nodiscard]] constexpr bool teaches(InspectKind kind) noexcept {
    return kind == InspectKind::kArp || kind == InspectKind::kNd;
}
/// Takes a frame that is a conversation with the switch through the source's chain, and learns from
/// it. False: dropped.
[[nodiscard]] bool inspect_source(WorkerContext& context, Packet& packet) noexcept;
/// Takes it from there to its end. Owns the frame.
void inspect_packet(WorkerContext& context, Packet& packet) noexcept;

// replicate.cc
/// Sends copies to every member of the program's domain but the ingress (kReplicate), or to its
/// promiscuous ones (kMirrored, `except` left out too). The original stays the caller's. Returns
/// how many members there were.
std::size_t replicate(WorkerContext& context, const Packet& packet, const Program& program,
                      PortIndex except) noexcept;

// output.cc
/// Sends a frame by `egress` at the end of the poll, by way of its worker.
void output(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept;
/// Frees and counts. The one way to drop.
void drop(WorkerContext& context, rte_mbuf* frame, DropReason reason) noexcept;
/// Frees a frame that reached its end inside the switch.
void consume(WorkerContext& context, rte_mbuf* frame) noexcept;
/// Counts a drop without a frame (a copy that was never made, a broken descriptor).
void count_drop(WorkerContext& context, PortIndex ingress, DropReason reason,
                std::uint64_t count = 1) noexcept;
/// Hands everything buffered to the ports, and to the other workers.
void flush_output(WorkerContext& context) noexcept;
/// Takes frames that other workers handed over.
std::size_t take_handed_over(WorkerContext& context) noexcept;

// account.cc
/// Adds what a program carried to the figures of its slots, rules and connection.
void account(WorkerContext& context, PortIndex ingress, const Program& program, RuleId rule_from,
             RuleId rule_to, std::uint64_t packets, std::uint64_t bytes) noexcept;
/// The same for what entry `index` of the flow table carried since the last time.
void fold(WorkerContext& context, std::uint32_t index) noexcept;
/// One packet that a slot dropped, or let through, outside of any program.
void count_slots(WorkerContext& context, PortIndex port, Direction direction, std::uint16_t slots,
                 std::uint64_t packets) noexcept;
void count_slot_drop(WorkerContext& context, PortIndex port, Direction direction,
                     std::uint8_t slot) noexcept;

}  // namespace sluice::datapath
