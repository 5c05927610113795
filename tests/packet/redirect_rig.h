// SPDX-License-Identifier: Apache-2.0
// Redirect rig: service chains in documents, and services as the test plays them: bumps in the wire
// that hand each frame from one leg to the other, or back by the only one. Heartbeats pass by
// themselves and are not shown.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "tests/packet/pipeline.h"

namespace sluice::test {

using Frames = std::vector<Bytes>;

/// One service as documents name it: instance "NAME", legs "NAME-in" and "NAME-out".
struct TestService {
    std::string name = "ids";
    bool has_two_legs = true;
    unsigned weight = 1;

    [[nodiscard]] std::string in() const { return name + "-in"; }
    [[nodiscard]] std::string out() const { return has_two_legs ? name + "-out" : in(); }
    /// The leg by which frames of one side of a connection go to it.
    [[nodiscard]] std::string towards(bool is_openers) const { return is_openers ? in() : out(); }
    [[nodiscard]] std::string back(bool is_openers) const { return is_openers ? out() : in(); }
    [[nodiscard]] nlohmann::json instance() const;
};

/// A rule "r" of chain "c" that hands everything to `service`, with `keys` put over it.
[[nodiscard]] nlohmann::json service_rule(const TestService& service,
                                          const nlohmann::json& keys = nlohmann::json::object());
/// Adds the ports of `services` and one chain "c" with `rules`.
[[nodiscard]] nlohmann::json with_chain(nlohmann::json document,
                                        const std::vector<TestService>& services,
                                        const nlohmann::json& rules);

/// What came out of a service's leg since the last call: frames that are no heartbeats.
[[nodiscard]] Frames at_leg(Pipeline& p, const std::string& leg);
/// Hands what a service got to the leg that it leaves by, once. Returns what passed, both ways.
Frames pass_once(Pipeline& p, const TestService& service);
/// Steps, and lets the services pass frames until none moves any more. Returns how many they saw.
std::size_t run(Pipeline& p, const std::vector<TestService>& services);
/// The VID in the tag of a frame; 0: it has none.
[[nodiscard]] std::uint16_t vid_of(const Bytes& frame);
/// A tagged frame without its tag.
[[nodiscard]] Bytes untagged(const Bytes& frame);
[[nodiscard]] Frames untagged(const Frames& frames);
/// Says whether an instance works, as its heartbeats would.
void set_works(Pipeline& p, const std::string& instance, bool works);
[[nodiscard]] std::uint16_t instance_index(Pipeline& p, const std::string& name);

}  // namespace sluice::test
