// SPDX-License-Identifier: Apache-2.0
// RandomPolicy: a document over a fixed small universe of ports that is changed a little, at
// random, again and again. Every change gives a valid document. Seeded, repeatable.
#pragma once

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/packet/pipeline.h"

namespace sluice::test {

/// The vNICs: 0-2 on "plain" (no VLAN), 3 and 5 on "a10" (access 10), 4 on "trunk", 6 on switch
/// dvs1. A router joins "plain" (their addresses end in 1 to 3) and VLAN 10 (68 to 70).
inline constexpr std::size_t kUniverseSize = 7;
[[nodiscard]] std::string port_name(std::size_t index);
[[nodiscard]] Vnic vnic_of(std::size_t index);

class RandomPolicy {
public:
    explicit RandomPolicy(std::uint64_t seed);

    /// Changes one to three things; now and then begins anew, lest everything end up forbidden.
    void change();
    /// Changes one rule, set, tag or port, so that most flows have nothing to do with it.
    void refine();
    [[nodiscard]] const nlohmann::json& document() const noexcept { return document_; }
    [[nodiscard]] bool has_port(std::size_t index) const { return is_present_[index]; }

private:
    [[nodiscard]] unsigned below(unsigned bound) {
        return static_cast<unsigned>(random_() % bound);
    }
    [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
    template <typename List>
    [[nodiscard]] const auto& one_of(const List& list) {
        return list[below(static_cast<unsigned>(std::size(list)))];
    }
    [[nodiscard]] nlohmann::json& group() { return document_["port_groups"][below(4)]; }
    [[nodiscard]] nlohmann::json& port();
    [[nodiscard]] nlohmann::json addresses();
    [[nodiscard]] nlohmann::json services();
    [[nodiscard]] nlohmann::json rule();
    [[nodiscard]] nlohmann::json section();
    [[nodiscard]] nlohmann::json acl();
    [[nodiscard]] nlohmann::json bindings();
    void reset();
    void change_rules();
    void change_ports();
    void change_groups();
    void change_routes();
    void turn_addresses(nlohmann::json& port);
    void change_once();
    void refine_acl();
    void come_or_go();

    std::mt19937_64 random_;
    nlohmann::json document_;
    std::array<bool, kUniverseSize> is_present_;
    unsigned names_ = 0;
};

}  // namespace sluice::test
