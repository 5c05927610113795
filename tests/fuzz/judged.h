// SPDX-License-Identifier: Apache-2.0
// A vNIC's chain with slot 1 alone, for the fuzz targets of conversations: a frame is parsed and,
// if it is a conversation, inspected on its way out of the VM and into it. Pure but for the
// verdict.
#pragma once

#include <array>

#include "datapath/parse.h"
#include "sluice/iochain/chain.h"
#include "sluice/iochain/swsec.h"
#include "tests/fuzz/fuzzed.h"

namespace sluice::fuzz {

inline ChainProgram chain_of(bool spoofguard, bool guarded, bool first_use) {
    SwsecInput input;
    input.mac = MacAddr{{2, 0, 0, 0, 0, 1}};
    input.ips = {IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
    input.spoofguard = spoofguard;
    input.first_use = first_use;
    input.guards.ra = input.guards.dhcp_server = guarded;
    input.limits.arp_pps = input.limits.nd_pps = input.limits.dhcp_pps = 0;
    ChainProgram chain;
    chain.slots[kSlotSwsec] = compile_swsec(input);
    return chain;
}

/// Inspects a frame in every way there is: each policy, both directions.
inline void judge_everywhere(const ParsedFrame& parsed) {
    static const std::array<ChainProgram, 4> chains = {
        chain_of(false, false, false), chain_of(false, true, false), chain_of(true, true, false),
        chain_of(true, false, true)};
    for (const ChainProgram& chain : chains) {
        ChainState state;
        BindingClaims claims;
        const Decision out =
            inspect(chain, parsed, Direction::kFromVm, &state, false, 1, {}, {&claims, nullptr});
        require((out.verdict == Verdict::kDrop) == (out.reason != DropReason::kNone),
                "a drop has a reason");
        require(claims.count <= claims.ips.size(), "claims fit");
        static_cast<void>(
            inspect(chain, parsed, Direction::kToVm, nullptr, false, 1, {}, {&claims, nullptr}));
    }
}

/// Parses `bytes`, all in one segment, and inspects them.
inline void judge(const Bytes& bytes) {
    Frame frame(bytes);
    // A device has verified the checksum: else hardly any input would get further.
    frame.mbuf().ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    ParsedFrame parsed;
    datapath::parse_mbuf(frame.mbuf(), PortIndex{1}, parsed);
    if (parsed.frame_class == FrameClass::kInspect) { judge_everywhere(parsed); }
}

}  // namespace sluice::fuzz
