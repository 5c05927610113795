// SPDX-License-Identifier: Apache-2.0
// No frame, however cut or bent, makes parse read past its bytes or contradict itself. Run under
// ASan to mean anything.
#include <gtest/gtest.h>

#include <random>

#include "datapath/checksum.h"
#include "parse_frames.h"

namespace sluice::datapath::test {
namespace {

void expect_consistent(const ParsedFrame& frame) {
    const bool bad = frame.frame_class == FrameClass::kBad;
    ASSERT_EQ(bad, frame.reason != DropReason::kNone);
    ASSERT_EQ(frame.frame_class == FrameClass::kInspect, frame.inspect_kind != InspectKind::kNone);
    if (bad) { return; }
    ASSERT_TRUE(frame.l4_offset == 0 ||
                (frame.l4_offset < frame.data_size && frame.l3_offset < frame.l4_offset));
    ASSERT_LE(frame.l4_offset + frame.tcp_header_size, frame.data_size);
    ASSERT_TRUE(frame.l4_offset == 0 || frame.l4_offset + frame.l4_size <= frame.frame_size);
    ASSERT_EQ(frame.fragment, frame.key.has(kKeyFragment));
    ASSERT_EQ(frame.key.copy_port, 0);
    ASSERT_TRUE(frame.key.has(kKeyPorts) ||
                (frame.key.source_port.raw | frame.key.destination_port.raw) == 0);
}

void expect_same(const ParsedFrame& a, const ParsedFrame& b) {
    ASSERT_EQ(a.key, b.key);
    ASSERT_EQ(a.data_size, b.data_size);
    ASSERT_EQ(a.frame_size, b.frame_size);
    ASSERT_EQ(a.l3_offset, b.l3_offset);
    ASSERT_EQ(a.l4_offset, b.l4_offset);
    ASSERT_EQ(a.l4_size, b.l4_size);
    ASSERT_EQ(a.fragment_offset, b.fragment_offset);
    ASSERT_EQ(a.fragment, b.fragment);
    ASSERT_EQ(a.more_fragments, b.more_fragments);
    ASSERT_EQ(a.fragment_id, b.fragment_id);
    ASSERT_EQ(a.tcp_flags, b.tcp_flags);
    ASSERT_EQ(a.tcp_header_size, b.tcp_header_size);
    ASSERT_EQ(a.l4_checksum, b.l4_checksum);
    ASSERT_EQ(a.frame_class, b.frame_class);
    ASSERT_EQ(a.inspect_kind, b.inspect_kind);
    ASSERT_EQ(a.reason, b.reason);
}

/// Both ways through parse over the first `data_size` bytes of `frame`, in a block of just that
/// size.
void check(const Bytes& frame, std::size_t data_size, std::size_t frame_size) {
    const auto bytes = std::make_unique<std::uint8_t[]>(data_size);
    if (data_size > 0) { std::memcpy(bytes.get(), frame.data(), data_size); }
    ParsedFrame quick, general;
    std::memset(static_cast<void*>(&quick), 0xa5, sizeof quick);  // What is left unwritten shows.
    const auto size16 = static_cast<std::uint16_t>(data_size);
    parse_frame(bytes.get(), size16, static_cast<std::uint32_t>(frame_size), kPort, quick);
    parse_frame_general(bytes.get(), size16, static_cast<std::uint32_t>(frame_size), kPort,
                        general);
    expect_consistent(quick);
    expect_same(quick, general);
}

TEST(ParseRobustness, EveryTruncationOfEveryFrame) {
    for (const auto& [name, frame] : valid_frames()) {
        for (std::size_t size = 0; size <= frame.size(); ++size) {
            SCOPED_TRACE(std::string(name) + " cut to " + std::to_string(size));
            check(frame, size, size);
            check(frame, size, frame.size());  // The rest lies in a second segment.
            if (HasFatalFailure()) { return; }
        }
    }
}

TEST(ParseRobustness, EveryByteOfEveryFrameSetToEveryValue) {
    for (const auto& [name, frame] : valid_frames()) {
        for (std::size_t at = 0; at < frame.size(); ++at) {
            Bytes bent = frame;
            for (unsigned value = 0; value < 256; ++value) {
                bent[at] = static_cast<std::uint8_t>(value);
                check(bent, bent.size(), bent.size());
            }
            if (HasFatalFailure()) { FAIL() << name << " byte " << at; }
        }
    }
}

/// Several bytes at once, with the IPv4 checksum made right in most, so that what is behind the
/// header is reached.
TEST(ParseRobustness, RandomFlips) {
    constexpr unsigned kSeed = 20240817;
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    std::mt19937 random(kSeed);
    const auto frames = valid_frames();
    for (int round = 0; round < 200000; ++round) {
        Bytes frame = frames[below(random, frames.size())].frame;
        for (unsigned flips = 1 + below(random, 4); flips > 0; --flips) {
            frame[below(random, frame.size())] ^= static_cast<std::uint8_t>(1U << below(random, 8));
        }
        const std::size_t header = frame.size() > 34 ? (frame[14] & 0x0fU) * 4U : 0U;
        if (frame.size() > 34 && frame[12] == 8 && frame.size() >= 14 + header && header >= 20 &&
            below(random, 8) != 0) {
            put16(frame, 24, 0);
            put16(frame, 24,
                  internet_checksum(
                      Bytes(frame.begin() + 14, frame.begin() + 14 + static_cast<long>(header))));
        }
        const std::size_t cut =
            below(random, 4) == 0 ? below(random, frame.size() + 1) : frame.size();
        check(frame, cut, below(random, 2) == 0 ? cut : frame.size());
        Mbuf mbuf(frame, {cut});
        ParsedFrame out;
        parse_mbuf(mbuf.head(), kPort, out);
        expect_consistent(out);
        if (out.frame_class != FrameClass::kBad) { (void)l4_checksum_ok(mbuf.head(), out); }
        if (HasFatalFailure()) { FAIL() << "round " << round; }
    }
}

}  // namespace
}  // namespace sluice::datapath::test
