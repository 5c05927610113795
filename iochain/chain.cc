// SPDX-License-Identifier: Apache-2.0
// The runner of an IOChain: walks the sixteen slots of one vNIC, 0 to 15 for what leaves the VM and
// 15 to 0 for what goes to it, and stops at the first drop. Called by a worker for the first packet
// of a flow (decide) and for each frame that is a conversation with the switch (inspect).
#include "sluice/iochain/chain.h"

#include "iochain/slot_entry.h"
#include "sluice/base/assert.h"

namespace sluice {
namespace {

struct SlotEntries {
    iochain::DecideEntry decide = nullptr;
    iochain::InspectEntry inspect = nullptr;
};

/// Indexed by SlotKind. A kind without entry points has no program yet.
constexpr std::array<SlotEntries, 6> kEntries = {{
    {iochain::decide_dvfilter, iochain::inspect_dvfilter},  // kDvfilter
    {iochain::decide_swsec, iochain::inspect_swsec},        // kSwsec
    {iochain::decide_dfw, iochain::inspect_dfw},            // kDfw
    {iochain::decide_redirect, iochain::inspect_redirect},  // kService
    {iochain::decide_encrypt, iochain::inspect_encrypt},    // kEncrypt
    {},                                                     // kReserved
}};
static_assert(kEntries.size() == static_cast<std::size_t>(SlotKind::kReserved) + 1);

const SlotEntries& entries_of(std::size_t slot) noexcept {
    const SlotEntries& entries = kEntries[static_cast<std::size_t>(kSlots[slot].kind)];
    SLUICE_ASSERT(entries.decide != nullptr);
    return entries;
}

/// Calls judge(slot, program, decision) for each occupied slot in order, until one drops.
template <typename Judge>
Decision walk(const ChainProgram& chain, Direction direction, Judge&& judge) noexcept {
    Decision decision;
    for (std::size_t step = 0; step < kSlotCount; ++step) {
        const std::size_t slot = direction == Direction::kFromVm ? step : kSlotCount - 1 - step;
        const SlotProgram* program = chain.slots[slot].get();
        if (program == nullptr) { continue; }
        decision.decided = static_cast<std::uint16_t>(decision.decided | (1U << slot));
        decision.reason = judge(slot, *program, decision);
        if (decision.reason == DropReason::kNone) { continue; }
        decision.verdict = Verdict::kDrop;
        decision.slot = static_cast<std::uint8_t>(slot);
        break;
    }
    return decision;
}

}  // namespace

Decision decide(const ChainProgram& chain, const DecideInput& input) noexcept {
    return walk(chain, input.direction,
                [&](std::size_t slot, const SlotProgram& program, Decision& decision) {
                    return entries_of(slot).decide(program, input, decision);
                });
}

void foresee(const ChainProgram& chain, std::span<const FlowKey* const> keys,
             std::span<Judgement> out) noexcept {
    const SlotProgram* program = chain.slots[kSlotDfw].get();
    if (program != nullptr) { iochain::foresee_dfw(*program, keys, out); }
}

Decision decide_acl(const ChainProgram& chain, const DecideInput& input) noexcept {
    Decision decision;
    decision.decided = 1U << kSlotDvfilter;
    decision.reason = iochain::decide_dvfilter(*chain.slots[kSlotDvfilter], input, decision);
    if (decision.reason != DropReason::kNone) {
        decision.verdict = Verdict::kDrop;
        decision.slot = static_cast<std::uint8_t>(kSlotDvfilter);
    }
    return decision;
}

Decision inspect(const ChainProgram& chain, const ParsedFrame& frame, Direction direction,
                 ChainState* state, bool related, std::uint64_t now_ns, const BindingView& bindings,
                 const InspectNotes& notes) noexcept {
    const iochain::InspectInput input{frame,  direction, state,        related,
                                      now_ns, bindings,  notes.claims, notes.acl};
    return walk(chain, direction,
                [&](std::size_t slot, const SlotProgram& program, Decision& decision) {
                    return entries_of(slot).inspect(program, input, decision);
                });
}

DropReason meter_group_frame(const ChainProgram& chain, const ParsedFrame& frame, ChainState& state,
                             std::uint64_t now_ns) noexcept {
    const SlotProgram* program = chain.slots[kSlotSwsec].get();
    if (program == nullptr) { return DropReason::kNone; }
    return iochain::meter_swsec(*program, frame, state, now_ns);
}

}  // namespace sluice
