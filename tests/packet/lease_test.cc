// SPDX-License-Identifier: Apache-2.0
// DHCP snooping under SpoofGuard `auto`: what a server lends is the vNIC's from the moment on that
// its ACK is switched, and until the lease ends; nothing else makes a lease. vm1 asks, vm2 is the
// server on a trusted port, vm3 looks on. Each fact with cached programs, without, and with the two
// vNICs on different workers.
#include <algorithm>

#include "tests/packet/dhcp_frames.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const IpAddr kLeased = ip("10.0.0.100"), kLeased6 = ip("2001:db8::100"), kNowhere = ip("0.0.0.0");
const IpAddr kLocal6 = ip("fe80::ff:fe00:1"), kServers6 = ip("ff02::1:2");
const MacAddr kServersMac6 = mac("33:33:00:01:00:02");
const Bytes kDuid = option6(1, {0, 3, 0, 1, 2, 0, 0, 0, 0, 1});
constexpr std::uint32_t kInfinite = 0xffffffff;

nlohmann::json guarded_and_server() {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["spoofguard"] = "auto";
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 0, "nd_pps": 0, "dhcp_pps": 0})");
    document["port_groups"].push_back(
        {{"name", "servers"}, {"switch", "dvs0"}, {"guards", {{"dhcp_server", false}}}});
    document["ports"][0].erase("ips");
    document["ports"][1]["port_group"] = "servers";
    document["ports"][2].erase("ips");
    return document;
}

struct Mode {
    const char* name;
    bool flow_cache;
    unsigned workers;
};

class Leases : public testing::TestWithParam<Mode> {
protected:
    static PipelineOptions options() {
        PipelineOptions out;
        out.flow_cache = GetParam().flow_cache;
        out.worker_count = GetParam().workers;
        return out;
    }
    /// What came out to a vNIC so far is of no interest.
    void forget(const char* port) { static_cast<void>(p.sent(port)); }
    /// vm1's packets from its leased address get through.
    bool may_send(const IpAddr& from) {
        Path path = from.is_v6() ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
        path.source = from;
        const Bytes frame = udp(path, 1, 2);
        p.send("vm1", frame).step();
        const Frames out = p.sent("vm2");
        return std::count(out.begin(), out.end(), frame) == 1;
    }
    void ask(std::uint8_t type, const Bytes& more = {}, std::uint32_t xid = 0x11223344) {
        p.send("vm1", from_client4(kVm1.mac, type4(type) + more, xid)).step();
        forget("vm2");
    }
    void request(std::uint32_t xid = 0x11223344) {
        ask(kDhcpRequest, ip4(50, kLeased) + ip4(54, kVm2.ip4), xid);
    }
    void answer(const Bytes& options, const IpAddr& your_ip = kLeased,
                std::uint32_t xid = 0x11223344) {
        p.send("vm2", from_server4(kVm2, kVm1.mac, your_ip, options, xid)).step();
    }
    void acknowledge(std::uint32_t seconds, const IpAddr& your_ip = kLeased) {
        answer(type4(kDhcpAck) + lease4(seconds), your_ip);
    }
    std::optional<LearnedValue> row(const IpAddr& address, const char* port = "vm1") {
        std::optional<LearnedValue> found;
        const LearnedTable& table = p.dataplane().learned();
        table.for_each(0, table.used_count(), p.now_ns(), [&](const LearnedRow& each) {
            if (each.key.kind == LearnedKind::kBinding && each.key.port == p.index_of(port) &&
                each.key.ip_address() == address) {
                found = each.value;
            }
        });
        return found;
    }
    bool is_leased(const IpAddr& address = kLeased) {
        const auto found = row(address);
        return found && found->source == LearnedSource::kDhcp;
    }

    void ask6(std::uint8_t type, const Bytes& more = {}, std::uint32_t transaction = 0xabcdef) {
        const Path path{kVm1.mac, kServersMac6, kLocal6, kServers6};
        p.send("vm1", datagram(path, 546, 547, message6(type, transaction, kDuid + more))).step();
        forget("vm2");
    }
    void reply6(const Bytes& options, std::uint32_t transaction = 0xabcdef) {
        const Path path{kVm2.mac, kVm1.mac, kVm2.ip6, kLocal6};
        p.send("vm2", datagram(path, 547, 546, message6(7, transaction, options))).step();
    }
    /// vm1's link-local address is the first that it uses.
    void use_link_local() {
        p.send("vm1", neighbour({kVm1.mac, kVm2.mac, kLocal6, kVm2.ip6}, 135, kVm2.ip6)).step();
        forget("vm2");
    }

