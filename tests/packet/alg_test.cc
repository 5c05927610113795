// SPDX-License-Identifier: Apache-2.0
// ALGs: what an FTP or TFTP connection announces is let through once, by its rule, and nothing else
// is. vm1 is the client; vm2, the server, drops what its rules do not allow, both ways.
#include <gtest/gtest.h>

#include "sluice/iochain/expectation_table.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr std::uint16_t kControl = 40000;

nlohmann::json policy(std::string_view rule) {
    nlohmann::json document = two_vms();
    document["dfw"] = {{"default", "drop"},
                       {"sections", {{{"name", "s"}, {"rules", {json_of(rule)}}}}}};
    return document;
}
nlohmann::json with_ftp() {
    return policy(
        R"({"name": "ftp", "destination": ["vm2"], "services": ["tcp/21"], "alg": "ftp"})");
}
nlohmann::json with_tftp() {
    return policy(
        R"({"name": "t", "destination": ["vm2"], "services": ["udp/69"], "alg": "tftp"})");
}

/// An FTP control connection from vm1 to vm2, and what else they send.
class Ftp {
public:
    explicit Ftp(Pipeline& pipeline, Path path = v4(kVm1, kVm2), std::uint16_t port = kControl)
        : p(pipeline), path_(path), port_(port) {
        p.send("vm1", tcp(path_, port_, 21, {.flags = kTcpSyn, .sequence = at_[0] - 1})).step();
        p.send("vm2", tcp(path_.back(), 21, port_,
                          {.flags = kTcpSyn | kTcpAck, .sequence = at_[1] - 1, .ack = at_[0]}))
            .step();
        p.send("vm1", tcp(path_, port_, 21, {.sequence = at_[0], .ack = at_[1]})).step();
    }

    /// The next bytes of a side.
    void client(std::string_view text, std::vector<std::uint16_t> cuts = {}) {
        p.send("vm1", client_segment(at_[0], text), std::move(cuts)).step();
        at_[0] += static_cast<std::uint32_t>(text.size());
    }
    void server(std::string_view text) {
        p.send("vm2",
               tcp(path_.back(), 21, port_,
                   {.flags = kTcpAck | kTcpPsh, .sequence = at_[1], .ack = at_[0], .text = text}))
            .step();
        at_[1] += static_cast<std::uint32_t>(text.size());
    }
    [[nodiscard]] Bytes client_segment(std::uint32_t sequence, std::string_view text) const {
        return tcp(path_, port_, 21,
                   {.flags = kTcpAck | kTcpPsh, .sequence = sequence, .ack = at_[1], .text = text});
    }
    [[nodiscard]] std::uint32_t client_at() const { return at_[0]; }
    void close() {
        p.send("vm1", tcp(path_, port_, 21,
                          {.flags = kTcpRst | kTcpAck, .sequence = at_[0], .ack = at_[1]}))
            .step();
    }

    /// Whether a SYN gets through. Forgets what else came out.
    bool opens_to_client(std::uint16_t to, std::uint16_t from = 20) {
        (void)p.sent("vm1");
        p.send("vm2", tcp(path_.back(), from, to, {.flags = kTcpSyn, .sequence = 7000})).step();
        return p.sent("vm1").size() == 1;
    }
    bool opens_to_server(std::uint16_t to, std::uint16_t from = 50000) {
        (void)p.sent("vm2");
        p.send("vm1", tcp(path_, from, to, {.flags = kTcpSyn, .sequence = 7000})).step();
        return p.sent("vm2").size() == 1;
    }
    [[nodiscard]] ExpectationTable& expectations() {
        return p.dataplane().connections().expectations();
    }

    Pipeline& p;

private:
    Path path_;
    std::uint16_t port_;
    std::uint32_t at_[2] = {1001, 5001};
};

/// With and without the flow cache, by one worker and with one for each of the two.
class FtpAlg : public testing::TestWithParam<unsigned> {
protected:
    [[nodiscard]] static PipelineOptions options() {
        PipelineOptions options;
        options.flow_cache = GetParam() % 2 == 0;
        options.worker_count = 1 + GetParam() / 2;
        return options;
    }
    Pipeline p{with_ftp(), options()};
};
INSTANTIATE_TEST_SUITE_P(Modes, FtpAlg, testing::Range(0U, 4U));

