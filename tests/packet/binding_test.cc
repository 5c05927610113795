// SPDX-License-Identifier: Apache-2.0
// Whose address it is: bindings of the document, a VLAN of a trunk at a time, and vNICs that claim
// what another one has. Each fact with cached programs and without.
#include <algorithm>

#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

const IpAddr kShared = ip("10.0.0.50"), kOther = ip("10.0.0.51");

nlohmann::json all_auto() {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["spoofguard"] = "auto";
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 0, "nd_pps": 0})");
    for (int i = 0; i < 2; ++i) { document["ports"][i].erase("ips"); }
    return document;
}

class Ownership : public testing::TestWithParam<bool> {
protected:
    void run(const nlohmann::json& document) {
        p = std::make_unique<Pipeline>(document, PipelineOptions{.flow_cache = GetParam()});
    }
    static const Vnic& vnic(const std::string& name) { return name == "vm1" ? kVm1 : kVm2; }
    static Bytes maybe_tagged(const Bytes& frame, std::uint16_t vid) {
        return vid == 0 ? frame : tagged(frame, vid);
    }
    /// True if `name`'s claim to `address` reaches vm3.
    bool claims(const std::string& name, const IpAddr& address, std::uint16_t vid = 0) {
        const MacAddr own = vnic(name).mac;
        return reaches(name,
                       maybe_tagged(arp(own, kBroadcast, {1, own, address, {}, kVm3.ip4}), vid));
    }
    /// True if its packet from `address` reaches vm3.
    bool uses(const std::string& name, const IpAddr& address, std::uint16_t vid = 0) {
        Path path = v4(vnic(name), kVm3);
        path.source = address;
        return reaches(name, maybe_tagged(udp(path, 1, 2), vid));
    }
    bool reaches(const std::string& name, const Bytes& frame) {
        static_cast<void>(p->sent("vm3"));
        p->send(name, frame).step();
        const std::vector<Bytes> out = p->sent("vm3");
        return std::count(out.begin(), out.end(), frame) == 1;
    }
    /// Ports with a row for `address`, and the one that counts.
    std::vector<PortIndex> rows(const IpAddr& address) {
        std::vector<PortIndex> out;
        const LearnedTable& table = p->dataplane().learned();
        table.for_each(0, table.used_count(), p->now_ns(), [&](const LearnedRow& row) {
            if (row.key.kind == LearnedKind::kBinding && row.key.ip_address() == address) {
                out.push_back(row.key.port);
            }
        });
        std::sort(out.begin(), out.end());
        return out;
    }
    void flush(const std::string& name) {
        datapath::FlushLearned command(
            LearnedFilter::of_port(p->index_of(name), LearnedKind::kBinding));
        p->run(0, command);
    }
    void TearDown() override { EXPECT_TRUE(p->packets_conserved()); }

