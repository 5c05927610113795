// SPDX-License-Identifier: Apache-2.0
// Fragments are judged like the datagram that they are pieces of, and open a connection only when
// all have come.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

nlohmann::json no_tftp() {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "services": ["udp/69"]}]}]})");
    return document;
}

TEST(Fragments, FollowTheirHead) {
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        Pipeline p(no_tftp());
        const Frames good = fragments(udp(path, 1000, 70, 1000), 400, 7);
        const Frames bad = fragments(udp(path, 1000, 69, 1000), 400, 8);
        for (std::size_t i = 0; i < good.size(); ++i) {
            p.send("vm1", bad[i]).send("vm1", good[i]);
        }
        p.step();
        EXPECT_EQ(p.sent("vm2"), good);
        EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 1u) << "the head";
        EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), bad.size() - 1) << "what follows it";
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(Fragments, OpenAConnectionWhenTheLastHasCome) {
    Pipeline p(two_vms());
    const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
    ASSERT_EQ(pieces.size(), 3u);
    p.send("vm1", pieces[0]).send("vm1", pieces[1]).step();
    EXPECT_EQ(p.connections().size(), 0u);
    p.send("vm1", pieces[2]).step();
    ASSERT_EQ(p.connections().size(), 1u);
    p.send("vm2", udp(v4(kVm2, kVm1), 70, 1000)).step();
    EXPECT_EQ(p.connections()[0].state, ConnectionState::kUdpTwoWay);
}

TEST(Fragments, WithoutTheirHeadAreDropped) {
    Pipeline p(two_vms());
    const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
    p.send("vm1", pieces[1]).send("vm1", pieces[2]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), 2u);
}

TEST(Fragments, ThatOverlapAreDropped) {
    Pipeline p(two_vms());
    const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
    p.send("vm1", pieces[0]).send("vm1", pieces[0]).send("vm1", pieces[1]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{pieces[0]});
    EXPECT_EQ(p.drops("vm1", DropReason::kBadFragment), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, OfAConnectionThatRunsAreTrackedWithIt) {
    Pipeline p(two_vms());
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 70)).step();
    for (const Bytes& piece : fragments(udp(v4(kVm2, kVm1), 70, 1000, 900), 400, 9)) {
        p.send("vm2", piece);
    }
    p.step();
    EXPECT_EQ(p.sent("vm1").size(), 3u);
    ASSERT_EQ(p.connections().size(), 1u);
    EXPECT_EQ(p.connections()[0].state, ConnectionState::kUdpTwoWay);
}

TEST(Fragments, AreForgottenWhenFlowsAreFlushed) {
    Pipeline p(two_vms());
    const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
    p.send("vm1", pieces[0]).step();
    datapath::FlushFlows command;
    p.run(0, command);
    p.send("vm1", pieces[1]).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), 1u);
}

}  // namespace
}  // namespace sluice::test
