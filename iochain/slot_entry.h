// SPDX-License-Identifier: Apache-2.0
// The entry points of the slots, as the runner of the chain (chain.cc) calls them. A slot decides
// and names a reason; it never frees, forwards or counts. Workers only; no allocation, no
// exception.
#pragma once

#include <cstdint>

#include "sluice/iochain/chain.h"

namespace sluice::iochain {

/// What inspect() of a slot may look at.
struct InspectInput {
    const ParsedFrame& frame;
    Direction direction;
    ChainState* state;     ///< The vNIC's own for kFromVm, nullptr for kToVm.
    bool related;          ///< An ICMP error that quotes a live connection.
    std::uint64_t now_ns;  ///< Monotonic.
    const BindingView& bindings;
    BindingClaims* claims;  ///< Slot 1 fills it; may be null.
    AclTrail* acl;          ///< Slot 0 fills it; may be null.
};

/// @return kNone to pass. Slot 2 writes to `decision` what concerns connections, slot 0 its marks
/// and whether it hangs on TCP flags, slot 15 what seals; slots 4 to 12 write to `input.services`.
using DecideEntry = DropReason (*)(const SlotProgram& program, const DecideInput& input,
                                   Decision& decision) noexcept;
using InspectEntry = DropReason (*)(const SlotProgram& program, const InspectInput& input,
                                    Decision& decision) noexcept;

DropReason decide_dvfilter(const SlotProgram& program, const DecideInput& input,
                           Decision& decision) noexcept;
DropReason inspect_dvfilter(const SlotProgram& program, const InspectInput& input,
                            Decision& decision) noexcept;
DropReason decide_swsec(const SlotProgram& program, const DecideInput& input,
                        Decision& decision) noexcept;
DropReason inspect_swsec(const SlotProgram& program, const InspectInput& input,
                         Decision& decision) noexcept;
DropReason decide_dfw(const SlotProgram& program, const DecideInput& input,
                      Decision& decision) noexcept;
DropReason inspect_dfw(const SlotProgram& program, const InspectInput& input,
                       Decision& decision) noexcept;

DropReason decide_redirect(const SlotProgram& program, const DecideInput& input,
                           Decision& decision) noexcept;
DropReason inspect_redirect(const SlotProgram& program, const InspectInput& input,
                            Decision& decision) noexcept;
DropReason decide_encrypt(const SlotProgram& program, const DecideInput& input,
                          Decision& decision) noexcept;
DropReason inspect_encrypt(const SlotProgram& program, const InspectInput& input,
                           Decision& decision) noexcept;

/// Slot 2's part of foresee().
void foresee_dfw(const SlotProgram& program, std::span<const FlowKey* const> keys,
                 std::span<Judgement> out) noexcept;

/// Slot 1's limit on group frames from the VM.
DropReason meter_swsec(const SlotProgram& program, const ParsedFrame& frame, ChainState& state,
                       std::uint64_t now_ns) noexcept;

}  // namespace sluice::iochain