    std::unique_ptr<Pipeline> p;
};
INSTANTIATE_TEST_SUITE_P(, Ownership, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(Ownership, TheSecondClaimantWaitsUntilTheFirstHasGone) {
    run(all_auto());
    EXPECT_TRUE(claims("vm1", kShared));
    EXPECT_FALSE(claims("vm2", kShared));
    EXPECT_EQ(p->drops("vm2", DropReason::kSpoofedArp), 1u);
    EXPECT_EQ(rows(kShared).size(), 2u) << "it is remembered";
    EXPECT_FALSE(uses("vm2", kShared));
    EXPECT_FALSE(uses("vm2", kShared));
    EXPECT_TRUE(uses("vm1", kShared));
    flush("vm1");
    EXPECT_TRUE(uses("vm2", kShared)) << "without asking again";
    EXPECT_FALSE(uses("vm1", kShared));
    EXPECT_FALSE(claims("vm1", kShared)) << "now it is the second";
    EXPECT_TRUE(claims("vm2", kShared));
}

TEST_P(Ownership, AgeingLetsTheWaitingOneIn) {
    nlohmann::json document = all_auto();
    document["port_groups"][0]["bindings"]["age_s"] = 30;
    run(document);
    EXPECT_TRUE(claims("vm1", kShared));
    p->advance(20 * kSecond).step();
    EXPECT_FALSE(claims("vm2", kShared));
    EXPECT_FALSE(uses("vm2", kShared));
    p->advance(15 * kSecond).step();
    EXPECT_TRUE(uses("vm2", kShared));
}

TEST_P(Ownership, ARemovedPortLetsTheWaitingOneIn) {
    run(all_auto());
    EXPECT_TRUE(claims("vm1", kShared));
    EXPECT_FALSE(claims("vm2", kShared));
    EXPECT_FALSE(uses("vm2", kShared));
    nlohmann::json document = all_auto();
    document["ports"].erase(0);
    p->apply(document);
    flush("vm1");  // As the daemon does.
    EXPECT_TRUE(uses("vm2", kShared));
}

TEST_P(Ownership, TheDocumentsOwnerComesBeforeWhoClaimed) {
    run(all_auto());
    EXPECT_TRUE(claims("vm2", kShared));
    EXPECT_TRUE(uses("vm2", kShared));
    EXPECT_TRUE(uses("vm2", kShared));
    nlohmann::json given = all_auto();
    given["ports"][0]["ips"] = {"10.0.0.50"};
    p->apply(given);
    EXPECT_FALSE(uses("vm2", kShared)) << "its cached program has gone";
    EXPECT_TRUE(uses("vm1", kShared));
    EXPECT_FALSE(claims("vm2", kShared));
    p->apply(all_auto());
    EXPECT_TRUE(uses("vm2", kShared)) << "its claim has waited";
}

TEST_P(Ownership, WithoutSpoofGuardADuplicatePassesAndIsRemembered) {
    nlohmann::json document = all_auto();
    document["port_groups"][0]["spoofguard"] = "off";
    run(document);
    EXPECT_TRUE(claims("vm1", kShared));
    EXPECT_TRUE(claims("vm2", kShared));
    EXPECT_TRUE(uses("vm2", kShared));
    EXPECT_EQ(rows(kShared).size(), 2u);
    const DomainId domain = p->dataplane().snapshot().domains[0].id;
    EXPECT_EQ(p->dataplane().learned().holder(domain, kShared, p->now_ns()), p->index_of("vm1"));
}

TEST_P(Ownership, AProbeForWhatAnotherHasIsRefused) {
    run(all_auto());
    EXPECT_TRUE(claims("vm1", kShared));
    const Bytes probe = arp(kVm2.mac, kBroadcast, {1, kVm2.mac, ip("0.0.0.0"), {}, kShared});
    EXPECT_FALSE(reaches("vm2", probe));
    EXPECT_EQ(rows(kShared).size(), 1u) << "a probe claims nothing";
    EXPECT_TRUE(claims("vm2", kOther)) << "nor does it use up the limit";
}

TEST_P(Ownership, ABindingOfAVnicsMacIsItsOwnAddress) {
    nlohmann::json document = all_auto();
    document["port_groups"][0]["spoofguard"] = "manual";
    document["bindings"] =
        json_of(R"([{"port_group": "lan", "mac": "02:00:00:00:00:01", "ip": "10.0.0.50"}])");
    run(document);
    EXPECT_TRUE(uses("vm1", kShared));
    EXPECT_TRUE(uses("vm1", kShared));
    EXPECT_TRUE(claims("vm1", kShared));
    EXPECT_TRUE(rows(kShared).empty()) << "what is given is not learned";
    EXPECT_FALSE(uses("vm1", kOther));
    EXPECT_FALSE(uses("vm2", kShared));
    document["bindings"][0]["mac"] = "02:00:00:00:00:02";
    p->apply(document);
    EXPECT_FALSE(uses("vm1", kShared)) << "its cached program has gone";
    EXPECT_TRUE(uses("vm2", kShared));
}

TEST_P(Ownership, ABindingOfAHostElsewhereIsNobodysHere) {
    nlohmann::json document = all_auto();
    run(document);
    EXPECT_TRUE(claims("vm1", kShared));
    EXPECT_TRUE(uses("vm1", kShared));
    document["bindings"] =
        json_of(R"([{"port_group": "lan", "mac": "02:00:00:00:00:77", "ip": "10.0.0.50"}])");
    p->apply(document);
    EXPECT_FALSE(uses("vm1", kShared));
    const AddressOwner* owner = p->dataplane().snapshot().domains[0].owner(kShared);
    ASSERT_NE(owner, nullptr);
    EXPECT_EQ(owner->port, kNoPort);
    EXPECT_EQ(owner->mac, mac("02:00:00:00:00:77"));
}

TEST_P(Ownership, ATrunkHasItsAddressesAVlanAtATime) {
    nlohmann::json document = all_auto();
    document["port_groups"][0]["vlan"] = json_of(R"({"mode": "trunk", "ranges": ["5-6"]})");
    document["port_groups"][0]["bindings"]["arp"] = 2;
    document["bindings"] = json_of(
        R"([{"port_group": "lan", "mac": "02:00:00:00:00:02", "ip": "10.0.0.51", "vlan": 6}])");
    run(document);
    EXPECT_TRUE(claims("vm1", kShared, 5));
    EXPECT_TRUE(uses("vm1", kShared, 5));
    EXPECT_FALSE(uses("vm1", kShared, 6)) << "claimed in VLAN 5 only";
    EXPECT_TRUE(claims("vm2", kShared, 6)) << "no duplicate: another network";
    EXPECT_FALSE(claims("vm2", kShared, 5));
    EXPECT_TRUE(uses("vm2", kOther, 6));
    EXPECT_FALSE(uses("vm2", kOther, 5));
}

}  // namespace
}  // namespace sluice::test
