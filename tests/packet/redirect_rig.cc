// SPDX-License-Identifier: Apache-2.0
// Redirect rig: see redirect_rig.h.
#include "tests/packet/redirect_rig.h"

#include "sluice/base/assert.h"

namespace sluice::test {
namespace {

using nlohmann::json;

constexpr unsigned kPassMax = 100;

bool is_heartbeat(const Bytes& frame) { return frame.at(12) == 0x88 && frame.at(13) == 0xb5; }

}  // namespace

json TestService::instance() const {
    json out = {{"name", name}, {"in", in()}, {"weight", weight}};
    if (has_two_legs) { out["out"] = name + "-out"; }
    return out;
}

json service_rule(const TestService& service, const json& keys) {
    json rule = {{"name", "r"}, {"slot", 4}, {"instances", json::array({service.instance()})}};
    rule.update(keys);
    return rule;
}

json with_chain(json document, const std::vector<TestService>& services, const json& rules) {
    for (const TestService& service : services) {
        document["ports"].push_back({{"name", service.in()}, {"kind", "service"}});
        if (!service.has_two_legs) { continue; }
        document["ports"].push_back({{"name", service.out()}, {"kind", "service"}});
    }
    const json list = rules.is_array() ? rules : json::array({rules});
    document["service_chains"] = json::array({{{"name", "c"}, {"rules", list}}});
    return document;
}

Frames at_leg(Pipeline& p, const std::string& leg) {
    Frames frames = p.sent(leg);
    std::erase_if(frames, is_heartbeat);
    return frames;
}

Frames pass_once(Pipeline& p, const TestService& service) {
    Frames passed;
    const auto pass = [&](std::vector<SentFrame> frames, const std::string& to) {
        for (SentFrame& frame : frames) {
            if (!is_heartbeat(frame.bytes)) { passed.push_back(frame.bytes); }
            p.send(to, QueuedFrame{std::move(frame.bytes), {}, frame.offload});
        }
    };
    std::vector<SentFrame> openers = p.port(service.in()).take_sent();
    std::vector<SentFrame> responders;
    if (service.has_two_legs) { responders = p.port(service.out()).take_sent(); }
    pass(std::move(openers), service.out());
    pass(std::move(responders), service.in());
    return passed;
}

std::size_t run(Pipeline& p, const std::vector<TestService>& services) {
    std::size_t seen = 0;
    for (unsigned round = 0; round < kPassMax; ++round) {
        p.step();
        std::size_t passed = 0;
        for (const TestService& service : services) { passed += pass_once(p, service).size(); }
        p.step();
        if (passed == 0) { return seen; }
        seen += passed;
    }
    SLUICE_ASSERT(false);  // Frames go round.
    return seen;
}

std::uint16_t vid_of(const Bytes& frame) {
    const bool is_tagged = frame.at(12) == 0x81 && frame.at(13) == 0;
    return is_tagged ? static_cast<std::uint16_t>((frame.at(14) << 8U | frame.at(15)) & 0xfffU)
                     : std::uint16_t{0};
}

Bytes untagged(const Bytes& frame) {
    Bytes out = frame;
    out.erase(out.begin() + 12, out.begin() + 16);
    return out;
}

Frames untagged(const Frames& frames) {
    Frames out;
    for (const Bytes& frame : frames) { out.push_back(untagged(frame)); }
    return out;
}

std::uint16_t instance_index(Pipeline& p, const std::string& name) {
    const auto& all = p.dataplane().snapshot().service_instances;
    for (std::size_t i = 1; i < all.size(); ++i) {
        if (all[i].name == name) { return static_cast<std::uint16_t>(i); }
    }
    SLUICE_ASSERT(false);
    return 0;
}

void set_works(Pipeline& p, const std::string& instance, bool works) {
    const auto state = works ? datapath::ServiceState::kUp : datapath::ServiceState::kDown;
    p.dataplane().services().set(instance_index(p, instance), state, p.now_ns());
}

}  // namespace sluice::test