    void TearDown() override { EXPECT_TRUE(p.packets_conserved()); }

    Pipeline p{guarded_and_server(), options()};
};

TEST_P(Leases, TheFirstPacketAfterTheAckPasses) {
    EXPECT_FALSE(may_send(kLeased)) << "before it is lent";
    ask(kDhcpDiscover);
    answer(type4(kDhcpOffer) + lease4(3600));
    EXPECT_FALSE(may_send(kLeased)) << "an offer is none";
    request();
    EXPECT_FALSE(may_send(kLeased)) << "nor is a request";
    acknowledge(3600);
    EXPECT_EQ(p.sent("vm1").size(), 2u) << "the offer and the ACK";
    EXPECT_TRUE(may_send(kLeased));
    EXPECT_TRUE(may_send(kLeased));
    const auto lease = row(kLeased);
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->mac, kVm1.mac);
    EXPECT_EQ(lease->expires_ns, p.now_ns() + 3600 * kSecond);
    EXPECT_FALSE(row(kLeased, "vm3"));
}

TEST_P(Leases, IsInForceWhenTheVmHasTheAck) {
    request();
    p.send("vm2", from_server4(kVm2, kVm1.mac, kLeased, type4(kDhcpAck) + lease4(60)));
    while (p.sent("vm1").empty()) {
        for (unsigned worker = 0; worker < GetParam().workers; ++worker) { p.poll(worker); }
    }
    EXPECT_TRUE(may_send(kLeased));
}

TEST_P(Leases, ABroadcastAckLendsToo) {
    request();
    p.send("vm2",
           from_server4(kVm2, kVm1.mac, kLeased, type4(kDhcpAck) + lease4(60), 0x11223344, true))
        .step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.sent("vm3").size(), 2u) << "it heard the question, too";
    EXPECT_TRUE(may_send(kLeased));
}

TEST_P(Leases, AnAckThatNobodyAskedForLendsNothing) {
    acknowledge(3600);
    EXPECT_FALSE(is_leased());
    request();
    answer(type4(kDhcpAck) + lease4(3600), kLeased, 0x99999999);
    EXPECT_FALSE(is_leased()) << "another transaction";
    p.send("vm2", from_server4(kVm2, kVm3.mac, kLeased, type4(kDhcpAck) + lease4(60))).step();
    EXPECT_FALSE(is_leased()) << "another client";
    EXPECT_FALSE(row(kLeased, "vm3"));
    EXPECT_FALSE(may_send(kLeased));
}

TEST_P(Leases, TheQuestionIsForgottenAfterTwoMinutes) {
    request();
    p.advance(std::uint64_t{kDhcpClientSeconds} * kSecond + kSecond).step();
    acknowledge(3600);
    EXPECT_FALSE(is_leased());
}

TEST_P(Leases, AServerBehindAGuardLendsNothing) {
    request();
    p.send("vm3", from_server4(kVm3, kVm1.mac, kLeased, type4(kDhcpAck) + lease4(3600))).step();
    EXPECT_EQ(p.drops("vm3", DropReason::kGuardDhcpServer), 1u);
    EXPECT_FALSE(is_leased());
}

TEST_P(Leases, EndsWhenTheServerSaid) {
    request();
    acknowledge(60);
    EXPECT_TRUE(may_send(kLeased));
    p.advance(59 * kSecond).step();
    EXPECT_TRUE(may_send(kLeased)) << "traffic does not prolong it";
    p.advance(2 * kSecond).step();
    EXPECT_FALSE(may_send(kLeased));
    EXPECT_FALSE(row(kLeased));
}

TEST_P(Leases, RenewalByUnicastProlongs) {
    request();
    acknowledge(60);
    p.advance(30 * kSecond).step();
    Dhcp4Fields renewal;
    renewal.xid = 7;
    renewal.client = kVm1.mac;
    renewal.client_ip = kLeased;
    renewal.options = type4(kDhcpRequest) + Bytes{255};
    const Path path{kVm1.mac, kVm2.mac, kLeased, kVm2.ip4};
    p.send("vm1", datagram(path, 68, 67, dhcp4_payload(renewal))).step();
    answer(type4(kDhcpAck) + lease4(60), kLeased, 7);
    p.advance(40 * kSecond).step();
    forget("vm2");
    EXPECT_TRUE(may_send(kLeased));
}

