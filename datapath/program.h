// SPDX-License-Identifier: Apache-2.0
// Program: what a flow's first packet was decided to need, composed from both chains and the
// switch: a few steps and an ending. Every later packet of the flow runs it after one lookup. Owned
// by one worker's flow table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sluice/iochain/chain.h"
#include "sluice/iochain/connection.h"

namespace sluice::datapath {

/// What happens to a frame of a flow before it leaves, in this order: DSCP mark, route, VLAN. Then,
/// at a VTEP's port, the tunnel. The connection step, Program::tracked, comes before all of them.
struct Steps {
    std::uint8_t dscp = 0;         ///< Mark + 1; 0 = none.
    std::uint8_t copies_dscp = 0;  ///< The source vNIC's mark + 1: of copies.
    std::uint16_t vlan = 0;        ///< kVlanPop, or kVlanPush | VID; 0 = none.
    std::uint16_t rewrite = 0;  ///< MACs of WorkerContext::rewrites, and TTL - 1; 0 = not routed.
    std::uint16_t remote = 0;   ///< At a VTEP's port: index of the remote VTEP, or kEveryRemote.

    static constexpr std::uint16_t kVlanPop = 0x8000;
    static constexpr std::uint16_t kVlanPush = 0x4000;

    /// True if a frame is changed before it is output.
    [[nodiscard]] bool any() const noexcept {
        std::uint64_t word = 0;
        __builtin_memcpy(&word, this, sizeof word);
        return word != 0;
    }
};
static_assert(sizeof(Steps) == 8);

/// Steps::remote: to every remote VTEP of the VNI, by its replication mode.
inline constexpr std::uint16_t kEveryRemote = 0xffff;

enum class Ending : std::uint8_t {
    kDrop,       ///< `reason`, at slot `drop_slot` or outside the chain.
    kOutput,     ///< To port `output`.
    kReplicate,  ///< To every member of the domain but the ingress; each copy looks up its own half
                 ///< by egress port.
    kMirrored,   ///< To port `output` and a copy to each promiscuous member.
    kRouter,     ///< For an address of the router itself, `domain`'s: answered in place.
    kWait,       ///< Routed to a neighbour that is not resolved yet: held. Never cached.
    kRedirect,   ///< To the next service of its connection that is not skipped (redirect.cc).
    kResume,     ///< Came back from its last service: what hides it goes off, then as kOutput.
    kNsh,        ///< Carries a network service header, or a service of this host sends it back to
                 ///< another one (nsh.cc): what is inside is looked up again.
};

inline constexpr std::uint8_t kNoSlot = 0xff;

/// Program::key_policy: the policy, and whether copies that would leave in the clear are dropped.
inline constexpr std::uint8_t kKeyPolicyMask = 0x3f;
inline constexpr std::uint8_t kSealRequired = 0x80;

/// Bits of Program::flags.
enum ProgramFlag : std::uint16_t {
    kProgramRecheck = 1U << 0U,  ///< Dropped by a firewall rule for want of a connection: holds
                                 ///< only as long as there is none.
    kProgramHitsByPacket = 1U << 1U,    ///< The rules count packets as hits (no connection).
    kProgramTransient = 1U << 2U,       ///< Judged with the packet's contents: never cached.
    kProgramLearnedFrom = 1U << 3U,     ///< Hangs on where the source MAC was learned.
    kProgramLearnedTo = 1U << 4U,       ///< Hangs on where the destination MAC was learned, or on
                                        ///< its being unknown.
    kProgramForeign = 1U << 6U,         ///< Tracked, but not between the connection's vNICs.
    kProgramFlood = 1U << 5U,           ///< Unknown unicast: copies go to the domain's flood ports.
    kProgramHeldAside = 1U << 7U,       ///< Rules followed a binding of a third port, neither the
                                        ///< ingress nor `output`.
    kProgramTemplate = 1U << 8U,        ///< Each packet gets a program of its own (template.cc).
    kProgramTracks = 1U << 9U,          ///< Of a template: it stands for a tracked program.
    kProgramRouted = 1U << 10U,         ///< Hangs on the router of the domain that it entered.
    kProgramTeamed = 1U << 11U,         ///< Hangs on which uplinks, VTEPs and remote VTEPs work.
    kProgramDropsToVm = 1U << 12U,      ///< `drop_slot` is the receiver's.
    kProgramReturned = 1U << 13U,       ///< Of a frame that came back from a service; `connection`
                                        ///< has its pins. Never tracked.
    kProgramLocal = 1U << 14U,          ///< A rule would have it sealed, and it stays on this host.
    kProgramEnteredTagged = 1U << 15U,  ///< Of kProgramReturned: the frame had a tag where it
                                        ///< entered first.
};

struct Program {
    ConnectionHandle connection;
    ConnectionSide side = ConnectionSide::kOpener;
    Ending ending = Ending::kDrop;
    DropReason reason = DropReason::kNone;
    std::uint8_t drop_slot = kNoSlot;
    std::uint8_t key_policy = 0;  ///< By a tunnel: it is sealed under it; 0: it is clear. Of
                                  ///< copies, kSealRequired beside it.
    bool tracked = false;         ///< The connection step comes first. Never with kProgramTemplate.
    std::uint16_t flags = 0;      ///< ProgramFlag bits.
    PortIndex output = kNoPort;
    std::uint16_t domain = 0;        ///< That it entered: index into the snapshot's domains.
    std::uint16_t decided_from = 0;  ///< Slots of the source vNIC that judged it.
    std::uint16_t decided_to = 0;    ///< Slots of the destination vNIC that judged it.
    Steps steps;

