// SPDX-License-Identifier: Apache-2.0
// The stages of a frame's way, in order; each is one file of the same name.
// docs/life-of-a-packet.md walks through them. All run on the worker that polls the ingress port.
// No allocation, no system call, no log, no exception.
#pragma once

#include <optional>
#include <span>

#include "datapath/context.h"
#include "sluice/iochain/redirect.h"

namespace sluice::datapath {

// ingress.cc
/// Takes a burst from a port to its end: parse, lookup, first packets, steps, endings. Owns the
/// frames.
void process_burst(WorkerContext& context, PortIndex ingress, std::span<rte_mbuf*> frames) noexcept;

/// Takes a packet that was decided, and tracked, to its ending. Owns the frame.
void finish_packet(WorkerContext& context, Packet& packet) noexcept;

/// Runs a packet's steps and sends it to its program's output. @param is_copied  promiscuous ports,
/// or those that take unknown unicast, get copies first. Owns the frame.
void send_on(WorkerContext& context, Packet& packet, bool is_copied) noexcept;

/// Parses packet.mbuf anew, which was received before and waited; of a tunnelled one, the tunnel is
/// in its TunnelMark. False: its port is gone, or it is no frame of a flow.
[[nodiscard]] bool read_again(WorkerContext& context, Packet& packet) noexcept;
/// Takes such a frame from the lookup to its end. Outside of bursts. Owns the frame.
void run_again(WorkerContext& context, rte_mbuf* frame) noexcept;
/// Takes a frame from parse to its end that a service sent back, out of its envelope (nsh.cc).
/// Within a burst. Owns the frame.
/// @param tunnel  FlowKey::tunnel
void run_returned(WorkerContext& context, rte_mbuf* frame, std::uint32_t tunnel) noexcept;

// domain.cc
/// Index of the layer-2 domain that a frame of `key` enters by `port`; kNoDomain if its tag, or the
/// lack of one, is not allowed.
[[nodiscard]] std::uint16_t ingress_domain(const PortConfig& port, const FlowKey& key) noexcept;
/// Index of the domain of `vni` at a VTEP's port; kNoDomain if it has none.
[[nodiscard]] std::uint16_t domain_of_vni(const PortConfig& port, std::uint32_t vni) noexcept;
/// Steps::vlan that turns a frame of `key` into what `egress` sends for `domain`; 0 if none is
/// needed.
[[nodiscard]] std::uint16_t egress_vlan_step(const PortConfig& egress, const Domain& domain,
                                             const FlowKey& key) noexcept;
/// True for 01:80:c2:00:00:00..0f, which no bridge forwards (IEEE 802.1Q §8.6.3).
[[nodiscard]] bool is_reserved_group(const MacAddr& mac) noexcept;

// account.cc
/// Where a packet's frame entered first: its port, unless a service returned it.
[[nodiscard]] inline PortIndex source_port(WorkerContext& context, const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    if ((program.flags & kProgramReturned) == 0) [[likely]] { return packet.frame.key.port; }
    const bool is_aside = packet.flow == &packet.aside->state;
    return is_aside ? packet.aside->sender : context.flows.cold(packet.index).sender();
}

// first_packet.cc
/// Decides a packet that has no program, or a stale one: both chains, switching, connection. Sets
/// packet.flow, cached or not.
void decide_packet(WorkerContext& context, Packet& packet) noexcept;

// foresee.cc
/// Fetches what a packet will need that has no candidate in the flow table: so that the misses of a
/// burst overlap.
void foresee(WorkerContext& context, Packet& packet) noexcept;
/// The same for what slot 2 of their vNIC will look up, once foresee() has seen the whole burst.
void foresee_rules(WorkerContext& context, std::span<Packet> burst) noexcept;
/// Whether foresee() has seen a packet of the running burst.
[[nodiscard]] inline bool is_foreseen(const WorkerContext& context, const Packet& packet) noexcept {
    return packet.aside->foreseen_in == context.burst_number;
}

// connection_view.cc
/// The key of the packet that opened a connection: addresses, ports and protocol, nothing else.
[[nodiscard]] FlowKey opener_key_of(const Connection& record) noexcept;
/// What slot 2 sees of a connection's record.
/// @param parent_key  what view.parent_key points to, if the connection was announced
void fill_view(WorkerContext& context, const Connection& record, ConnectionSide side,
               FlowKey& parent_key, ConnectionView& view) noexcept;
/// The same of a live connection; false if it is gone.
[[nodiscard]] bool view_connection(WorkerContext& context, ConnectionHandle handle,
                                   ConnectionSide side, FlowKey& parent_key,
                                   ConnectionView& view) noexcept;

// firewall_events.cc
/// The record of a packet of `key` for the firewall log, its rule left out.
[[nodiscard]] FirewallEvent event_of(const FlowKey& key, std::uint64_t now_ns) noexcept;
/// ConnectionEndListener of a worker: `context` is its WorkerContext.
void log_end(void* context, const Connection& record, ConnectionEnd why,
             std::uint64_t opened_ns) noexcept;

// revalidate.cc
/// still_holds() for a program of an older stamp.
[[nodiscard]] bool revalidate(const WorkerContext& context, const FlowKey& key,
                              FlowState& state) noexcept;
/// True if `state` still holds under the running snapshot; restamps it if it is only older.
[[nodiscard]] inline bool still_holds(const WorkerContext& context, const FlowKey& key,
                                      FlowState& state) noexcept {
    if (state.stamp() == context.stamp) [[likely]] { return true; }
    return revalidate(context, key, state);
}

// holders.cc
/// The port that holds `ip` in the domain by what was learned; kNoPort if the document gives the
/// address to somebody, or nobody holds it.
[[nodiscard]] PortIndex learned_holder(const WorkerContext& context, std::uint16_t domain,
                                       const IpAddr& ip) noexcept;
/// The domain that the destination of a frame of `key` is in, which entered `domain`: another one
/// if it is routed.
[[nodiscard]] std::uint16_t destination_domain(const WorkerContext& context, std::uint16_t domain,
                                               const FlowKey& key) noexcept;
/// Holders of both addresses of `key`, each where it is.
[[nodiscard]] AddressHolders find_holders(const WorkerContext& context, std::uint16_t domain,
                                          const FlowKey& key) noexcept;
/// The same; nobody if no rule of the snapshot follows bindings.
[[nodiscard]] AddressHolders holders_of(const WorkerContext& context, std::uint16_t domain,
                                        const FlowKey& key) noexcept;
/// What slots may see of addresses for a decision on `key`, which entered that domain.
[[nodiscard]] BindingView view_bindings(const WorkerContext& context, std::uint16_t domain,
                                        const FlowKey& key) noexcept;
/// True if somebody else than these two ports is among the holders.
[[nodiscard]] bool is_held_aside(const AddressHolders& holders, PortIndex ingress,
                                 PortIndex output) noexcept;
/// What both vNICs of a connection judged it under: equal as long as neither the snapshot nor a
/// binding of theirs changed. Never 0.
[[nodiscard]] std::uint32_t judged_under(const WorkerContext& context, PortIndex a,
                                         PortIndex b) noexcept;

// learn.cc
/// Where a unicast frame goes.
struct Destination {
    PortIndex port = kNoPort;  ///< The owner; if that is elsewhere or unknown the way out, unless
                               ///< it came from the fabric.
    std::uint16_t remote = 0;  ///< By a VTEP's port: as Steps::remote.
    bool is_known = true;
    bool is_static = true;   ///< By the document: only a snapshot changes it.
    bool is_told = false;    ///< By a controller (fleet.cc).
    bool is_teamed = false;  ///< By way_out().
};
[[nodiscard]] Destination find_destination(const WorkerContext& context, std::uint16_t domain,
                                           const FlowKey& key) noexcept;
/// True if the MAC lives on this host, a router's too, so that a frame from the fabric with this
/// source is one that came back.
[[nodiscard]] bool is_reflected(const WorkerContext& context, std::uint16_t domain,
                                const MacAddr& mac) noexcept;
/// Why a frame is dropped for that which entered by `in`.
[[nodiscard]] constexpr DropReason reflected(const PortConfig& in) noexcept {
    return in.vtep != kNoVtep ? DropReason::kTunnelSpoofedMac : DropReason::kReflected;
}
/// True if `source` is one that the port teaches: it learns, and nobody owns the MAC.
[[nodiscard]] bool is_foreign(const PortConfig& in, const Domain& domain,
                              const MacAddr& source) noexcept;
/// Learns the source of a frame that slot 1 let pass, if it is foreign.
/// @return kMacLimit if there is no room for it
[[nodiscard]] DropReason learn_source(WorkerContext& context, const PortConfig& in,
                                      std::uint16_t domain, const FlowKey& key) noexcept;
/// Keeps the learned row of a live flow's source fresh: it was last used at `used_ms`.
void touch_source(WorkerContext& context, const FlowKey& key, std::uint32_t used_ms) noexcept;
/// True if what a program used of learned rows is still so.
[[nodiscard]] bool learned_holds(const WorkerContext& context, const PortConfig& in,
                                 std::uint16_t domain, const FlowKey& key,
                                 const FlowState& state) noexcept;

// fleet.cc
/// The remote VTEP behind which a controller says that `mac` is; 0: it does not say, or the VTEP
/// can't be used now.
[[nodiscard]] std::uint16_t told_remote(const WorkerContext& context, std::uint16_t domain,
                                        const MacAddr& mac) noexcept;
/// The MAC elsewhere that has `ip` as a controller says. The document's owner comes before it.
[[nodiscard]] std::optional<MacAddr> told_mac(const WorkerContext& context, std::uint16_t domain,
                                              const IpAddr& ip) noexcept;
/// True if some VTEP of the domain gets through to the remote one.
[[nodiscard]] bool is_remote_usable(const WorkerContext& context, std::uint16_t domain,
                                    std::uint16_t remote) noexcept;

// teaming.cc
/// The uplink, or for a VNI the VTEP's port, by which a frame of `key` leaves the domain for the
/// fabric that `sender` sends (a vNIC; kNoPort: the switch itself). kNoPort: there is none, or none
/// works. Equal for all frames of a vNIC, unless the policy goes by the frame.
[[nodiscard]] PortIndex way_out(const WorkerContext& context, std::uint16_t domain,
                                PortIndex sender, const FlowKey& key) noexcept;

// forward.cc
/// What becomes of a unicast frame by switching and routing, no chain asked.
enum class PathKind : std::uint8_t {
    kForward,  ///< To `port`, if that is one.
    kRouter,   ///< It is the router's own.
    kWait,     ///< `next_hop` must be resolved first.
    kDrop,     ///< `reason`.
};
struct Path {
    PathKind kind = PathKind::kForward;
    DropReason reason = DropReason::kNone;
    Destination to;
    std::uint16_t domain = 0;  ///< In which it leaves: index.
    bool is_routed = false;
    MacAddr source_mac, destination_mac;  ///< That a routed one leaves with.
    IpAddr next_hop;                      ///< Of a routed one: in `domain`.
};
/// @param domain  that it entered
[[nodiscard]] Path find_path(const WorkerContext& context, std::uint16_t domain,
                             const FlowKey& key) noexcept;
/// True if `program`, made for `key`, still goes where find_path() says.
[[nodiscard]] bool path_holds(const WorkerContext& context, std::uint16_t domain,
                              const FlowKey& key, const Program& program) noexcept;
/// Why a frame of `key` can't go that way; kNone if it can.
[[nodiscard]] DropReason refusal(const WorkerContext& context, const FlowKey& key,
                                 const Path& path) noexcept;
/// `key` as a frame leaves that takes `path`.
[[nodiscard]] FlowKey leaving_key(const FlowKey& key, const Path& path) noexcept;
/// Steps::rewrite for a routed path; 0: no room.
[[nodiscard]] std::uint16_t acquire_rewrite(WorkerContext& context, const Path& path) noexcept;

// route.cc
/// find_path() for a frame to a MAC of the domain's router.
[[nodiscard]] Path route(const WorkerContext& context, std::uint16_t domain,
                         const FlowKey& key) noexcept;
/// True if `mac` is one of the router of the domain on this host.
[[nodiscard]] bool is_router_mac(const Snapshot& snapshot, const Domain& domain,
                                 const MacAddr& mac) noexcept;

// router.cc
/// Ending::kRouter: answers a packet to an address of the router, or drops it. Owns the frame.
void end_at_router(WorkerContext& context, Packet& packet) noexcept;
/// Ending::kWait: holds a packet until its next hop is resolved, and asks for it. Owns the frame.
void wait_for_neighbour(WorkerContext& context, Packet& packet) noexcept;
/// A routed packet whose TTL is used up, or that is too long: tells its sender. It stays the
/// caller's.
void answer_unroutable(WorkerContext& context, const Packet& packet, DropReason reason) noexcept;
/// Takes a conversation (ARP, ND, DHCP) that concerns the router of the domain, once `in`'s chain
/// has let it pass. True: consumed. False: it goes on.
[[nodiscard]] bool router_inspects(WorkerContext& context, Packet& packet, const PortConfig& in,
                                   std::uint16_t domain) noexcept;

// service_pins.cc
/// Pins the connection that was just opened to instances of the rules in `choices`, by weight, and
/// marks its record. True: its packets are redirected, and `handle` is its handle from now on.
bool pin_services(WorkerContext& context, ConnectionHandle& handle,
                  const ServiceChoices& choices) noexcept;
/// The first hop behind `instance` (kNoService: of all) that is not skipped, whether it works or
/// not; nullptr: none. Changes nothing.
[[nodiscard]] const ServiceHop* hop_behind(const WorkerContext& context, ConnectionHandle handle,
                                           ConnectionSide side, std::uint16_t instance) noexcept;
/// From now on the connection passes no service: one of them said so. What they have of it returns
/// as before.
void bypass_services(WorkerContext& context, ConnectionHandle handle) noexcept;
/// True if the connection of `handle` passes `instance`.
[[nodiscard]] bool is_pinned(const WorkerContext& context, ConnectionHandle handle,
                             std::uint16_t instance) noexcept;
/// True if an instance can be handed frames.
[[nodiscard]] bool takes_frames(const WorkerContext& context, std::uint16_t instance) noexcept;
/// The hop of `handle` that a frame of `side` comes to behind `instance` (kNoService: at its
/// beginning), over those that are skipped. What no longer works is pinned anew, or skipped.
/// nullptr: there is none (more).
/// @param handle  another one if a hop was skipped: programs of the connection are stale then
/// @param reason  set, not kNone, if a rule that fails closed stands in its way
[[nodiscard]] const ServiceHop* next_hop(WorkerContext& context, ConnectionHandle& handle,
                                         ConnectionSide side, std::uint16_t instance,
                                         DropReason& reason) noexcept;

// service_return.cc
/// The instance that a frame of `key` comes from; kNoService: its port is no leg.
[[nodiscard]] std::uint16_t instance_behind(const WorkerContext& context,
                                            const FlowKey& key) noexcept;
/// Where the frames of `side` of a redirected connection enter; kNoPort: nobody knows.
[[nodiscard]] PortIndex sender_of(const WorkerContext& context, ConnectionHandle handle,
                                  ConnectionSide side) noexcept;
/// The key that a frame had where it entered first: `key` is what it has on a leg.
/// @param domain  that it entered
/// @return nothing if its port is gone
[[nodiscard]] std::optional<FlowKey> entered_key(const WorkerContext& context, const FlowKey& key,
                                                 std::uint16_t domain, PortIndex sender) noexcept;
/// What a frame on a leg is.
struct Recalled {
    enum class Kind : std::uint8_t {
        kStranger,  ///< Of no connection that passes the leg's instance.
        kReturned,  ///< Of one: `key` is what it had where it entered first.
        kWrongLeg,  ///< Of one whose frames of this side return by the other leg.
    };
    Kind kind = Kind::kStranger;
    std::uint16_t instance = kNoService;
    FlowKey key;
};
[[nodiscard]] Recalled recall(WorkerContext& context, const Packet& packet) noexcept;

// redirect.cc
/// True if a rule of slot 15 covers a packet of `key`, or it came sealed.
[[nodiscard]] bool is_covered(const FlowKey& key, const Program& program) noexcept;
/// Leaves, of the slots that judged `program`, those behind the hop `instance` (kNoService: from
/// the sender on) up to the next one outside of this process, or to the receiver if there is none.
/// @return true if it comes as far as the receiver
bool keep_slots_between(const WorkerContext& context, Program& program,
                        std::uint16_t instance) noexcept;
/// Ending::kRedirect: hands a packet to the next service of its connection, in-process ones on the
/// way included. Owns the frame.
void end_redirected(WorkerContext& context, Packet& packet) noexcept;
/// Ending::kResume: takes a packet that has passed its services on to where it goes. Owns the
/// frame.
void end_resumed(WorkerContext& context, Packet& packet) noexcept;

// nsh.cc
/// Ending::kNsh: what a service that speaks NSH, or another host, sent. Owns the frame.
void end_nsh(WorkerContext& context, Packet& packet) noexcept;

// reply.cc
/// Fetches the bucket of the flow that would answer `key`.
void foresee_reply(const WorkerContext& context, const FlowKey& key, const Domain& domain) noexcept;
/// Makes the program of the other direction of the TCP connection that `packet` has just opened,
/// whose program is cached, so that the first answer finds it: where that takes no guess and pushes
/// nobody out. Has no effect but that.
/// @param view  of the connection, as its responder's packets see it
void cache_reply(WorkerContext& context, const Packet& packet, const PortConfig& in,
                 const ConnectionView& view) noexcept;
/// `packet` closed its connection (TrackResult::kPassLast): its flows make room, the record may.
void end_flows(WorkerContext& context, const Packet& packet) noexcept;

// fragmented.cc
/// Takes a fragment through the fragment stage to its end, to its wait, or the datagram with it;
/// never cached. Owns the frame.
void run_fragment(WorkerContext& context, Packet& packet) noexcept;
/// FragmentTable::Drop, over a WorkerContext.
void drop_held_fragment(void* context, rte_mbuf& frame, DropReason reason) noexcept;

// alg.cc
/// The connection step let `packet` through and its payload is for the connection's ALG.
/// @param is_first  TrackResult::kPassReadFirst
void read_payload(WorkerContext& context, const Packet& packet, bool is_first) noexcept;

// template.cc
/// Of a program that is not every packet's: what the flow table keeps (kProgramTemplate).
[[nodiscard]] Program template_of(const Program& program) noexcept;
/// Makes packet.flow, a template, this packet's own program (in packet.aside).
void run_template(WorkerContext& context, Packet& packet) noexcept;

// steps.cc
/// Makes `program` mark what it sends, or not any more.
/// @param from, to  marks of the source's and the destination's vNIC, kNoDscp = none
void set_marks(Program& program, const FlowKey& key, std::uint8_t from, std::uint8_t to) noexcept;
/// Writes a DSCP to an IP frame that nobody shares; ECN stays, IPv4's checksum is mended (RFC
/// 1624).
void mark_dscp(rte_mbuf& frame, const ParsedFrame& parsed, std::uint8_t dscp) noexcept;
/// Writes one hop into the frame at `start` (RFC 1812 §5.2.3, §5.3.1, RFC 8200 §3): both MACs, and
/// a TTL, not 0, less by one.
void write_hop(std::uint8_t* start, const ParsedFrame& parsed, const Rewrite& hop) noexcept;
/// Marks a frame with its source vNIC's DSCP, before it is copied.
void mark_for_copies(rte_mbuf& frame, const ParsedFrame& parsed, const Program& program) noexcept;
/// Runs the steps of a program on a frame that nobody shares.
/// @param parsed  of the frame, before any step
/// @return kNone, or why it must be dropped: kNoBuffer, kTtlExpired, kTooBig
[[nodiscard]] DropReason run_steps(const WorkerContext& context, rte_mbuf& frame,
                                   const ParsedFrame& parsed, const Program& program) noexcept;
/// Runs Steps::vlan on a frame that nobody shares. False: no room (the frame must be dropped).
[[nodiscard]] bool run_vlan_step(rte_mbuf& frame, std::uint16_t vlan) noexcept;

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

// pending.cc
/// True for what SpoofGuard refuses for an address.
[[nodiscard]] constexpr bool is_spoof(DropReason reason) noexcept {
    return reason == DropReason::kSpoofedIp || reason == DropReason::kSpoofedArp ||
           reason == DropReason::kSpoofedNd;
}
/// Lists what a frame of `key` was refused, for the operator, if its vNIC's port group wants that.
void note_refused(WorkerContext& context, const FlowKey& key, DomainId domain,
                  const BindingClaims& tried) noexcept;

// dhcp_snooping.cc
/// Learns from a DHCP message that the whole chain of `in` let pass: who asks, which address a
/// server lends him, and that he gives it back. Before the frame is switched. Other frames: no
/// effect.
void snoop_dhcp(WorkerContext& context, const ParsedFrame& frame, const PortConfig& in,
                const Domain& domain) noexcept;

// inspect.cc
/// Takes a frame that is a conversation with the switch through the source's chain, and learns from
/// it. False: dropped.
[[nodiscard]] bool inspect_source(WorkerContext& context, Packet& packet) noexcept;
/// Takes it from there to its end. Owns the frame.
void inspect_packet(WorkerContext& context, Packet& packet) noexcept;

// suppress.cc
/// Answers an ARP request or a neighbour solicitation that `in`'s chain let pass, if who has the
/// address is known, and consumes it. False: it goes on, nothing was done.
[[nodiscard]] bool answer_known(WorkerContext& context, Packet& packet, const PortConfig& in,
                                std::uint16_t domain) noexcept;

// replicate.cc
/// Sends copies to every member of the program's domain but the ingress, and to its uplink
/// (kReplicate; a snooped group: to who wants it), or to its promiscuous ports or those that take
/// unknown unicast (kMirrored, `except` left out too). The original stays the caller's. Returns how
/// many there were.
/// @param only  if not null, these ports and no others
std::size_t replicate(WorkerContext& context, const Packet& packet, const Program& program,
                      PortIndex except, const GroupPorts* only = nullptr) noexcept;
/// Why a frame is dropped that replicate() made no copy of.
[[nodiscard]] DropReason why_no_copy(const WorkerContext& context, const Packet& packet,
                                     const Program& program) noexcept;

// output.cc
/// output() for a port that the last frame did not leave by, or by way of another worker.
void output_by(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept;
/// Sends the frames that wait for `egress`, a port of this worker.
void send_waiting(WorkerContext& context, PortIndex egress) noexcept;
/// Sends a frame by `egress` at the end of the poll, by way of its worker.
inline void output(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept {
    if (context.last_output.port != egress) { return output_by(context, frame, egress); }
    TxBuffer& buffer = *context.last_output.buffer;
    buffer.frames[buffer.count++] = frame;
    if (buffer.count == kBurstMax) { send_waiting(context, egress); }
}
/// Frees and counts. The one way to drop.
void drop(WorkerContext& context, rte_mbuf* frame, DropReason reason) noexcept;
/// The same for a frame on its way out by `egress`.
void drop_towards(WorkerContext& context, rte_mbuf* frame, PortIndex egress,
                  DropReason reason) noexcept;
/// Frees a frame that reached its end inside the switch.
void consume(WorkerContext& context, rte_mbuf* frame) noexcept;
/// Counts a drop without a frame (a copy that was never made, a broken descriptor).
void count_drop(WorkerContext& context, PortIndex ingress, DropReason reason,
                std::uint64_t count = 1) noexcept;
/// Hands everything buffered to the ports, and to the other workers.
void flush_output(WorkerContext& context) noexcept;

/// The next segments of the large frame of `ingress` (large_frame.h) that is being cut.
void cut_further(WorkerContext& context, PortIndex ingress) noexcept;

// handover.cc
/// Hands what is buffered for another worker over; what its queue has no room for is dropped.
void send_handover(WorkerContext& context, unsigned worker) noexcept;
/// Buffers up to `frames_max` frames that another worker handed over for output; adds their bytes
/// to `bytes`. Returns how many there were.
std::uint32_t take_handed_over(WorkerContext& context, HandoverQueue& queue,
                               std::uint32_t frames_max, std::uint64_t& bytes) noexcept;

// account.cc
/// Adds what a program carried to the figures of its slots, rules and connection.
void account(WorkerContext& context, PortIndex ingress, const Program& program, RuleId rule_from,
             RuleId rule_to, std::uint64_t packets, std::uint64_t bytes) noexcept;
/// The same for what entry `index` of the flow table carried since the last time.
void fold(WorkerContext& context, std::uint32_t index) noexcept;
/// Credits ACL rules with packets that they judged.
void count_acl(WorkerContext& context, std::span<const RuleId> rules, std::uint64_t packets,
               std::uint64_t bytes) noexcept;
/// One packet that a slot dropped, or let through, outside of any program.
void count_slots(WorkerContext& context, PortIndex port, Direction direction, std::uint16_t slots,
                 std::uint64_t packets) noexcept;
void count_slot_drop(WorkerContext& context, PortIndex port, Direction direction,
                     std::uint8_t slot) noexcept;

}  // namespace sluice::datapath
