// SPDX-License-Identifier: Apache-2.0
// Services in envelopes: of this host, and of another one over VXLAN, plain and NSH. Two pipelines
// on one cable: `here` has the VMs, `there` the service.
#include <array>
#include <cstring>

#include "datapath/nsh_header.h"
#include "tests/packet/service_rig.h"

namespace sluice::test {
namespace {

constexpr std::size_t kOuter = 50;  // Ethernet, IPv4, UDP, VXLAN.
constexpr std::size_t kNsh = 14;    // In an envelope.

nlohmann::json on_cable(nlohmann::json document, int host) {
    const std::string own = std::to_string(host);
    document["uplinks"] = json_of(R"([{"name": "up", "device": "net_null0"}])");
    document["vteps"] = json_of(R"([{"name": "tep0", "uplink": "up", "mtu": 1600,
        "ip": "172.16.0.)" + own +
                                R"(/24", "mac": "02:00:00:00:99:0)" + own + "\"}]");
    document["switches"] = json_of(R"([{"name": "dvs0", "uplinks": ["up"],
        "remote_vteps": ["172.16.0.)" +
                                   std::to_string(3 - host) + "\"]}]");
    return document;
}

std::string with(const std::string& encapsulation, const std::string& rest) {
    return R"({"encapsulation": ")" + encapsulation + R"(", "vni": 6000, )" + rest + "}";
}

// Whose frames take their services elsewhere.
nlohmann::json user(const std::string& encapsulation, const std::string& on_failure = "open") {
    nlohmann::json document =
        inspected_vms(with(encapsulation, R"("in": null, "out": null, "vtep": "172.16.0.2")"),
                      R"({"on_failure": ")" + on_failure + "\"}");
    document["ports"].erase(3);
    document["ports"].erase(2);
    return on_cable(std::move(document), 1);
}

// The host of the service: it has VMs, too, but no rule is for them.
nlohmann::json server(const std::string& encapsulation) {
    return on_cable(
        inspected_vms(with(encapsulation, R"("weight": 1)"), R"({"services": ["udp/9"]})"), 2);
}

struct Hosts {
    explicit Hosts(const std::string& encapsulation, const std::string& on_failure = "open")
        : here(user(encapsulation, on_failure)), there(server(encapsulation)) {
        here.in = here.out = "up";  // It has no legs: the cable is played below.
        beat(2);
    }

    // Until nothing moves.
    Hosts& pump() {
        bool has_moved = true;
        while (has_moved) {
            here.pipeline().step();
            there.serve();
            has_moved = carry(here, there) | carry(there, here);
        }
        return *this;
    }
    Hosts& beat(unsigned count = 1) {
        for (unsigned i = 0; i < count; ++i) {
            here.pipeline().advance(kBeat);
            there.pipeline().advance(kBeat);
            pump();
        }
        return *this;
    }
    // What a VM here got, but for what the VTEPs say to all.
    [[nodiscard]] std::vector<Bytes> sent(const std::string& vm) {
        std::vector<Bytes> frames = here.pipeline().sent(vm);
        std::erase_if(frames, [](const Bytes& frame) { return frame[0] == 0xff; });
        return frames;
    }
    [[nodiscard]] bool are_balanced() {
        return here.pipeline().packets_conserved() && there.pipeline().packets_conserved();
    }

