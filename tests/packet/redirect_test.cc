// SPDX-License-Identifier: Apache-2.0
// Service redirect by legs: which connections are handed to a service, which way their frames go
// round, and what becomes of them when it fails. The table first: who opened it, whom the rule is
// about, legs, failure, with and without the flow cache.
#include <tuple>

#include "tests/packet/redirect_rig.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using enum TcpTalk::Side;

struct Case {
    const char* initiator;
    bool vm1_opens;
    bool fails_closed;
    bool has_two_legs;
    bool works;
    bool is_cached;
    bool is_tracked;  ///< The firewall is stateful.
};

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const char* initiator : {"in", "out", "both"}) {
        for (unsigned bits = 0; bits < 64; ++bits) {
            cases.push_back({initiator, (bits & 1U) != 0, (bits & 2U) != 0, (bits & 4U) != 0,
                             (bits & 8U) != 0, (bits & 16U) != 0, (bits & 32U) != 0});
        }
    }
    return cases;
}

class Redirected : public testing::TestWithParam<Case> {
protected:
    /// vm1 has the rule, vm2 none.
    Redirected() : service_{.has_two_legs = GetParam().has_two_legs} {
        const Case& c = GetParam();
        const json rule =
            service_rule(service_, {{"initiator", c.initiator},
                                    {"applied_to", json::array({"vm1"})},
                                    {"on_failure", c.fails_closed ? "closed" : "open"}});
        json document = with_chain(two_vms(), {service_}, rule);
        if (!c.is_tracked) { document["dfw"]["exclude"] = {"vm1", "vm2"}; }
        pipeline_ =
            std::make_unique<Pipeline>(document, PipelineOptions{.flow_cache = c.is_cached});
        set_works(*pipeline_, "ids", c.works);
    }
    [[nodiscard]] Pipeline& p() { return *pipeline_; }
    [[nodiscard]] bool is_chosen() const {
        const std::string wanted = GetParam().initiator;
        return wanted == "both" || wanted == (GetParam().vm1_opens ? "out" : "in");
    }
    /// Sends a frame; expects it at the service first if `by_service`, then where it goes.
    void expect_passes(const std::string& from, const std::string& to, const Bytes& frame,
                       bool by_service, bool is_openers) {
        p().send(from, frame).step();
        const Frames seen = at_leg(p(), service_.towards(is_openers));
        ASSERT_EQ(seen.size(), by_service ? 1U : 0U);
        if (by_service) {
            EXPECT_NE(vid_of(seen[0]), 0);
            EXPECT_EQ(untagged(seen[0]), frame);
            EXPECT_EQ(p().sent(to), Frames{});
            p().send(service_.back(is_openers), seen[0]).step();
        }
        EXPECT_EQ(p().sent(to), Frames{frame});
        EXPECT_EQ(at_leg(p(), service_.in()), Frames{});
        EXPECT_EQ(at_leg(p(), service_.out()), Frames{});
    }

    TestService service_;
    std::unique_ptr<Pipeline> pipeline_;
};
INSTANTIATE_TEST_SUITE_P(, Redirected, testing::ValuesIn(all_cases()), [](const auto& each) {
    const Case& c = each.param;
    return std::string(c.initiator) + (c.vm1_opens ? "Vm1" : "Vm2") +
           (c.fails_closed ? "Closed" : "Open") + (c.has_two_legs ? "TwoLegs" : "OneLeg") +
           (c.works ? "Up" : "Down") + (c.is_cached ? "Cached" : "Walked") +
           (c.is_tracked ? "Stateful" : "Stateless");
});

TEST_P(Redirected, BothWaysOfAConnectionOrNone) {
    const Case& c = GetParam();
    const std::string opener = c.vm1_opens ? "vm1" : "vm2";
    const std::string responder = c.vm1_opens ? "vm2" : "vm1";
    TcpTalk talk(c.vm1_opens ? v4(kVm1, kVm2) : v4(kVm2, kVm1));
    if (is_chosen() && !c.works && c.fails_closed) {
        p().send(opener, talk.syn()).step();
        EXPECT_EQ(p().sent(responder), Frames{});
        EXPECT_EQ(p().drops(opener, DropReason::kServiceDown), 1U);
        EXPECT_EQ(p().drops(), 1U);
    } else {
        const bool by_service = is_chosen() && c.works;
        expect_passes(opener, responder, talk.syn(), by_service, true);
        expect_passes(responder, opener, talk.syn_ack(), by_service, false);
        expect_passes(opener, responder, talk.ack(kClient), by_service, true);
        for (int i = 0; i < 3; ++i) {
            expect_passes(opener, responder, talk.data(kClient), by_service, true);
            expect_passes(responder, opener, talk.data(kServer), by_service, false);
        }
        expect_passes(opener, responder, talk.fin(kClient), by_service, true);
        expect_passes(responder, opener, talk.fin(kServer), by_service, false);
        expect_passes(opener, responder, talk.ack(kClient), by_service, true);
        EXPECT_EQ(p().drops(), 0U);
    }
    EXPECT_TRUE(p().packets_conserved());
}

TEST_P(Redirected, DatagramsAndEchoesToo) {
    const Case& c = GetParam();
    if (!c.works) { GTEST_SKIP() << "as for TCP"; }
    const std::string opener = c.vm1_opens ? "vm1" : "vm2";
    const std::string responder = c.vm1_opens ? "vm2" : "vm1";
    for (const Path& path : {c.vm1_opens ? v4(kVm1, kVm2) : v4(kVm2, kVm1),
                             c.vm1_opens ? v6(kVm1, kVm2) : v6(kVm2, kVm1)}) {
        for (int i = 0; i < 2; ++i) {
            expect_passes(opener, responder, udp(path, 1000, 53), is_chosen(), true);
            expect_passes(responder, opener, udp(path.back(), 53, 1000), is_chosen(), false);
            expect_passes(opener, responder, ping(path), is_chosen(), true);
            expect_passes(responder, opener, pong(path.back()), is_chosen(), false);
        }
    }
    EXPECT_EQ(p().drops(), 0U);
    EXPECT_TRUE(p().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
