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

/// What varies from packet to packet. A closed set, run over the burst kind by kind in this order.
enum class StepKind : std::uint8_t {
    kConnection,  ///< TCP state, window, timers of Program::connection. Listed in `steps` only
                  ///< where something else comes first (kProgramTemplate).
    kSetDscp,   ///< Marks an IP frame: argument = DSCP, `source` = that of its copies.
    kVlanPop,   ///< Take the 802.1Q tag off.
    kVlanPush,  ///< Put a tag on; argument = VID.
};

struct Step {
    StepKind kind;
    std::uint8_t source = 0;  ///< Of kSetDscp: the source vNIC's mark, kNoDscp = none.
    std::uint16_t argument = 0;
};

enum class Ending : std::uint8_t {
    kDrop,       ///< `reason`, at slot `drop_slot` or outside the chain.
    kOutput,     ///< To port `output`.
    kReplicate,  ///< To every member of the domain but the ingress; each copy looks up its own half
                 ///< by egress port.
    kMirrored,   ///< To port `output` and a copy to each promiscuous member.
};

inline constexpr std::uint8_t kNoSlot = 0xff;

/// Bits of Program::flags.
enum ProgramFlag : std::uint8_t {
    kProgramRecheck = 1U << 0U,  ///< Dropped by a firewall rule for want of a connection: holds
                                 ///< only as long as there is none.
    kProgramHitsByPacket = 1U << 1U,  ///< The rules count packets as hits (no connection).
    kProgramTransient = 1U << 2U,     ///< Judged with the packet's contents: never cached.
    kProgramLearnedFrom = 1U << 3U,   ///< Hangs on where the source MAC was learned.
    kProgramLearnedTo = 1U << 4U,     ///< Hangs on where the destination MAC was learned, or on
                                      ///< its being unknown.
    kProgramForeign = 1U << 6U,       ///< Tracked, but not between the connection's vNICs.
    kProgramFlood = 1U << 5U,         ///< Unknown unicast: copies go to the domain's flood ports.
    kProgramTemplate = 1U << 7U,      ///< Each packet gets a program of its own (template.cc).
};

struct Program {
    ConnectionHandle connection;
    ConnectionSide side = ConnectionSide::kOpener;
    Ending ending = Ending::kDrop;
    DropReason reason = DropReason::kNone;
    std::uint8_t drop_slot = kNoSlot;
    Direction drop_direction = Direction::kFromVm;
    std::uint8_t flags = 0;
    std::uint8_t step_count = 0;
    bool tracked = false;  ///< The connection step comes first. Never with kProgramTemplate.
    PortIndex output = kNoPort;
    std::uint16_t domain = 0;        ///< Index into the snapshot's domains.
    std::uint16_t decided_from = 0;  ///< Slots of the source vNIC that judged it.
    std::uint16_t decided_to = 0;    ///< Slots of the destination vNIC that judged it.
    std::array<Step, 2> steps{};     ///< DSCP and VLAN; the connection step is `tracked`.
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
