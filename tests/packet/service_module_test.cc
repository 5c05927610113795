// SPDX-License-Identifier: Apache-2.0
// In-process services in the real pipeline: what each verdict does to a packet and its connection,
// that state is a connection's own, what a module at fault or too slow costs, and the DNS filter of
// the example on real questions. With and without the flow cache.
#include "datapath/service_module.h"

#include <algorithm>
#include <memory>
#include <string>

#include "tests/packet/redirect_rig.h"

namespace sluice::test {
namespace {

using nlohmann::json;

json module_rule(const std::string& module, const json& keys = json::object()) {
    json rule = {{"name", "r"},
                 {"initiator", "out"},
                 {"applied_to", json::array({"vm1"})},
                 {"instances", json::array({{{"name", "m"}, {"module", module}}})}};
    rule.update(keys);
    return rule;
}

json with_module(const std::string& module, const json& keys = json::object()) {
    return with_chain(two_vms(), {}, module_rule(module, keys));
}

class Module : public testing::TestWithParam<bool> {
protected:
    void start(const json& document) {
        pipeline_ = std::make_unique<Pipeline>(document, PipelineOptions{.flow_cache = GetParam()});
    }
    /// True if a datagram of vm1 with this payload comes to vm2 as it was.
    bool passes(const std::string& payload, std::uint16_t source = 5000,
                std::uint16_t destination = 6000) {
        const Bytes bytes(payload.begin(), payload.end());
        const Bytes frame = udp(v4(kVm1, kVm2), source, destination, bytes);
        pipeline_->send("vm1", frame).step();
        const Frames sent = pipeline_->sent("vm2");
        EXPECT_TRUE(sent.empty() || sent == Frames{frame});
        return !sent.empty();
    }
    [[nodiscard]] std::uint64_t drops(DropReason reason) const { return pipeline_->drops(reason); }
    [[nodiscard]] const datapath::ModuleCounters& counters() const {
        const datapath::Snapshot& snapshot = pipeline_->dataplane().snapshot();
        return snapshot.service_modules.at(1)->counters()[0];
    }
    void TearDown() override { EXPECT_TRUE(pipeline_->packets_conserved()); }

