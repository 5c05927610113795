// SPDX-License-Identifier: Apache-2.0
// Random segments around the edges of the windows: the inlined path for established data decides
// and records exactly what the general one does, a dropped segment changes nothing, and the
// counters of half-open connections stay true.
#include <random>

#include "iochain/dfw/tcp_tracker.h"
#include "tcp_rig.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kSeed = 20240607;

class TcpRandom : public TcpTest {
protected:
    std::uint32_t roll() { return static_cast<std::uint32_t>(random_()); }
    std::uint32_t pick(std::initializer_list<std::uint32_t> choices) {
        return choices
            .begin()[std::uniform_int_distribution<std::size_t>(0, choices.size() - 1)(random_)];
    }
    // A number near one that matters, now and then any.
    std::uint32_t near(std::initializer_list<std::uint32_t> marks) {
        if (roll() % 16 == 0) { return roll(); }
        return pick(marks) + pick({0, 0, 0, 0, 1, ~0U, 1400, ~1400U, 65535, ~66000U});
    }
    Segment segment(const Connection& record) {
        const bool from_a = roll() % 2 == 0;
        const TcpPeer& sender = record.peer[from_a ? 0 : 1];
        const TcpPeer& receiver = record.peer[from_a ? 1 : 0];
        const auto flags =
            static_cast<std::uint8_t>(pick({kA, kA, kA, kA, kPA, kPA, kPA, kFA, kS, kSA, kR, kRA}));
        Segment s{from_a ? From::kA : From::kB, flags,
                  near({sender.end, sender.end, receiver.max_ack, sender.max_end}),
                  near({receiver.end, receiver.end, sender.max_ack}),
                  pick({0, 0, 1, 10, 1400, 65495})};
        s.window = static_cast<std::uint16_t>(pick({0, 1, 1000, 65535, roll()}));
        if ((flags & kTcpSyn) != 0 && roll() % 2 == 0) {
            s.options = {1, 3, 3, static_cast<std::uint8_t>(roll() % 16)};
        }
        return s;
    }
    static bool same(const TcpPeer& x, const TcpPeer& y) {
        return std::memcmp(&x, &y, sizeof x) == 0;
    }
    static bool same(const Connection& x, const Connection& y) {
        return x.state == y.state && (x.flags | kConnHalfOpen) == (y.flags | kConnHalfOpen) &&
               same(x.peer[0], y.peer[0]) && same(x.peer[1], y.peer[1]);
    }
    std::mt19937 random_{kSeed};
};

TEST_F(TcpRandom, FastPathEqualsSlowPath) {
    std::array<unsigned, 16> visits{};
    for (int i = 0; i < 400'000; ++i) {
        if (i % 64 == 0) {
            rig.now_ns += 100'000 * kSecondNs;
            establish();
        }
        const Connection before = rig.record();
        const Frame frame = tcp_frame(segment(before));
        Connection expected = before;
        const bool from_a = frame.parsed.key.source_ip[12] == 192;
        const auto side = from_a ? ConnectionSide::kOpener : ConnectionSide::kResponder;
        const TcpOutcome outcome = track_tcp(expected, frame.parsed, side);
        const TrackOutcome work = rig.table.track(frame.parsed, rig.last, side, rig.now_ns);
        if (outcome.stale) {
            ASSERT_EQ(work.result, TrackResult::kStale) << "seed " << kSeed << " step " << i;
            i += 63 - i % 64;
            continue;
        }
        ASSERT_EQ(work.reason, outcome.reason) << "seed " << kSeed << " step " << i;
        ASSERT_TRUE(same(expected, rig.record())) << "seed " << kSeed << " step " << i;
        if (outcome.reason != DropReason::kNone) {
            ASSERT_TRUE(same(before, expected)) << "seed " << kSeed << " step " << i;
        }
        ASSERT_EQ(rig.table.half_open_of_port(kPortOfA), is_half_open(rig.state()) ? 1U : 0U);
        ++visits[static_cast<std::size_t>(rig.state())];
    }
    for (auto s = ConnectionState::kTcpSynSent; s <= ConnectionState::kTcpClose;
         s = static_cast<ConnectionState>(static_cast<unsigned>(s) + 1)) {
        EXPECT_GT(visits[static_cast<std::size_t>(s)], 100U)
            << "state " << static_cast<unsigned>(s);
    }
}

}  // namespace
}  // namespace sluice::test