TEST_P(Leases, WithoutALeaseTimeOrWithNoneNothingIsLent) {
    request();
    answer(type4(kDhcpAck));
    EXPECT_FALSE(is_leased());
    acknowledge(0);
    EXPECT_FALSE(is_leased());
    acknowledge(kInfinite);
    ASSERT_TRUE(is_leased());
    EXPECT_EQ(row(kLeased)->expires_ns, 0u);
    acknowledge(0);
    EXPECT_FALSE(is_leased()) << "a lease of 0 ends it";
}

TEST_P(Leases, AnAddressThatNoHostCanHaveIsNotLent) {
    request();
    for (const char* address :
         {"0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "240.1.1.1"}) {
        Dhcp4Fields ack;
        ack.operation = 2;
        ack.client = kVm1.mac;
        ack.your_ip = ip(address);
        ack.options = type4(kDhcpAck) + lease4(60) + Bytes{255};
        const Path path{kVm2.mac, kVm1.mac, kVm2.ip4, kLeased};
        p.send("vm2", datagram(path, 67, 68, dhcp4_payload(ack))).step();
        EXPECT_FALSE(row(ip(address))) << address;
    }
    answer(type4(kDhcpAck) + lease4(60) + ip4(3, kLeased));
    EXPECT_FALSE(is_leased()) << "the gateway's";
    answer(type4(kDhcpAck) + lease4(60) + ip4(54, kLeased));
    EXPECT_FALSE(is_leased()) << "the server's";
}

TEST_P(Leases, AnInformLendsNothing) {
    ask(kDhcpInform);
    acknowledge(60);
    EXPECT_FALSE(is_leased());
}

TEST_P(Leases, RapidCommitNeedsBothSides) {
    ask(kDhcpDiscover);
    answer(type4(kDhcpAck) + lease4(60) + option4(80, {}));
    EXPECT_FALSE(is_leased()) << "not asked for";
    ask(kDhcpDiscover, option4(80, {}));
    acknowledge(60);
    EXPECT_FALSE(is_leased()) << "not granted";
    answer(type4(kDhcpAck) + lease4(60) + option4(80, {}));
    EXPECT_TRUE(is_leased());
}

TEST_P(Leases, NakEndsWhatWasAskedFor) {
    request();
    acknowledge(60);
    p.send("vm2", from_server4(kVm2, kVm1.mac, kNowhere, type4(kDhcpNak), 5)).step();
    EXPECT_TRUE(is_leased()) << "another transaction";
    request(5);
    p.send("vm2", from_server4(kVm2, kVm1.mac, kNowhere, type4(kDhcpNak), 5)).step();
    EXPECT_FALSE(is_leased());
    EXPECT_FALSE(may_send(kLeased));
}

TEST_P(Leases, ReleaseAndDeclineEndTheOwnersLeaseOnly) {
    request();
    acknowledge(60);
    p.send("vm3", from_client4(kVm3.mac, type4(kDhcpRelease), 8, kLeased)).step();
    p.send("vm3", from_client4(kVm1.mac, type4(kDhcpRelease), 8, kLeased)).step();
    forget("vm2");
    EXPECT_TRUE(is_leased());
    EXPECT_TRUE(may_send(kLeased));
    p.send("vm1", from_client4(kVm1.mac, type4(kDhcpRelease), 8, kLeased)).step();
    EXPECT_FALSE(is_leased());
    EXPECT_FALSE(may_send(kLeased));
    request();
    acknowledge(60);
    ask(kDhcpDecline, ip4(50, kLeased));
    EXPECT_FALSE(is_leased());
}

TEST_P(Leases, DoNotCountAsFirstUse) {
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, ip("10.0.0.50"), {}, kVm2.ip4})).step();
    request();
    acknowledge(60);
    forget("vm2");
    EXPECT_TRUE(may_send(ip("10.0.0.50"))) << "the one address of first use";
    EXPECT_TRUE(may_send(kLeased));
}

TEST_P(Leases, AClaimToItsLeaseIsItsOwn) {
    request();
    acknowledge(60);
    forget("vm1");
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kLeased, {}, kLeased})).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_TRUE(is_leased()) << "and stays a lease";
    EXPECT_EQ(row(kLeased)->expires_ns, p.now_ns() + 60 * kSecond);
}

