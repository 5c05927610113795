// SPDX-License-Identifier: Apache-2.0
// RandomTraffic: frames over the universe of random_policy.h. Few addresses and ports, so that
// flows repeat and meet; TCP conversations that mostly go well; UDP, ICMP, errors, ARP, ND, DHCP,
// fragments, tags, groups, and frames broken in many ways. Seeded, repeatable, blind to verdicts.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <random>

#include "tests/packet/random_policy.h"

namespace sluice::test {

/// A frame and the vNIC that sends it.
struct Sending {
    std::size_t port = 0;
    QueuedFrame frame;
};

class RandomTraffic {
public:
    explicit RandomTraffic(std::uint64_t seed);
    [[nodiscard]] Sending next();

private:
    /// A TCP conversation between vNICs ends[0] (the client) and ends[1].
    struct Talk {
        std::array<std::size_t, 2> ends{};
        bool is_v6 = false;
        std::uint16_t client_port = 0, server_port = 0;
        unsigned phase = 0;
        std::array<std::uint32_t, 2> sequence{};
        unsigned closer = 0;
    };

    [[nodiscard]] unsigned below(unsigned bound) {
        return static_cast<unsigned>(random_() % bound);
    }
    [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
    [[nodiscard]] std::size_t any_port() { return chance(75) ? below(3) : below(kUniverseSize); }
    [[nodiscard]] std::size_t other_port(std::size_t port);
    [[nodiscard]] Path path(std::size_t from, std::size_t to, bool is_v6);
    [[nodiscard]] IpAddr elsewhere(bool is_v6);
    void restart(Talk& talk);
    [[nodiscard]] Sending segment(Talk& talk, unsigned side, TcpFields fields);
    [[nodiscard]] Sending tcp_next();
    [[nodiscard]] Sending datagram();
    [[nodiscard]] Sending query();
    [[nodiscard]] Sending error();
    [[nodiscard]] Sending conversation();
    [[nodiscard]] Sending group_frame();
    [[nodiscard]] Sending nested();
    [[nodiscard]] Sending membership();
    [[nodiscard]] Sending oddity();
    [[nodiscard]] Sending start_fragments();
    void damage(Bytes& frame);
    void dress(Sending& sending);

    std::mt19937_64 random_;
    std::array<Talk, 48> talks_;
    std::size_t talk_ = 0;
    std::deque<Sending> waiting_;  // Fragments.
    std::array<Sending, 32> recent_;
};

}  // namespace sluice::test