TEST_P(FtpAlg, LetsTheServerConnectToWhatPortNames) {
    Ftp ftp(p);
    EXPECT_FALSE(ftp.opens_to_client(40001));
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    EXPECT_EQ(ftp.expectations().pending(), 1u);
    EXPECT_FALSE(ftp.opens_to_client(40002)) << "another port";
    EXPECT_FALSE(ftp.opens_to_server(40001)) << "the other way";
    EXPECT_TRUE(ftp.opens_to_client(40001)) << "the very packet that was refused before";
    EXPECT_EQ(ftp.expectations().pending(), 0u);
    EXPECT_FALSE(ftp.opens_to_client(40001, 1234)) << "once";
    p.send("vm1", tcp(v4(kVm1, kVm2), 40001, 20,
                      {.flags = kTcpSyn | kTcpAck, .sequence = 9000, .ack = 7001}))
        .step()
        .send("vm2",
              tcp(v4(kVm2, kVm1), 20, 40001, {.sequence = 7001, .ack = 9001, .payload_size = 500}))
        .step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.rule("s", "ftp").hits, 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(FtpAlg, LetsTheClientConnectToWhatTheReplyNames) {
    Ftp ftp(p);
    ftp.server("220 ready\r\n");
    ftp.client("PASV\r\n");
    ftp.server("227 Entering Passive Mode (10,0,0,2,195,80).\r\n");
    EXPECT_FALSE(ftp.opens_to_server(50001));
    EXPECT_TRUE(ftp.opens_to_server(50000));
    ftp.client("EPSV\r\n");
    ftp.server("229 Entering Extended Passive Mode (|||50002|)\r\n");
    EXPECT_TRUE(ftp.opens_to_server(50002));
    EXPECT_FALSE(ftp.opens_to_server(50002, 50009));
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(FtpAlg, ReadsIpv6) {
    Ftp ftp(p, v6(kVm1, kVm2));
    ftp.client("EPRT |2|2001:db8::1|40001|\r\n");
    EXPECT_TRUE(ftp.opens_to_client(40001));
    ftp.client("PORT 10,0,0,1,156,66\r\n");
    EXPECT_FALSE(ftp.opens_to_client(40002));
    ftp.server("229 go (|||50002|)\r\n");
    EXPECT_TRUE(ftp.opens_to_server(50002));
}

TEST_P(FtpAlg, RefusesOthersAddressesAndPrivilegedPorts) {
    Ftp ftp(p);
    ftp.client("PORT 10,0,0,3,156,65\r\n");
    ftp.client("EPRT |1|10.0.0.3|40001|\r\n");
    ftp.client("PORT 10,0,0,1,0,22\r\n");
    ftp.server("227 (10,0,0,3,195,80)\r\n");
    ftp.server("227 (10,0,0,2,0,22)\r\n");
    ftp.server("229 (|||22|)\r\n");
    EXPECT_EQ(ftp.expectations().counts().refused, 6u);
    EXPECT_EQ(ftp.expectations().pending(), 0u);
    ftp.client("PORT 10,0,0,1,0,20\r\n");
    EXPECT_TRUE(ftp.opens_to_client(20));
}

TEST_P(FtpAlg, ReadsLinesAndNotSegments) {
    Ftp ftp(p);
    ftp.client("PO");
    ftp.client("RT 10,0,0,1,");
    EXPECT_EQ(ftp.expectations().pending(), 0u);
    ftp.client("156,65\r\nNOOP\r\nPORT 10,0,0,1,156,66\r\nPO");
    EXPECT_EQ(ftp.expectations().pending(), 2u);
    ftp.client("RT 10,0,0,1,156,67\r\n");
    EXPECT_TRUE(ftp.opens_to_client(40001));
    EXPECT_TRUE(ftp.opens_to_client(40002));
    EXPECT_TRUE(ftp.opens_to_client(40003));
}

TEST_P(FtpAlg, ReadsNoLineThatAServerOnlyEchoes) {
    Ftp ftp(p);
    ftp.server("500 unknown: ");
    ftp.server("227 Entering Passive Mode (10,0,0,2,195,80)\r\n");
    EXPECT_FALSE(ftp.opens_to_server(50000));
    const std::string text(500, 'x');
    ftp.server(text);
    ftp.server("227 Entering Passive Mode (10,0,0,2,195,80)\r\n");
    EXPECT_FALSE(ftp.opens_to_server(50000)) << "the end of a line that is too long to be read";
    ftp.server("227 Entering Passive Mode (10,0,0,2,195,80)\r\n");
    EXPECT_TRUE(ftp.opens_to_server(50000));
}

TEST_P(FtpAlg, FollowsSequenceNumbers) {
    Ftp ftp(p);
    const std::uint32_t at = ftp.client_at();
    ftp.client("USER x\r\n");
    p.send("vm1", ftp.client_segment(at, "PORT 10,0,0,1,156,65\r\n")).step();
    EXPECT_EQ(ftp.expectations().pending(), 0u) << "it overlaps what was read before";
    const std::uint32_t gap = ftp.client_at() + 22;
    p.send("vm1", ftp.client_segment(gap, "PORT 10,0,0,1,156,65\r\nPORT 10,0,0,1,156,66\r\n"))
        .step();
    EXPECT_EQ(ftp.expectations().pending(), 1u) << "behind a gap the first end of line counts";
    EXPECT_TRUE(ftp.opens_to_client(40002));
}

TEST_P(FtpAlg, ReadsTheSameFromAnyBuffers) {
    Ftp ftp(p);
    ftp.client("PORT 10,0,0,1,156,65\r\n", {60, 5, 1, 1, 3});
    EXPECT_TRUE(ftp.opens_to_client(40001));
}

TEST_P(FtpAlg, ReadsNothingWithAWrongChecksum) {
    Ftp ftp(p);
    Bytes frame = ftp.client_segment(ftp.client_at(), "PORT 10,0,0,1,156,65\r\n");
    frame[34 + 16] ^= 1U;
    p.send("vm1", frame).step();
    EXPECT_EQ(ftp.expectations().pending(), 0u);
}

TEST_P(FtpAlg, TakesThePromiseOfEpsvAll) {
    Ftp ftp(p);
    ftp.client("EPSV ALL\r\n");
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    ftp.server("227 (10,0,0,2,195,80)\r\n");
    EXPECT_EQ(ftp.expectations().pending(), 0u);
    ftp.server("229 (|||50002|)\r\n");
    EXPECT_TRUE(ftp.opens_to_server(50002));
}

TEST_P(FtpAlg, ForgetsWithTheParentAndInTime) {
    Ftp ftp(p);
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    p.advance(kExpectationTimeoutNs);
    EXPECT_FALSE(ftp.opens_to_client(40001));
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    ftp.close();
    EXPECT_FALSE(ftp.opens_to_client(40001));
    Ftp again(p, v4(kVm1, kVm2), 40009);
    again.client("PORT 10,0,0,1,156,65\r\n");
    p.flush_connections();
    EXPECT_FALSE(again.opens_to_client(40001));
}

TEST_P(FtpAlg, KeepsTheNewestFewOfAConnection) {
    Ftp ftp(p);
    for (unsigned port = 1; port <= 6; ++port) {
        p.advance(kMillisecond);
        ftp.client("PORT 10,0,0,1,156," + std::to_string(64 + port) + "\r\n");
    }
    EXPECT_EQ(ftp.expectations().pending(), kExpectationPerConnection);
    EXPECT_FALSE(ftp.opens_to_client(40002));
    EXPECT_TRUE(ftp.opens_to_client(40003));
    EXPECT_TRUE(ftp.opens_to_client(40006));
}

TEST_P(FtpAlg, ReadsFewAnnouncementsOfASegment) {
    Ftp ftp(p);
    std::string lines;
    for (unsigned port = 1; port <= 6; ++port) {
        lines += "PORT 10,0,0,1,156," + std::to_string(64 + port) + "\r\n";
    }
    ftp.client(lines);
    EXPECT_EQ(ftp.expectations().counts().made, kExpectationPerConnection);
    ftp.client("PORT 10,0,0,1,156,99\r\n");
    EXPECT_TRUE(ftp.opens_to_client(40035)) << "the next segment is read again";
}

TEST_P(FtpAlg, HasRoomForSixteenDataConnectionsOfTwoHosts) {
    Ftp ftp(p);
    unsigned opened = 0;
    for (unsigned port = 1; port <= 20; ++port) {
        ftp.client("PORT 10,0,0,1,156," + std::to_string(64 + port) + "\r\n");
        opened += ftp.opens_to_client(static_cast<std::uint16_t>(40000 + port)) ? 1U : 0U;
    }
    EXPECT_EQ(opened, 16u);
    EXPECT_EQ(ftp.expectations().counts().refused, 4u);
    p.advance(121 * kSecond);  // Nobody answered: they are gone, and their places free.
    ftp.client("PORT 10,0,0,1,156,99\r\n");
    EXPECT_TRUE(ftp.opens_to_client(40035));
}

TEST_P(FtpAlg, TheDataConnectionFollowsTheParentsRule) {
    Ftp ftp(p);
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    ASSERT_TRUE(ftp.opens_to_client(40001));
    p.send("vm1", tcp(v4(kVm1, kVm2), 40001, 20,
                      {.flags = kTcpSyn | kTcpAck, .sequence = 9000, .ack = 7001}))
        .step();
    const auto data = [&] {
        (void)p.sent("vm1");
        p.send("vm2", tcp(v4(kVm2, kVm1), 20, 40001, {.sequence = 7001, .ack = 9001})).step();
        return p.sent("vm1").size() == 1;
    };
    EXPECT_TRUE(data());
    nlohmann::json other = with_ftp();
    other["dfw"]["sections"][0]["rules"].push_back(
        json_of(R"({"name": "x", "services": ["tcp/1"]})"));
    p.apply(other);
    EXPECT_TRUE(data()) << "a change that does not concern it";
    ftp.close();
    p.apply(with_ftp());
    EXPECT_TRUE(data()) << "its parent is gone, its rule is not";
    other["dfw"]["sections"][0]["rules"][0].erase("alg");
    p.apply(other);
    EXPECT_FALSE(data());
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Alg, IsReadOnlyWhereARuleAsks) {
    Pipeline p(policy(R"({"name": "ftp", "destination": ["vm2"], "services": ["tcp/21"]})"));
    Ftp ftp(p);
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    EXPECT_EQ(ftp.expectations().counts().made, 0u);
    EXPECT_FALSE(ftp.opens_to_client(40001));
}

TEST(Alg, ARuleWithoutItOnTheOtherSideLetsNothingMoreIn) {
    nlohmann::json document = with_ftp();
    nlohmann::json& rules = document["dfw"]["sections"][0]["rules"];
    rules[0]["applied_to"] = {"vm2"};
    rules.push_back(json_of(R"({"name": "out", "services": ["tcp/21"], "applied_to": ["vm1"]})"));
    Pipeline p(document);
    Ftp ftp(p);
    ftp.client("PORT 10,0,0,1,156,65\r\n");
    EXPECT_EQ(ftp.expectations().pending(), 1u);
    EXPECT_FALSE(ftp.opens_to_client(40001)) << "vm1's rule does not ask for it";
}

class TftpAlg : public FtpAlg {
protected:
    static Bytes request(unsigned code) {
        return {0, static_cast<std::uint8_t>(code), 'f', 0, 'o', 0};
    }
    Pipeline t{with_tftp(), options()};
};
INSTANTIATE_TEST_SUITE_P(Modes, TftpAlg, testing::Range(0U, 4U));

TEST_P(TftpAlg, LetsTheServerAnswerFromAPortOfItsOwn) {
    t.send("vm1", udp(v4(kVm1, kVm2), 40000, 69, request(1))).step();
    ASSERT_EQ(t.sent("vm2").size(), 1u);
    t.send("vm2", udp(v4(kVm2, kVm1), 3000, 40001)).step();
    EXPECT_EQ(t.sent("vm1").size(), 0u) << "another port of the client";
    t.send("vm2", udp(v4(kVm2, kVm1), 3000, 40000)).step();
    EXPECT_EQ(t.sent("vm1").size(), 1u);
    t.send("vm1", udp(v4(kVm1, kVm2), 40000, 3000)).step();
    EXPECT_EQ(t.sent("vm2").size(), 1u);
    t.send("vm2", udp(v4(kVm2, kVm1), 3001, 40000)).step();
    EXPECT_EQ(t.sent("vm1").size(), 0u) << "once";
    EXPECT_TRUE(t.packets_conserved());
}

TEST_P(TftpAlg, ReadsEveryRequestAndNothingElse) {
    ExpectationTable& expectations = t.dataplane().connections().expectations();
    for (const unsigned code : {0U, 3U, 4U, 5U, 9U}) {
        t.send("vm1", udp(v4(kVm1, kVm2), 40000, 69, request(code))).step();
    }
    EXPECT_EQ(expectations.counts().made, 0u);
    for (int i = 0; i < 3; ++i) {
        t.send("vm1", udp(v4(kVm1, kVm2), 40000, 69, request(2))).step();
        const auto port = static_cast<std::uint16_t>(3000 + i);
        t.send("vm2", udp(v4(kVm2, kVm1), port, 40000)).step();
        EXPECT_EQ(t.sent("vm1").size(), 1u) << i;
    }
    EXPECT_EQ(expectations.counts().taken, 3u);
}

}  // namespace
}  // namespace sluice::test