TEST_P(Leases, ALeaseTakesTheAddressFromWhoClaimedItFirst) {
    const Bytes claim = arp(kVm3.mac, kBroadcast, {1, kVm3.mac, kLeased, {}, kVm2.ip4});
    p.send("vm3", claim).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    request();
    acknowledge(60);
    EXPECT_TRUE(may_send(kLeased));
    p.send("vm3", claim).step();
    EXPECT_EQ(p.drops("vm3", DropReason::kSpoofedArp), 1u);
    EXPECT_TRUE(row(kLeased, "vm3")) << "it waits";
    p.advance(61 * kSecond).step();
    forget("vm2");
    p.send("vm3", claim).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u) << "until the lease ends";
}

TEST_P(Leases, OptionsInOverloadedFieldsAndInPiecesCount) {
    request();
    Dhcp4Fields ack;
    ack.operation = 2;
    ack.client = kVm1.mac;
    ack.your_ip = kLeased;
    ack.options = option4(51, {0, 0}) + option4(52, {3}) + Bytes{255} + type4(kDhcpNak);
    Bytes payload = dhcp4_payload(ack);
    const Bytes file = type4(kDhcpAck) + Bytes{255}, sname = option4(51, {0, 60}) + Bytes{255};
    std::copy(file.begin(), file.end(), payload.begin() + 108);
    std::copy(sname.begin(), sname.end(), payload.begin() + 44);
    const Path path{kVm2.mac, kVm1.mac, kVm2.ip4, kLeased};
    p.send("vm2", datagram(path, 67, 68, payload)).step();
    ASSERT_TRUE(is_leased());
    EXPECT_EQ(row(kLeased)->expires_ns, p.now_ns() + 60 * kSecond);
}

TEST_P(Leases, AreOfTheDomainWhereTheyWereMade) {
    request();
    acknowledge(60);
    nlohmann::json document = guarded_and_server();
    document["ports"][0]["overrides"]["vlan"] = json_of(R"({"mode": "access", "id": 7})");
    p.apply(document);
    document["ports"][1]["overrides"]["vlan"] = json_of(R"({"mode": "access", "id": 7})");
    p.apply(document);
    EXPECT_FALSE(may_send(kLeased));
}

TEST_P(Leases, Ipv6RequestAndReplyLend) {
    use_link_local();
    ask6(1);
    reply6(kDuid + association6(address6(kLeased6, 50, 60)));
    EXPECT_FALSE(is_leased(kLeased6)) << "a reply to a solicitation needs rapid commit";
    ask6(3, association6(address6(kLeased6, 0, 0)));
    EXPECT_FALSE(may_send(kLeased6));
    reply6(kDuid + association6(address6(kLeased6, 50, 60)));
    EXPECT_TRUE(may_send(kLeased6));
    ASSERT_TRUE(is_leased(kLeased6));
    EXPECT_EQ(row(kLeased6)->expires_ns, p.now_ns() + 60 * kSecond);
    p.advance(30 * kSecond).step();
    ask6(5, association6(address6(kLeased6, 0, 0)), 2);
    reply6(kDuid + association6(address6(kLeased6, 60, 60)), 2);
    p.advance(40 * kSecond).step();
    forget("vm2");
    EXPECT_TRUE(may_send(kLeased6)) << "renewed";
    p.advance(30 * kSecond).step();
    EXPECT_FALSE(may_send(kLeased6));
}

TEST_P(Leases, Ipv6RepliesThatDoNotFitLendNothing) {
    use_link_local();
    const Bytes lease = association6(address6(kLeased6, 60, 60));
    reply6(kDuid + lease);
    EXPECT_FALSE(is_leased(kLeased6)) << "nobody asked";
    ask6(3);
    reply6(kDuid + lease, 1);
    EXPECT_FALSE(is_leased(kLeased6)) << "another transaction";
    reply6(option6(1, {0, 3, 0, 1, 2, 0, 0, 0, 0, 9}) + lease);
    EXPECT_FALSE(is_leased(kLeased6)) << "another client's";
    reply6(kDuid + status6(1) + lease);
    EXPECT_FALSE(is_leased(kLeased6)) << "a failure";
    reply6(kDuid + association6(address6(kLeased6, 60, 60) + status6(2)));
    EXPECT_FALSE(is_leased(kLeased6)) << "a failure of the association";
    reply6(kDuid + association6(address6(kLeased6, 60, 60, status6(2))));
    EXPECT_FALSE(is_leased(kLeased6)) << "a failure of the address";
    reply6(kDuid + association6(address6(kLeased6, 61, 60)));
    EXPECT_FALSE(is_leased(kLeased6)) << "preferred longer than valid";
    reply6(kDuid + association6(address6(kLeased6, 60, 60), 25));
    EXPECT_FALSE(is_leased(kLeased6)) << "prefixes are not the VM's addresses";
    const Path elsewhere{kVm2.mac, kVm3.mac, kVm2.ip6, kLocal6};
    p.send("vm2", datagram(elsewhere, 547, 546, message6(7, 0xabcdef, kDuid + lease))).step();
    EXPECT_FALSE(is_leased(kLeased6)) << "to another MAC";
}

