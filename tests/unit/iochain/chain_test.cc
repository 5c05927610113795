// SPDX-License-Identifier: Apache-2.0
// The runner of the chain: order of the slots, where it stops, what it reports.
#include <gtest/gtest.h>

#include "sluice/iochain/dfw.h"
#include "sluice/iochain/dvfilter.h"
#include "sluice/iochain/swsec.h"
#include "tests/unit/iochain/chain_frames.h"

namespace sluice {
namespace {

using test::ip;

constexpr std::uint16_t kDvfilterBit = 1U << kSlotDvfilter, kSwsecBit = 1U << kSlotSwsec,
                        kDfwBit = 1U << kSlotDfw;

std::shared_ptr<const SlotProgram> acl(bool permit) {
    DvfilterRule rule;
    rule.permit = permit;
    return compile_dvfilter(std::vector{rule});
}
std::shared_ptr<const SlotProgram> security(const MacAddr& own) {
    SwsecInput input;
    input.mac = own;
    return compile_swsec(input);
}
std::shared_ptr<const SlotProgram> firewall(bool allow) {
    DfwInput input;
    input.default_allow = allow;
    input.default_rule = RuleId{7};
    return DfwCompiler(input).compile({});
}
ChainProgram chain(bool permit, const MacAddr& own, bool allow) {
    ChainProgram program;
    program.slots[kSlotDvfilter] = acl(permit);
    program.slots[kSlotSwsec] = security(own);
    program.slots[kSlotDfw] = firewall(allow);
    return program;
}

const FlowKey kKey = test::flow_key(ip("192.0.2.10"), ip("198.51.100.20"), 6, 1000, 80);

TEST(Chain, EmptySlotsPass) {
    const Decision decision = decide(ChainProgram{}, {kKey, Direction::kFromVm});
    EXPECT_EQ(decision.verdict, Verdict::kPass);
    EXPECT_EQ(decision.decided, 0U);
    EXPECT_EQ(decision.rule.value, 0U);
    EXPECT_FALSE(decision.stateful);
}

TEST(Chain, EverySlotThatPassesIsReported) {
    for (const Direction direction : {Direction::kFromVm, Direction::kToVm}) {
        const Decision decision = decide(chain(true, test::kOwnMac, true), {kKey, direction});
        EXPECT_EQ(decision.verdict, Verdict::kPass);
        EXPECT_EQ(decision.decided, kDvfilterBit | kSwsecBit | kDfwBit);
        EXPECT_EQ(decision.rule.value, 7U);
        EXPECT_TRUE(decision.stateful);
    }
}

TEST(Chain, FromVmTheLowestSlotDropsFirst) {
    const Decision decision =
        decide(chain(false, test::kOtherMac, false), {kKey, Direction::kFromVm});
    EXPECT_EQ(decision.verdict, Verdict::kDrop);
    EXPECT_EQ(decision.reason, DropReason::kAclDeny);
    EXPECT_EQ(decision.slot, kSlotDvfilter);
    EXPECT_EQ(decision.decided, kDvfilterBit);
}

TEST(Chain, ToVmTheHighestSlotDropsFirst) {
    const Decision decision =
        decide(chain(false, test::kOtherMac, false), {kKey, Direction::kToVm});
    EXPECT_EQ(decision.reason, DropReason::kDfwDeny);
    EXPECT_EQ(decision.slot, kSlotDfw);
    EXPECT_EQ(decision.decided, kDfwBit);
    const Decision last = decide(chain(false, test::kOtherMac, true), {kKey, Direction::kToVm});
    EXPECT_EQ(last.reason, DropReason::kAclDeny);  // Slot 1 judges frames from the VM only.
    EXPECT_EQ(last.decided, kDvfilterBit | kSwsecBit | kDfwBit);
}

TEST(Chain, StopsInTheMiddle) {
    const Decision decision =
        decide(chain(true, test::kOtherMac, true), {kKey, Direction::kFromVm});
    EXPECT_EQ(decision.reason, DropReason::kSpoofedMac);
    EXPECT_EQ(decision.slot, kSlotSwsec);
    EXPECT_EQ(decision.decided, kDvfilterBit | kSwsecBit);
    EXPECT_EQ(decision.rule.value, 0U);
}

TEST(Chain, InspectedFramesMeetAclAndSecurity) {
    const auto frame = test::parse_frame(
        test::ethernet(test::kBroadcast, test::kOwnMac, 0x0806, test::arp({})), InspectKind::kArp);
    ChainState state;
    const auto reason = [&](bool permit, const MacAddr& own) {
        return inspect(chain(permit, own, false), frame.parsed, Direction::kFromVm, &state, false,
                       0)
            .reason;
    };
    EXPECT_EQ(reason(true, test::kOwnMac), DropReason::kNone);
    EXPECT_EQ(reason(false, test::kOwnMac), DropReason::kAclDeny);
    EXPECT_EQ(reason(true, test::kOtherMac), DropReason::kSpoofedMac);
}

}  // namespace
}  // namespace sluice