    std::unique_ptr<Pipeline> pipeline_;
};

INSTANTIATE_TEST_SUITE_P(Modes, Module, testing::Bool());

TEST_P(Module, JudgesEachPacket) {
    start(with_module("erratic"));
    EXPECT_TRUE(passes("P"));
    EXPECT_FALSE(passes("D"));
    EXPECT_TRUE(passes("P"));
    EXPECT_EQ(drops(DropReason::kServiceDeny), 1U);
    const Bytes answer = udp(v4(kVm2, kVm1), 6000, 5000, Bytes{'D'});
    pipeline_->send("vm2", answer).step();
    EXPECT_EQ(pipeline_->sent("vm1"), Frames{answer});
}

TEST_P(Module, DecidesOnceAConnection) {
    start(with_module("erratic"));
    EXPECT_TRUE(passes("D", 5000, 7)) << "decided: never asked";
    EXPECT_TRUE(passes("D", 5000, 7));
    EXPECT_FALSE(passes("P", 5000, 9)) << "decided: all of it";
    EXPECT_FALSE(passes("P", 5000, 9));
    EXPECT_EQ(drops(DropReason::kServiceDeny), 2U);
}

TEST_P(Module, BypassesTheRestOfAConnection) {
    start(with_module("erratic"));
    EXPECT_TRUE(passes("B"));
    EXPECT_TRUE(passes("D")) << "not asked any more";
    EXPECT_FALSE(passes("D", 5001)) << "another connection";
}

TEST_P(Module, KeepsStateOfEachConnection) {
    start(with_module("erratic"));
    for (const std::uint16_t source : {std::uint16_t{5000}, std::uint16_t{5001}}) {
        for (int i = 0; i < 3; ++i) { EXPECT_TRUE(passes("C", source)) << source << " " << i; }
        EXPECT_FALSE(passes("C", source));
    }
    pipeline_->flush_connections();
    EXPECT_TRUE(passes("C", 5000)) << "a new connection begins with nothing";
}

TEST_P(Module, StateSurvivesAChangeOfRules) {
    start(with_module("erratic"));
    for (int i = 0; i < 3; ++i) { EXPECT_TRUE(passes("C")); }
    json changed = with_module("erratic", {{"on_failure", "closed"}});
    changed["dfw"]["sections"] = json::array(
        {{{"name", "s"}, {"rules", json::array({{{"name", "all"}, {"action", "allow"}}})}}});
    pipeline_->apply(changed);
    EXPECT_FALSE(passes("C"));
}

TEST_P(Module, AFaultIsAFailureOfTheService) {
    for (const bool is_closed : {false, true}) {
        start(with_module("erratic", {{"on_failure", is_closed ? "closed" : "open"}}));
        EXPECT_EQ(passes("T"), !is_closed) << "an exception";
        EXPECT_EQ(passes("X"), !is_closed) << "an answer that does not exist";
        EXPECT_TRUE(passes("P"));
        EXPECT_EQ(drops(DropReason::kServiceDown), is_closed ? 2U : 0U);
        EXPECT_TRUE(pipeline_->packets_conserved());
    }
}

TEST_P(Module, ASlowOneRests) {
    start(with_module("erratic", {{"on_failure", "closed"}}));
    const std::uint64_t before = counters().slow_calls.get();
    for (int i = 0; i < 128 && passes("S"); ++i) {}
    EXPECT_FALSE(passes("P"));
    EXPECT_GT(counters().slow_calls.get(), before + 32U);
    EXPECT_GE(drops(DropReason::kServiceDown), 2U);
    pipeline_->advance(datapath::kModuleRestNs + 1);
    EXPECT_TRUE(passes("P")) << "it is tried again";
}

TEST_P(Module, GoesBeforeALeg) {
    const TestService ids;
    const json rules = json::array(
        {module_rule("erratic"), service_rule(ids, {{"name", "legs"},
                                                    {"slot", 5},
                                                    {"initiator", "out"},
                                                    {"applied_to", json::array({"vm1"})}})});
    start(with_chain(two_vms(), {ids}, rules));
    EXPECT_FALSE(passes("D"));
    EXPECT_EQ(at_leg(*pipeline_, ids.in()), Frames{}) << "what a service drops goes to no other";
    EXPECT_FALSE(passes("P")) << "it waits at the leg";
    EXPECT_EQ(run(*pipeline_, {ids}), 1U);
    EXPECT_EQ(pipeline_->sent("vm2").size(), 1U);
    EXPECT_FALSE(passes("B")) << "this one is done with it, the other is not";
    EXPECT_EQ(run(*pipeline_, {ids}), 1U);
    EXPECT_EQ(pipeline_->sent("vm2").size(), 1U);
}

std::string question(const std::string& name) {
    std::string message("\x12\x34\x01\0\0\x01\0\0\0\0\0\0", 12);
    for (std::size_t at = 0; at <= name.size();) {
        const std::size_t dot = std::min(name.find('.', at), name.size());
        message += static_cast<char>(dot - at);
        message += name.substr(at, dot - at);
        at = dot + 1;
    }
    return message + std::string("\0\0\x01\0\x01", 5);
}

TEST_P(Module, TheExampleFiltersQuestions) {
    start(with_module("dns-filter"));
    EXPECT_TRUE(passes(question("www.example"), 5000, 53));
    EXPECT_FALSE(passes(question("x.ads.example"), 5000, 53)) << "by dns-filter.conf";
    EXPECT_FALSE(passes("\x01", 5000, 53)) << "malformed";
    EXPECT_TRUE(passes("\x01", 5000, 54)) << "not DNS";
    EXPECT_EQ(drops(DropReason::kServiceDeny), 2U);
    const std::string text = question("ads.example");
    const Bytes cut = udp(v6(kVm1, kVm2), 5000, 53, Bytes(text.begin(), text.end()));
    pipeline_->send("vm1", cut, {70, 9}).step();
    EXPECT_EQ(pipeline_->sent("vm2"), Frames{}) << "a question in several buffers";
    EXPECT_EQ(drops(DropReason::kServiceDeny), 3U);
}

}  // namespace
}  // namespace sluice::test