TEST_P(Leases, Ipv6TemporaryInfiniteAndRapidOnesAreLentAndReleased) {
    use_link_local();
    ask6(1, option6(14, {}));
    reply6(kDuid + option6(14, {}) + association6(address6(kLeased6, 60, kInfinite), 4));
    ASSERT_TRUE(is_leased(kLeased6));
    EXPECT_EQ(row(kLeased6)->expires_ns, 0u);
    ask6(8, association6(address6(kLeased6, 0, 0), 4), 3);
    EXPECT_FALSE(is_leased(kLeased6));
    ask6(6, association6(address6(kLeased6, 0, 0)), 4);
    reply6(kDuid + association6(address6(kLeased6, 60, 60)), 4);
    EXPECT_TRUE(is_leased(kLeased6)) << "REBIND";
    ask6(5, association6(address6(kLeased6, 0, 0)), 5);
    reply6(kDuid + association6(address6(kLeased6, 0, 0)), 5);
    EXPECT_FALSE(is_leased(kLeased6)) << "a lifetime of 0 ends it";
}

TEST_P(Leases, AServerBehindAnUplinkLends) {
    auto next = std::make_unique<datapath::Snapshot>(p.dataplane().snapshot());
    ++next->generation;
    const PortIndex server = p.index_of("vm2");
    datapath::PortConfig& port = *next->ports[server.value];
    port.is_uplink = true;
    port.policy_epoch = next->generation;
    port.chain = std::make_shared<const ChainProgram>();
    datapath::Domain& domain = next->domains[0];
    std::erase(domain.members, server);
    auto macs = domain.macs.rows();
    std::erase_if(macs, [&](const auto& row) { return row.port == server; });
    domain.macs = datapath::MacTable(std::move(macs));
    domain.fabric = {server};
    domain.team = static_cast<std::uint16_t>(next->teams.size());
    next->teams.push_back({model::TeamingPolicy::kPortId, false, {server}, {}});
    domain.epoch = next->generation;
    static_cast<void>(p.dataplane().publish(std::move(next)));
    p.step();
    p.dataplane().reclaim();
    request();
    acknowledge(60);
    EXPECT_TRUE(may_send(kLeased));
}

TEST_P(Leases, WhoAsksInAnothersNameGetsNothing) {
    nlohmann::json document = guarded_and_server();
    document["ports"][2]["port_group"] = "servers";
    p.apply(document);
    Dhcp4Fields question;
    question.client = kVm1.mac;
    question.options = type4(kDhcpRequest) + Bytes{255};
    const Path path{kVm3.mac, kBroadcast, kNowhere, ip("255.255.255.255")};
    p.send("vm3", datagram(path, 68, 67, dhcp4_payload(question))).step();
    acknowledge(60);
    EXPECT_FALSE(row(kLeased, "vm3"));
    EXPECT_FALSE(row(kLeased, "vm1"));
}

TEST_P(Leases, AVnicHasOnlySoManyQuestions) {
    for (std::uint32_t xid = 1; xid <= kDhcpClientPerPortMax + 1; ++xid) { request(xid); }
    answer(type4(kDhcpAck) + lease4(60), kLeased, kDhcpClientPerPortMax + 1);
    EXPECT_FALSE(is_leased());
    answer(type4(kDhcpAck) + lease4(60), kLeased, kDhcpClientPerPortMax);
    EXPECT_TRUE(is_leased());
}

INSTANTIATE_TEST_SUITE_P(, Leases,
                         testing::Values(Mode{"Cached", true, 1}, Mode{"Walked", false, 1},
                                         Mode{"TwoWorkers", true, 2}),
                         [](const auto& mode) { return std::string(mode.param.name); });

}  // namespace
}  // namespace sluice::test
