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

TEST(Fragments, BeforeTheirHeadWaitAndFollowIt) {
    for (const bool flow_cache : {true, false}) {
        Pipeline p(two_vms(), {.flow_cache = flow_cache});
        const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
        p.send("vm1", pieces[2]).send("vm1", pieces[1]).step();
        EXPECT_EQ(p.sent("vm2"), Frames{});
        EXPECT_EQ(p.books().held, 2u);
        EXPECT_EQ(p.books().unaccounted(), 0);
        EXPECT_EQ(p.connections().size(), 0u);
        p.send("vm1", pieces[0]).step();
        EXPECT_EQ(p.sent("vm2"), pieces) << "in order of offset";
        EXPECT_EQ(p.connections().size(), 1u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(Fragments, BeforeAHeadThatIsRefusedAreDroppedWithIt) {
    Pipeline p(no_tftp());
    const Frames pieces = fragments(udp(v6(kVm1, kVm2), 1000, 69, 1000), 400, 7);
    p.send("vm1", pieces[1]).send("vm1", pieces[2]).send("vm1", pieces[0]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 1u);
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, WhoseHeadDoesNotComeAreDroppedInTime) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"timeouts": {"fragment_v4_s": 3, "fragment_v6_s": 20}})");
    Pipeline p(document);
    p.send("vm1", fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7)[1]);
    p.send("vm1", fragments(udp(v6(kVm1, kVm2), 1000, 70, 1000), 400, 7)[1]).step();
    const auto pass = [&p](std::uint64_t ns) {
        p.advance(ns);
        for (int i = 0; i < 1000; ++i) { p.advance(kMillisecond).step(); }
        return p.drops("vm1", DropReason::kFragmentTimeout);
    };
    EXPECT_EQ(pass(kSecond), 0u);
    EXPECT_EQ(pass(kSecond), 1u);
    EXPECT_EQ(pass(14 * kSecond), 1u);
    EXPECT_EQ(pass(2 * kSecond), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, ThatWaitGoWithTheirPort) {
    Pipeline p(two_vms());
    p.send("vm1", fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7)[1]).step();
    EXPECT_EQ(p.books().held, 1u);
    const PortIndex gone = p.index_of("vm1");
    nlohmann::json document = two_vms();
    document["ports"].erase(0);
    p.apply(document);
    EXPECT_EQ(p.dataplane()
                  .worker(0)
                  .context()
                  .ports[gone.value]
                  .drops[static_cast<std::size_t>(DropReason::kFragmentNoHead)]
                  .get(),
              1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, ThatWaitLeaveBuffersForOthers) {
    Pipeline p(two_vms(), {.buffer_count = 511});
    for (std::uint32_t id = 0; id < 600; ++id) {
        p.send("vm1", fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, id)[1]);
    }
    p.step();
    EXPECT_EQ(p.books().held, 127u) << "a quarter of the pool";
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentTableFull), 600u - 127u);
    p.send("vm2", ping(v4(kVm2, kVm1))).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    p.forget_fragments();
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), 127u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, NeverCompleteADatagramOfAnotherVnic) {
    Pipeline p(three_vms());
    const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
    p.send("vm1", pieces[0]).send("vm3", pieces[1]).send("vm3", pieces[2]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{pieces[0]});
    EXPECT_EQ(p.books().held, 2u);
    p.send("vm1", pieces[1]).send("vm1", pieces[2]).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
    EXPECT_EQ(p.books().held, 2u);
}

TEST(Fragments, MalformedOnesTakeTheirDatagramWithThem) {
    Pipeline p(two_vms());
    const Bytes segment = tcp(v4(kVm1, kVm2), 1000, 80, {.flags = kTcpSyn, .payload_size = 60});
    const Frames pieces = fragments(segment, 16, 7);  // The head holds 16 bytes of the TCP header.
    p.send("vm1", pieces[3]).send("vm1", pieces[0]).send("vm1", pieces[2]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kBadFragment), 3u);
    EXPECT_TRUE(p.packets_conserved());
}

nlohmann::json guarded(bool spoofguard) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["guards"] = {{"dhcp_server", true}};
    if (spoofguard) { document["port_groups"][0]["spoofguard"] = "manual"; }
    return document;
}