    [[nodiscard]] Direction drop_direction() const noexcept {
        return (flags & kProgramDropsToVm) != 0 ? Direction::kToVm : Direction::kFromVm;
    }
    /// Of an ending kDrop: the slot that says so. Behind what sets the other flags.
    void set_drop_slot(std::uint8_t slot, Direction direction) noexcept {
        drop_slot = slot;
        flags = static_cast<std::uint16_t>(flags & ~kProgramDropsToVm);
        if (direction == Direction::kToVm) { flags |= kProgramDropsToVm; }
    }
};
static_assert(sizeof(Program) == 32);

/// True if slot 0 of a vNIC judged it: there is a trail of rules.
[[nodiscard]] inline bool has_acl(const Program& program) noexcept {
    return ((program.decided_from | program.decided_to) >> kSlotDvfilter & 1U) != 0;
}

/// A program and its figures: the hot line of a flow entry.
struct alignas(64) FlowState {
    Program program;
    std::uint64_t packets = 0;  ///< Carried (not dropped by a step).
    std::uint64_t bytes = 0;
    std::uint32_t generation = 0;  ///< Snapshot generation at which it was last known to hold.
    std::uint32_t learned = 0;     ///< LearnedTable::epoch() at that time; compared in one word.
    std::uint32_t last_used_ms = 0;
    std::uint32_t peer = 0xffffffffU;  ///< Entry of the connection's other way, if it was made
                                       ///< with this one. A hint: it may hold another flow by now.

    /// (generation, learned) as WorkerContext::stamp has them.
    [[nodiscard]] std::uint64_t stamp() const noexcept {
        std::uint64_t word = 0;
        __builtin_memcpy(&word,
                         reinterpret_cast<const char*>(this) + offsetof(FlowState, generation),
                         sizeof word);
        return word;
    }
    void set_stamp(std::uint64_t word) noexcept {
        generation = static_cast<std::uint32_t>(word);
        learned = static_cast<std::uint32_t>(word >> 32U);
    }
};
static_assert(sizeof(FlowState) == 64 && offsetof(FlowState, generation) % 8 == 0);

}  // namespace sluice::datapath
