// SPDX-License-Identifier: Apache-2.0
// Byte for byte as the second implementation has it, both ways.
#include "tests/unit/esp/esp_rig.h"

namespace sluice::test {
namespace {

using model::KeyAlgorithm;

class EspVectors : public testing::TestWithParam<KeyAlgorithm> {};

TEST_P(EspVectors, EachSizeOfBothFamiliesIsAsThePeerHasIt) {
    const EspRig rig(key_of(GetParam()));
    for (std::size_t size = 0; size <= 1500; ++size) {
        for (const bool is_v6 : {false, true}) {
            const Bytes clear = frame_of({is_v6, 6, {}, {}, 0, payload_of(size)});
            const std::uint64_t number = rig.sender().sequence.load() + 1;
            const Bytes sealed = rig.seal(clear);
            ASSERT_EQ(sealed, seal_by_peer(clear, rig.key, number)) << size << (is_v6 ? " v6" : "");
            ASSERT_EQ(sealed.size(),
                      clear.size() + datapath::esp_growth(static_cast<std::uint32_t>(size)));
            DropReason reason{};
            ASSERT_EQ(rig.open(sealed, reason), clear) << size << (is_v6 ? " v6" : "");
        }
    }
}

TEST_P(EspVectors, ChainsOfBuffersAreAsOne) {
    const EspRig rig(key_of(GetParam()));
    for (const std::size_t size : {100U, 114U, 500U, 1499U, 1500U, 8900U}) {
        for (const std::size_t cut : {97U, 640U, 1920U}) {
            if (size / cut > 30) { continue; }
            const Bytes clear = frame_of({size % 2 == 0, 17, {}, {}, 0, payload_of(size)});
            const Bytes sealed = rig.seal(clear, cut);
            ASSERT_EQ(sealed, seal_by_peer(clear, rig.key, rig.sender().sequence.load()));
            DropReason reason{};
            ASSERT_EQ(rig.open(sealed, reason, cut), clear) << size << " in " << cut;
        }
    }
}

TEST_P(EspVectors, WhatThePeerSealsOpens) {
    const EspRig rig(key_of(GetParam()));
    for (std::uint64_t number = 1; number < 300; ++number) {
        const Bytes clear = frame_of({number % 2 == 0, 1, {}, {}, 0, payload_of(number * 4)});
        DropReason reason{};
        ASSERT_EQ(rig.open(seal_by_peer(clear, rig.key, number), reason), clear);
    }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, EspVectors,
                         testing::Values(KeyAlgorithm::kAes128Gcm, KeyAlgorithm::kAes256Gcm,
                                         KeyAlgorithm::kAes128Gmac));

// Options, extension headers and a fragment's place stay outside.
TEST(EspShapes, WhatLeadsThePacketStaysOutside) {
    const EspRig rig(key_of(KeyAlgorithm::kAes128Gcm));
    const Bytes hop_by_hop = {43, 0, 1, 4, 0, 0, 0, 0};
    const Bytes routing = {44, 0, 4, 0, 0, 0, 0, 0};
    const Bytes fragment = {17, 0, 0, 9, 1, 2, 3, 4};
    Bytes all = hop_by_hop;
    all.insert(all.end(), routing.begin(), routing.end());
    all.insert(all.end(), fragment.begin(), fragment.end());
    const struct {
        PlainPacket packet;
        std::size_t outside;
    } cases[] = {
        {{false, 17, Bytes(40, 1), {}, 0, payload_of(77)}, 0},
        {{false, 17, {}, {}, 0x2000, payload_of(64)}, 0},
        {{false, 17, {}, {}, 0x0010, payload_of(61)}, 0},
        {{true, 0, {}, all, 0, payload_of(90)}, 24},
        {{true, 44, {}, fragment, 0, payload_of(33)}, 8},
        {{true, 60, {}, {6, 0, 1, 4, 0, 0, 0, 0}, 0, payload_of(20)}, 0},
        {{true, 50, {}, {}, 0, payload_of(40)}, 0},
    };
    for (const auto& one : cases) {
        const Bytes clear = frame_of(one.packet);
        const Bytes sealed = rig.seal(clear);
        const std::uint64_t number = rig.sender().sequence.load();
        EXPECT_EQ(sealed, seal_by_peer(clear, rig.key, number, one.outside));
        EXPECT_EQ(open_by_peer(sealed, rig.key, number, one.outside), clear);
        DropReason reason{};
        EXPECT_EQ(rig.open(sealed, reason), clear);
    }
}

TEST(EspShapes, PaddingOfTheLinkIsNotSealed) {
    const EspRig rig(key_of(KeyAlgorithm::kAes128Gcm));
    const Bytes clear = frame_of({false, 17, {}, {}, 0, payload_of(9)});
    Bytes padded = clear;
    padded.resize(60);
    const Bytes sealed = rig.seal(padded);
    EXPECT_EQ(sealed, seal_by_peer(clear, rig.key, 1));
    Bytes longer = sealed;
    longer.resize(sealed.size() + 11);
    DropReason reason{};
    EXPECT_EQ(rig.open(longer, reason), clear);
}

TEST(EspShapes, WhatIsNoIpIsNotSealed) {
    const EspRig rig(key_of(KeyAlgorithm::kAes128Gcm));
    Bytes frame = frame_of({false, 17, {}, {}, 0, payload_of(9)});
    frame[13] = 6;
    rte_mbuf* one = rig.mbuf_of(frame);
    DropReason reason{};
    datapath::seal(rig.sender(), *rig.pool, {&one, 1}, {&reason, 1});
    EXPECT_EQ(reason, DropReason::kBadEsp);
    EXPECT_EQ(rig.take(one), frame);
}

}  // namespace
}  // namespace sluice::test