/// A DISCOVER of vm1, or an OFFER of it to vm2, with some options behind it.
Bytes dhcp(bool offer, std::size_t padding = 60) {
    Bytes message(236);
    message[0] = offer ? 2 : 1;
    message[1] = 1;
    message[2] = 6;
    const Vnic& client = offer ? kVm2 : kVm1;
    std::copy(client.mac.bytes.begin(), client.mac.bytes.end(), message.begin() + 28);
    const Bytes options = {0x63, 0x82, 0x53, 0x63, 53, 1, static_cast<std::uint8_t>(offer ? 2 : 1)};
    message.insert(message.end(), options.begin(), options.end());
    message.insert(message.end(), padding, 0);
    message.push_back(255);
    const std::size_t size = message.size() + 8;
    const auto from = static_cast<std::uint8_t>(offer ? 67 : 68);
    const auto to = static_cast<std::uint8_t>(offer ? 68 : 67);
    Bytes l4 = {
        0, from, 0, to, static_cast<std::uint8_t>(size >> 8U), static_cast<std::uint8_t>(size),
        0, 0};
    for (const std::uint8_t byte : message) { l4.push_back(byte); }
    return packet(v4(kVm1, kVm2), 17, l4);  // No UDP checksum: zero.
}

TEST(Fragments, OfDhcpAreJudgedTogether) {
    Pipeline p(guarded(true));
    const Frames pieces = fragments(dhcp(false), 104, 7);
    ASSERT_GE(pieces.size(), 3u);
    for (std::size_t i = pieces.size(); i > 1; --i) { p.send("vm1", pieces[i - 1]); }
    p.step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.books().held, pieces.size() - 1);
    p.send("vm1", pieces[0]).step();
    EXPECT_EQ(p.sent("vm2"), pieces);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, OfDhcpThatIsMalformedAreAllDropped) {
    Pipeline p(guarded(false));
    Bytes message = dhcp(false);
    message[14 + 20 + 8 + 241] = 77;  // Length of option 53.
    const Frames pieces = fragments(message, 104, 7);
    for (const Bytes& piece : pieces) { p.send("vm1", piece); }
    p.step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kBadDhcp), 1u);
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), pieces.size() - 1);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, OfADhcpServerAreDroppedWithItsHead) {
    Pipeline p(guarded(false));
    for (const std::size_t size : {16U, 104U}) {
        const Frames pieces = fragments(dhcp(true), size, static_cast<std::uint32_t>(size));
        const std::uint64_t before = p.drops();
        p.send("vm1", pieces[0]).step();
        EXPECT_EQ(p.drops(), before + 1) << "at once";
        p.send("vm1", pieces[1]).step();
        EXPECT_EQ(p.drops(), before + 2);
    }
    EXPECT_EQ(p.drops("vm1", DropReason::kGuardDhcpServer), 2u);
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), 2u);
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, OfAnIcmpErrorAreJudgedByWhatTheyQuote) {
    Pipeline p(two_vms());
    const Bytes known = udp(v4(kVm1, kVm2), 1000, 70, 200);
    const Bytes unknown = udp(v4(kVm1, kVm2), 1001, 70, 200);
    p.send("vm1", known).step();
    EXPECT_EQ(p.sent("vm2"), Frames{known});
    for (const Bytes& about : {known, unknown}) {
        const Frames pieces = fragments(icmp_error(v4(kVm2, kVm1), 3, 4, about), 64, about[35]);
        for (const Bytes& piece : pieces) { p.send("vm2", piece); }
        p.step();
        EXPECT_EQ(p.sent("vm1"), about == known ? pieces : Frames{});
    }
    EXPECT_EQ(p.drops("vm2", DropReason::kIcmpNoConnection), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Fragments, ThatOverlapAreDropped) {
    Pipeline p(two_vms());
    const Frames pieces = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 400, 7);
    const Frames others = fragments(udp(v4(kVm1, kVm2), 1000, 70, 1000), 392, 7);
    p.send("vm1", pieces[0]).send("vm1", others[1]).send("vm1", pieces[1]).step();
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
    p.forget_fragments();
    p.send("vm1", pieces[1]).step();
    EXPECT_EQ(p.books().held, 1u) << "it waits for a head to come";
    EXPECT_EQ(p.sent("vm2"), Frames{pieces[0]});
}

}  // namespace
}  // namespace sluice::test
