// SPDX-License-Identifier: Apache-2.0
// The contract between the datapath and the chain. Slots decide; the runner (the worker) frees,
// forwards and counts.
//   decide()   first packet of a flow: key, policy and, if there is one, the connection. Never the
//   packet. Cached. inspect()  frames that are conversations with the switch (ARP, ND, DHCP...):
//   packet by packet, never cached.
// A vNIC's chain is a ChainProgram: immutable, compiled on the control thread, shared by vNICs with
// the same policy, plus a ChainState: mutable, owned by the worker that polls the vNIC.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "sluice/base/ids.h"
#include "sluice/iochain/acl_trail.h"
#include "sluice/iochain/address_table.h"
#include "sluice/iochain/connection_table.h"
#include "sluice/iochain/drop_reason.h"
#include "sluice/iochain/flow_key.h"
#include "sluice/iochain/frame.h"
#include "sluice/iochain/learned_table.h"
#include "sluice/iochain/slots.h"
#include "sluice/model/alg.h"

namespace sluice {

struct ServiceChoices;  // redirect.h

/// Seen from the VM: kFromVm leaves it (slots 0..15), kToVm goes to it (slots 15..0).
enum class Direction : std::uint8_t { kFromVm = 0, kToVm = 1 };

enum class Verdict : std::uint8_t { kPass, kDrop };

/// Immutable compiled policy of one slot. Each slot derives its own.
class SlotProgram {
public:
    SlotProgram() = default;
    SlotProgram(const SlotProgram&) = delete;
    SlotProgram& operator=(const SlotProgram&) = delete;
    virtual ~SlotProgram() = default;
    /// Hash of all that the slot's verdicts depend on. Two programs with equal fingerprints (128
    /// bits) decide alike.
    [[nodiscard]] virtual std::array<std::uint64_t, 2> fingerprint() const noexcept = 0;
    /// One word for `show chain`: "active", "off".
    [[nodiscard]] virtual const char* state() const noexcept = 0;
};

/// One vNIC's chain. A null slot is empty.
struct ChainProgram {
    std::array<std::shared_ptr<const SlotProgram>, kSlotCount> slots;
    bool reads_dscp = false;  ///< Some slot's policy reads DSCP; else parse zeroes it in the key.
};

/// A token bucket: `rate` tokens a second, burst of one second. Rate 0 = no limit.
struct TokenBucket {
    std::uint64_t tokens_ns = 0;  ///< Credit in nanoseconds of a second.
    std::uint64_t updated_ns = 0;
};

/// Mutable state of one vNIC's chain. worker that polls the vNIC: rw; nobody else.
struct ChainState {
    TokenBucket arp, nd, dhcp, broadcast, multicast;
    TokenBucket membership;  ///< IGMP and MLD messages that teach (kMembershipPerPortPps).
    TokenBucket reject;      ///< Answers to this vNIC's rejected packets (kRejectPerPortPps).
    TokenBucket icmp_error;  ///< Errors that routers and VTEPs tell it (kIcmpErrorPerPortPps).
    TokenBucket router;      ///< Other answers of a router to it (kRouterAnswerPerPortPps).
};

/// What slot 2 sees of an existing connection.
struct ConnectionView {
    ConnectionSide side;  ///< Which way this packet goes.
    FlowKey opener_key;   ///< IPs, ports and protocol as the opener's first packet had them (other
                          ///< fields zero).
    bool opener_stateful = false, responder_stateful = false;
    bool is_current = false;  ///< Both vNICs judged the opener's key under the running snapshot: by
                              ///< the rules below, which need not be looked for again.
    RuleId opener_rule{}, responder_rule{};  ///< If is_current.
    const FlowKey* parent_key = nullptr;     ///< If another connection announced this one: as
                                             ///< opener_key, of that one. A rule with `alg` that
                                             ///< lets the parent through lets this one through.
};

/// Ports of this host that hold the addresses of a key by what was learned: groups follow them.
/// kNoPort: nobody, or the document gives the address to somebody.
struct AddressHolders {
    PortIndex source = kNoPort, destination = kNoPort;
    /// Of the key that answers.
    [[nodiscard]] AddressHolders turned() const noexcept { return {destination, source}; }
};

/// What slots may see of who has which address where the frame entered. Slot 1: rows kBinding, and
/// what the document says. Slots 0 and 2: the holders. Read only.
struct BindingView {
    const LearnedTable* table = nullptr;   ///< nullptr: none are known.
    DomainId domain;                       ///< That the frame entered.
    std::uint64_t now_ns = 0;              ///< Monotonic.
    const AddressTable* owners = nullptr;  ///< Of the domain; nullptr: the document says nothing.
    AddressHolders holders{};              ///< Of the key.
};

/// Addresses that a frame from the VM claims, for the runner to learn once the whole chain has let
/// the frame pass; of a frame that slot 1 refused, those that it tried to use.
struct BindingClaims {
    std::array<IpAddr, 2> ips;
    std::uint8_t count = 0;
    LearnedSource source = LearnedSource::kArp;
    /// Somebody else holds one: the frame was dropped for it, the claim is remembered all the same
    /// and waits.
    bool is_contested = false;
};

/// What slot 2 of one vNIC said to a key, so that another one with the same policy need not look
/// for it again, and what foresee() has found out about the key. Belongs to one key and one
/// snapshot; whoever decides for both keeps it. Slot 2's own.
struct Judgement {
    const void* policy = nullptr;  ///< nullptr: nobody was asked yet.
    std::uint32_t rule = 0;
    const void* table = nullptr;  ///< nullptr: nothing was foreseen.
    std::array<std::uint32_t, 4> places{};
};

struct DecideInput {
    const FlowKey& key;
    Direction direction;
    const ConnectionView* connection = nullptr;  ///< nullptr: none, nor one that is announced.
    BindingView bindings{};                      ///< For both directions.
    Judgement* judgement = nullptr;  ///< Of `key` under the running snapshot; nullptr: not kept.
    std::uint8_t tcp_flags = 0;      ///< Of this packet; of a fragment, its head's.
    AclTrail* acl = nullptr;  ///< Gets the rules of slot 0 that matched; nullptr: nobody asks.
    ServiceChoices* services =
        nullptr;  ///< Of a packet that may open a connection: gets the rules of slots 4 to 12 that
                  ///< redirect it. nullptr: they are not asked.
    bool is_from_fabric = false;   ///< It came from another host.
    std::uint8_t sealed_with = 0;  ///< Key policy under which it came sealed; 0: in the clear.
};

inline constexpr std::uint8_t kNoDscp = 0xff;

/// What one slot, or the whole chain, decided.
struct Decision {
    Verdict verdict = Verdict::kPass;
    DropReason reason = DropReason::kNone;
    std::uint8_t slot = 0;      ///< Slot that dropped it.
    std::uint16_t decided = 0;  ///< Bit a slot that judged it (the one that dropped it included).
    RuleId rule;                ///< Firewall rule that matched; 0 if excluded or no firewall.
    bool stateful = false;      ///< The rule is stateful: this side wants a connection.
    bool tcp_strict = true;
    bool log = false;  ///< The firewall rule wants its connections and refusals logged.
    model::Alg alg = model::Alg::kNone;  ///< Of the firewall rule.
    bool by_flags = false;            ///< A packet with other TCP flags may be decided otherwise.
    std::uint8_t set_dscp = kNoDscp;  ///< With kPass: the DSCP that an IP frame leaves with.
    std::uint8_t key_policy = 0;  ///< From the VM: what leaves the host is sealed under it; 0: is
                                  ///< clear.
    bool seal_required = false;   ///< It must not leave the host in any other way.
};

/// Runs the chain over a key. Pure: equal input, equal output. Thread: any worker; the program is
/// immutable.
[[nodiscard]] Decision decide(const ChainProgram& chain, const DecideInput& input) noexcept;

/// Looks ahead for first packets of a burst that decide() will see under the same snapshot: where
/// their addresses and services lie, all searches waiting for memory together. Decides nothing.
/// @param out  as many as `keys`, at most kBurstMax; DecideInput::judgement of each
void foresee(const ChainProgram& chain, std::span<const FlowKey* const> keys,
             std::span<Judgement> out) noexcept;

/// Slot 0 alone, for a packet with other TCP flags than decide() saw. The chain has that slot.
[[nodiscard]] Decision decide_acl(const ChainProgram& chain, const DecideInput& input) noexcept;

/// What inspect() says beside its decision, where somebody asks.
struct InspectNotes {
    BindingClaims* claims = nullptr;  ///< For kFromVm: what the frame would have learned.
    AclTrail* acl = nullptr;          ///< The rules of slot 0 that matched.
};

/// Runs the chain over a frame that is a conversation with the switch (FrameClass::kInspect).
/// `state` is the vNIC's for kFromVm; nullptr for kToVm, where no slot keeps state.
/// @param related  for InspectKind::kIcmpError: the error quotes a live connection of this host
/// (judge_icmp_error()).
/// @param bindings  what is known
[[nodiscard]] Decision inspect(const ChainProgram& chain, const ParsedFrame& frame,
                               Direction direction, ChainState* state, bool related,
                               std::uint64_t now_ns, const BindingView& bindings = {},
                               const InspectNotes& notes = {}) noexcept;

/// Charges a frame from the VM with a group destination to the vNIC's broadcast or multicast limit
/// (slot 1), cached program or not.
/// @return kNone if it may go.
[[nodiscard]] DropReason meter_group_frame(const ChainProgram& chain, const ParsedFrame& frame,
                                           ChainState& state, std::uint64_t now_ns) noexcept;

/// Matches an ICMP or ICMPv6 error to the connection that it quotes (RFC 5508 §4.2): checks
/// lengths, that the quoted source is the outer destination, that no error quotes an error, that it
/// is no redirect.
/// @return kNone if related; kBadIcmp if malformed; kIcmpNoConnection if it quotes none.
[[nodiscard]] DropReason judge_icmp_error(ConnectionTable& connections, const ParsedFrame& frame,
                                          DomainId domain, std::uint64_t now_ns) noexcept;

}  // namespace sluice