    ServiceRig here, there;
    bool is_cut = false;
    std::vector<Bytes> cable;  // From here to there.

private:
    bool carry(ServiceRig& from, ServiceRig& to) {
        bool has_moved = false;
        for (Bytes& frame : from.pipeline().sent("up")) {
            if (is_cut) { continue; }
            if (&from == &here) { cable.push_back(frame); }
            to.pipeline().send("up", std::move(frame));
            has_moved = true;
        }
        return has_moved;
    }
};

Bytes request() { return udp(v4(kVm1, kVm2), 1000, 2000); }
Bytes answer() { return udp(v4(kVm2, kVm1), 2000, 1000, 30); }

bool is_enveloped(const Bytes& frame) {
    return frame.size() > kOuter + 38 && frame[kOuter + 12] == 0x89 && frame[kOuter + 13] == 0x4f;
}
bool is_oam(const Bytes& frame) { return (frame[kOuter + kNsh] & 0x20) != 0; }

// Frames of VMs that went in envelopes from here to there.
std::vector<Bytes> enveloped(Hosts& hosts) {
    std::vector<Bytes> out;
    for (const Bytes& frame : std::exchange(hosts.cable, {})) {
        if (is_enveloped(frame) && !is_oam(frame)) { out.push_back(frame); }
    }
    return out;
}

class ServiceElsewhere : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Encapsulations, ServiceElsewhere, testing::Values("plain", "nsh"));

TEST_P(ServiceElsewhere, BothDirectionsPassItAndGoOnUnchanged) {
    Hosts hosts(GetParam());
    ASSERT_TRUE(hosts.here.works());
    hosts.here.pipeline().send("vm1", request());
    EXPECT_EQ(hosts.pump().sent("vm2"), std::vector<Bytes>{request()});
    hosts.here.pipeline().send("vm2", answer());
    EXPECT_EQ(hosts.pump().sent("vm1"), std::vector<Bytes>{answer()});
    hosts.here.pipeline().send("vm1", request());
    EXPECT_EQ(hosts.pump().sent("vm2"), std::vector<Bytes>{request()});
    EXPECT_EQ(enveloped(hosts).size(), 3U);
    EXPECT_EQ(hosts.here.returned(), 3U);
    EXPECT_EQ(hosts.there.returned(), 3U);
    EXPECT_EQ(hosts.here.pipeline().drops() + hosts.there.pipeline().drops(), 0U);
    EXPECT_TRUE(hosts.are_balanced());
}

TEST_P(ServiceElsewhere, FullFramesPass) {
    Hosts hosts(GetParam());
    const Bytes full = udp(v4(kVm1, kVm2), 1000, 2000, 1500 - 28);
    hosts.here.pipeline().send("vm1", full);
    EXPECT_EQ(hosts.pump().sent("vm2"), std::vector<Bytes>{full});
    EXPECT_TRUE(hosts.are_balanced());
}

TEST_P(ServiceElsewhere, ItsHostSaysThatItHangs) {
    Hosts hosts(GetParam());
    hosts.there.passes_in = hosts.there.passes_out = false;
    hosts.beat(kServiceHeartbeatMisses);
    EXPECT_TRUE(hosts.here.works());
    hosts.beat(2);
    EXPECT_FALSE(hosts.there.works());
    EXPECT_FALSE(hosts.here.works());
    hosts.here.pipeline().send("vm1", request());
    EXPECT_EQ(hosts.pump().sent("vm2"), std::vector<Bytes>{request()});
    EXPECT_TRUE(enveloped(hosts).empty());
    hosts.there.passes_in = hosts.there.passes_out = true;
    hosts.beat(4);
    EXPECT_TRUE(hosts.here.works());
    EXPECT_TRUE(hosts.are_balanced());
}

TEST_P(ServiceElsewhere, ACutCableIsAFailureToo) {
    Hosts hosts(GetParam(), "closed");
    hosts.is_cut = true;
    hosts.beat(kServiceHeartbeatMisses + 1);
    EXPECT_FALSE(hosts.here.works());
    hosts.here.pipeline().send("vm1", request()).step();
    EXPECT_TRUE(hosts.sent("vm2").empty());
    EXPECT_EQ(hosts.here.pipeline().drops("vm1", DropReason::kServiceDown), 1U);
}

TEST_P(ServiceElsewhere, AVtepThatIsKnownDeadIsAFailureAtOnce) {
    Hosts hosts(GetParam());
    hosts.here.pipeline().dataplane().reach().set(0, 1, false);
    hosts.beat();
    EXPECT_FALSE(hosts.here.works());
}

TEST(ServiceElsewherePlain, ItSeesATagANetworkAndWhatItInventsIsRefused) {
    Hosts hosts("plain");
    hosts.here.pipeline().send("vm1", request()).step();
    for (Bytes& frame : hosts.here.pipeline().sent("up")) {
        hosts.there.pipeline().send("up", std::move(frame));
    }
    hosts.there.pipeline().step();
    std::vector<Bytes> seen = hosts.there.pipeline().sent("ids-in");
    ASSERT_EQ(seen.size(), 1U);
    ASSERT_EQ(seen[0].size(), request().size() + 4);
    EXPECT_EQ(seen[0][12] << 8 | seen[0][13], 0x8100);
    const unsigned tag = static_cast<unsigned>(seen[0][14] << 8 | seen[0][15]);
    const auto& domains = hosts.there.pipeline().dataplane().snapshot().domains;
    for (const datapath::Domain& domain : domains) { EXPECT_NE(domain.service_vid, tag); }
    Bytes invented = seen[0];
    const Bytes other = udp({kVm1.mac, kVm2.mac, kVm1.ip4, ip("10.0.0.77")}, 1, 2);
    invented.assign(seen[0].begin(), seen[0].begin() + 16);
    invented.insert(invented.end(), other.begin() + 12, other.end());
    hosts.there.pipeline().send("ids-out", invented);
    hosts.pump();
    EXPECT_EQ(hosts.here.pipeline().drops(DropReason::kServiceReturn), 1U);
    invented[14] = 0x00;
    invented[15] = static_cast<std::uint8_t>(tag == 200 ? 201 : 200);  // Nobody's.
    hosts.there.pipeline().send("ids-out", invented);
    hosts.pump();
    EXPECT_EQ(hosts.there.pipeline().drops("ids-out", DropReason::kServiceReturn), 1U);
    EXPECT_TRUE(hosts.are_balanced());
}

TEST(ServiceElsewhereNsh, ItsHostNotesTheOriginAndCountsTheTtlDown) {
    Hosts hosts("nsh");
    hosts.here.pipeline().send("vm1", request()).step();
    for (Bytes& frame : hosts.here.pipeline().sent("up")) {
        hosts.there.pipeline().send("up", std::move(frame));
    }
    hosts.there.pipeline().step();
    const std::vector<Bytes> seen = hosts.there.pipeline().sent("ids-in");
    ASSERT_EQ(seen.size(), 1U);
    const auto header = datapath::read_nsh(seen[0]);
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(header->ttl, 62);
    EXPECT_EQ(header->what.index, 255);
    EXPECT_EQ(header->what.slot, 4);
    EXPECT_EQ(header->what.direction, Direction::kFromVm);
    EXPECT_EQ(header->what.port, hosts.here.pipeline().index_of("vm1"));
    EXPECT_NE(header->origin, 0);
    EXPECT_EQ(Bytes(seen[0].begin() + 38, seen[0].end()), request());
}

// An envelope that a host sends, changed at one byte of the network service header.
struct Mutation {
    const char* what;
    std::size_t at;
    std::uint8_t value;
};
class ForeignEnvelope : public testing::TestWithParam<Mutation> {};

TEST_P(ForeignEnvelope, IsDroppedByName) {
    Hosts hosts("nsh");
    hosts.here.pipeline().send("vm1", request());
    hosts.pump();
    std::vector<Bytes> sent = enveloped(hosts);
    ASSERT_EQ(sent.size(), 1U);
    sent[0][kOuter + GetParam().at] = GetParam().value;
    hosts.there.pipeline().send("up", sent[0]);
    hosts.pump();
    EXPECT_EQ(hosts.there.pipeline().drops(DropReason::kBadNsh), 1U) << GetParam().what;
    EXPECT_TRUE(hosts.are_balanced());
}

INSTANTIATE_TEST_SUITE_P(
    Table, ForeignEnvelope,
    testing::Values(Mutation{"ethertype", 13, 0x4e}, Mutation{"version", kNsh, 0x4f},
                    Mutation{"length", kNsh + 1, 0xc7}, Mutation{"MD type 2", kNsh + 2, 0x02},
                    Mutation{"IPv4 inside", kNsh + 3, 0x01},
                    Mutation{"unknown path", kNsh + 4, 0xee}, Mutation{"index 0", kNsh + 7, 0x00},
                    Mutation{"O without heartbeat", kNsh, 0x2f}));

TEST(ForeignEnvelopes, WithATtlOfOneGoesNoFurther) {
    Hosts hosts("nsh");
    hosts.here.pipeline().send("vm1", request());
    hosts.pump();
    std::vector<Bytes> sent = enveloped(hosts);
    ASSERT_EQ(sent.size(), 1U);
    sent[0][kOuter + kNsh] = 0x00;
    sent[0][kOuter + kNsh + 1] = 0x46;
    hosts.there.pipeline().send("up", sent[0]);
    hosts.pump();
    EXPECT_EQ(hosts.there.pipeline().drops(DropReason::kBadNsh), 1U);
}

// A service of this host that speaks NSH.

class NshLeg : public testing::Test {
protected:
    NshLeg() : rig_(inspected_vms(R"({"encapsulation": "nsh"})")) { rig_.beat(2); }

