// SPDX-License-Identifier: Apache-2.0
// The replay window against a model that keeps every number; numbers past 2^32; bits that are
// wrong.
#include <cstdlib>
#include <iostream>
#include <random>
#include <unordered_set>

#include "datapath/replay_window.h"
#include "tests/unit/esp/esp_rig.h"

namespace sluice::test {
namespace {

using datapath::ReplayWindow;
using model::KeyAlgorithm;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSteps = 1'000'000;
#else
constexpr std::uint64_t kSteps = 10'000'000;
#endif

// What RFC 4303 §3.4.3 says, with a set in place of bits.
class PlainWindow {
public:
    [[nodiscard]] bool accept(std::uint64_t number) {
        if (number == 0 || number + kReplayWindow <= highest_) { return false; }
        if (!seen_.insert(number).second) { return false; }
        while (highest_ < number) {
            ++highest_;
            if (highest_ >= kReplayWindow) { seen_.erase(highest_ - kReplayWindow); }
        }
        return true;
    }

private:
    std::uint64_t highest_ = 0;
    std::unordered_set<std::uint64_t> seen_;
};

std::uint64_t seed() {
    const char* text = std::getenv("SLUICE_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

// Packets of a sender that counts on: in order, late, twice, from long ago, after a gap.
TEST(Replay, TenMillionStepsAreAsThePlainModelSays) {
    const std::uint64_t seeded = seed();
    std::cout << "SLUICE_SEED=" << seeded << "\n";
    std::mt19937_64 random(seeded);
    ReplayWindow window;
    PlainWindow plain;
    std::uint64_t sent = 0, accepted = 0;
    for (std::uint64_t step = 0; step < kSteps; ++step) {
        const std::uint64_t kind = random() % 100;
        if (kind == 0) { sent += random() % 4000; }
        std::uint64_t number = sent + 1;
        if (kind >= 50) { number -= std::min(number, random() % 40); }
        if (kind >= 90) { number -= std::min(number, random() % 2500); }
        sent = std::max(sent, number);
        const std::uint64_t inferred = window.infer(static_cast<std::uint32_t>(number), number);
        // What is older than the window is taken for one of the next 2^32: its tag is wrong then.
        const bool is_new = inferred == number && window.accept(inferred);
        ASSERT_EQ(is_new, plain.accept(number)) << "step " << step << " number " << number;
        accepted += is_new ? 1U : 0U;
    }
    EXPECT_GT(accepted, kSteps / 3);
    EXPECT_LT(accepted, kSteps);
}

// RFC 4303 appendix A2: the high half changes under a window that lies across the border.
TEST(Replay, NumbersPassTwoToTheThirtySecond) {
    constexpr std::uint64_t kEra = std::uint64_t{1} << 32U;
    std::mt19937_64 random(1);
    for (int round = 0; round < 1000; ++round) {
        ReplayWindow window;
        std::uint64_t number = kEra * (1 + random() % 15) - 1 - random() % 3000;
        ASSERT_TRUE(window.accept(number));
        for (int step = 0; step < 200; ++step) {
            const std::uint64_t back = random() % kReplayWindow;
            number += random() % 60;
            ASSERT_EQ(window.infer(static_cast<std::uint32_t>(number), 0), number);
            static_cast<void>(window.accept(number));
            const std::uint64_t late = window.highest() - back;
            ASSERT_EQ(window.infer(static_cast<std::uint32_t>(late), 0), late);
        }
    }
}

TEST(Replay, OfTheFirstEraNothingIsOlder) {
    ReplayWindow window;
    ASSERT_TRUE(window.accept(5));
    EXPECT_EQ(window.infer(0xfffffff0U, 0), 0u);
    EXPECT_FALSE(window.is_new(0));
}

TEST(Replay, AWindowIsAsWideAsItSays) {
    ReplayWindow window;
    ASSERT_TRUE(window.accept(5000));
    EXPECT_TRUE(window.is_new(5000 - kReplayWindow + 1));
    EXPECT_FALSE(window.is_new(5000 - kReplayWindow));
    EXPECT_TRUE(window.accept(5000 - kReplayWindow + 1));
    EXPECT_FALSE(window.accept(5000 - kReplayWindow + 1));
}

// With real packets, over the border, and by a receiver that begins behind it.
TEST(Esn, PacketsPassTwoToTheThirtySecond) {
    constexpr std::uint64_t kEra = std::uint64_t{1} << 32U;
    for (const KeyAlgorithm algorithm : {KeyAlgorithm::kAes128Gcm, KeyAlgorithm::kAes128Gmac}) {
        EspRig rig(key_of(algorithm));
        rig.sender().sequence = kEra - 20;
        const Bytes clear = frame_of({false, 17, {}, {}, 0, payload_of(50)});
        std::vector<Bytes> sent;
        for (std::uint64_t i = 0; i < 40; ++i) {
            sent.push_back(rig.seal(clear));
            ASSERT_EQ(sent.back(), seal_by_peer(clear, rig.key, kEra - 19 + i));
        }
        DropReason reason{};
        for (const Bytes& one : sent) { ASSERT_EQ(rig.open(one, reason), clear); }
        for (const Bytes& one : sent) {
            ASSERT_EQ(rig.open(one, reason), Bytes{});
            ASSERT_EQ(reason, DropReason::kEspReplay);
        }
        rig.listen();
        ASSERT_EQ(rig.open(sent[30], reason), clear) << "its first one is past the border";
        ASSERT_EQ(rig.open(sent[5], reason), clear) << "and a late one from before it";
    }
}

TEST(Exhaustion, AKeyStopsAtItsEnd) {
    const EspRig rig(key_of(KeyAlgorithm::kAes128Gcm));
    rig.sender().sequence = kSealedPacketsMax - 1;
    const Bytes clear = frame_of({false, 17, {}, {}, 0, payload_of(50)});
    EXPECT_EQ(rig.seal(clear), seal_by_peer(clear, rig.key, kSealedPacketsMax));
    rte_mbuf* one = rig.mbuf_of(clear);
    DropReason reason{};
    datapath::seal(rig.sender(), *rig.pool, {&one, 1}, {&reason, 1});
    EXPECT_EQ(reason, DropReason::kKeyExhausted);
    EXPECT_EQ(rig.take(one), clear) << "not touched";
}

class BitFlips : public testing::TestWithParam<KeyAlgorithm> {};

// Each bit from the number to the last of the tag, of 100 packets. The SPI before it finds the
// association, which takes its own for what is authenticated; tests/packet/esp_test.cc has those.
TEST_P(BitFlips, EachOneIsNoticed) {
    const EspRig rig(key_of(GetParam()));
    std::uint64_t number = 1;
    for (std::size_t packet = 0; packet < 100; ++packet, number += 2) {
        const bool is_v6 = packet % 2 == 1;
        const Bytes clear = frame_of(
            {is_v6, 17, {}, {}, 0, payload_of(packet * 3, static_cast<std::uint32_t>(packet))});
        const Bytes sealed = seal_by_peer(clear, rig.key, number);
        const std::size_t begin = (is_v6 ? 54 : 34) + 4;
        for (std::size_t bit = begin * 8; bit < sealed.size() * 8; ++bit) {
            Bytes bad = sealed;
            bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << bit % 8);
            DropReason reason{};
            static_cast<void>(rig.open(bad, reason));
            ASSERT_NE(reason, DropReason::kNone) << "packet " << packet << " bit " << bit;
        }
        DropReason reason{};
        ASSERT_EQ(rig.open(sealed, reason), clear);
    }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, BitFlips,
                         testing::Values(KeyAlgorithm::kAes128Gcm, KeyAlgorithm::kAes256Gcm,
                                         KeyAlgorithm::kAes128Gmac));

}  // namespace
}  // namespace sluice::test