    // What the service gets of a frame that vm1 sends.
    Bytes handed(const Bytes& frame) {
        rig_.pipeline().send("vm1", frame).step();
        std::vector<Bytes> seen = rig_.pipeline().sent("ids-in");
        EXPECT_EQ(seen.size(), 1U);
        return seen.empty() ? Bytes(100) : seen[0];
    }
    std::vector<Bytes> given_back(Bytes frame, const std::string& leg = "ids-out") {
        --frame[kNsh + 7];
        rig_.pipeline().send(leg, std::move(frame)).step();
        return rig_.pipeline().sent("vm2");
    }

    ServiceRig rig_;
};

TEST_F(NshLeg, TheServiceIsToldWhoseFrameItIs) {
    const Bytes seen = handed(request());
    const auto header = datapath::read_nsh(seen);
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(header->what.path, rig_.pipeline().dataplane().snapshot().service_instances[1].path);
    EXPECT_EQ(header->what.port, rig_.pipeline().index_of("vm1"));
    EXPECT_EQ(header->what.slot, 4);
    EXPECT_EQ(header->what.direction, Direction::kFromVm);
    EXPECT_EQ(header->what.side, ConnectionSide::kOpener);
    EXPECT_TRUE(header->what.connection.is_set());
    EXPECT_EQ(Bytes(seen.begin() + 38, seen.end()), request());
    EXPECT_EQ(given_back(seen), std::vector<Bytes>{request()});
    EXPECT_TRUE(rig_.pipeline().packets_conserved());
}

TEST_F(NshLeg, TheVerdictBypassTheRestMakesTheConnectionADirectOne) {
    Bytes seen = handed(request());
    seen[kNsh + 15] |= 4;
    EXPECT_EQ(given_back(seen), std::vector<Bytes>{request()});
    rig_.pipeline().send("vm1", request()).step();
    EXPECT_EQ(rig_.pipeline().sent("vm2"), std::vector<Bytes>{request()});
    rig_.pipeline().send("vm2", answer()).step();
    EXPECT_EQ(rig_.pipeline().sent("vm1"), std::vector<Bytes>{answer()});
    EXPECT_TRUE(rig_.pipeline().sent("ids-in").empty());
    EXPECT_TRUE(rig_.pipeline().packets_conserved());
}

TEST_F(NshLeg, AVerdictOnAConnectionThatIsNotItsOwnIsNone) {
    Bytes seen = handed(request());
    Bytes forged = seen;
    forged[kNsh + 15] |= 4;
    for (const std::size_t at :
         {kNsh + 16, kNsh + 19, kNsh + 23}) {  // Index, far and near; generation.
        forged[at] ^= 0x41;
        (void)given_back(forged);
        forged[at] ^= 0x41;
    }
    rig_.pipeline().send("vm1", request()).step();
    EXPECT_EQ(rig_.pipeline().sent("ids-in").size(), 1U);
    EXPECT_TRUE(rig_.pipeline().packets_conserved());
}

struct BadReturn {
    const char* what;
    std::size_t at;
    std::uint8_t value;
    DropReason reason;
};
class BadNshReturn : public NshLeg, public testing::WithParamInterface<BadReturn> {};

TEST_P(BadNshReturn, IsDroppedByName) {
    Bytes seen = handed(request());
    seen[GetParam().at] = GetParam().value;
    EXPECT_TRUE(given_back(seen).empty()) << GetParam().what;
    EXPECT_EQ(rig_.pipeline().drops("ids-out", GetParam().reason), 1U) << GetParam().what;
    EXPECT_TRUE(rig_.pipeline().packets_conserved());
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadNshReturn,
    testing::Values(BadReturn{"path of nobody", kNsh + 4, 0xee, DropReason::kBadNsh},
                    BadReturn{"index was not counted down", kNsh + 7, 0x00, DropReason::kBadNsh},
                    BadReturn{"no VID", kNsh + 11, 0x00, DropReason::kBadNsh},
                    BadReturn{"origin of nobody", kNsh + 13, 0x40, DropReason::kBadNsh},
                    BadReturn{"version", kNsh, 0x4f, DropReason::kBadNsh},
                    BadReturn{"O without heartbeat", kNsh, 0x2f, DropReason::kBadNsh}));

TEST_F(NshLeg, AnEnvelopeInAnEnvelopeIsNoFrame) {
    const Bytes seen = handed(request());
    Bytes nested(seen.begin(), seen.begin() + 38);
    nested.insert(nested.end(), seen.begin(), seen.end());
    EXPECT_TRUE(given_back(nested).empty());
    EXPECT_EQ(rig_.pipeline().drops(), 1U);
    EXPECT_TRUE(rig_.pipeline().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
