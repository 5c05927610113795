// SPDX-License-Identifier: Apache-2.0
// What `sluice capture` writes: pcapng blocks, lines of text, BPF programs, base64.
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

#include "cli/bpf.h"
#include "cli/frame_text.h"
#include "cli/pcapng.h"
#include "sluice/base/base64.h"

namespace sluice::cli {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::uint32_t u32(const std::string& text, std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, text.data() + at, sizeof value);
    return value;
}

/// Type and body of each block; fails if lengths disagree.
std::vector<std::pair<std::uint32_t, std::string>> blocks_of(const std::string& file) {
    std::vector<std::pair<std::uint32_t, std::string>> blocks;
    for (std::size_t at = 0; at < file.size();) {
        const std::uint32_t size = u32(file, at + 4);
        EXPECT_EQ(size % 4, 0u);
        EXPECT_EQ(u32(file, at + size - 4), size);
        blocks.emplace_back(u32(file, at), file.substr(at + 8, size - 12));
        at += size;
    }
    return blocks;
}

TEST(Pcapng, IsOneSectionOneInterfacePacketsAndStatistics) {
    std::ostringstream out;
    PcapngWriter writer(out);
    const Bytes frame{1, 2, 3, 4, 5};
    writer.begin({"vm1", "", "udp", 128}, "test");
    writer.write({0x0102030405060708U, 9, frame, true, "dropped: x"});
    writer.end({1, 2, 3, 4});
    const auto blocks = blocks_of(out.str());
    ASSERT_EQ(blocks.size(), 4u);
    EXPECT_EQ(blocks[0].first, 0x0a0d0d0au);
    EXPECT_EQ(u32(blocks[0].second, 0), 0x1a2b3c4du);
    EXPECT_EQ(blocks[1].first, 1u);
    EXPECT_EQ(u32(blocks[1].second, 0), 1u) << "Ethernet";
    EXPECT_EQ(u32(blocks[1].second, 4), 128u);
    EXPECT_NE(blocks[1].second.find(std::string("\x09\0\x01\0\x09\0\0\0", 8)), std::string::npos)
        << "if_tsresol: nanoseconds";
    const std::string& packet = blocks[2].second;
    EXPECT_EQ(blocks[2].first, 6u);
    EXPECT_EQ(u32(packet, 4), 0x01020304u) << "upper half of the time first";
    EXPECT_EQ(u32(packet, 8), 0x05060708u);
    EXPECT_EQ(u32(packet, 12), 5u);
    EXPECT_EQ(u32(packet, 16), 9u);
    EXPECT_EQ(packet.substr(20, 8), std::string("\1\2\3\4\5\0\0\0", 8)) << "padded to 32 bits";
    EXPECT_EQ(packet.substr(28, 16), std::string("\1\0\x0b\0", 4) + "dropped: x\n" + '\0');
    EXPECT_EQ(blocks[3].first, 5u);
}

TEST(Pcapng, HasNoOptionForAnEmptyComment) {
    std::ostringstream out;
    PcapngWriter(out).write({1, 4, Bytes{1, 2, 3, 4}, false, ""});
    EXPECT_EQ(out.str().size(), 12u + 20u + 4u + 8u + 4u) << "block, header, frame, flags, end";
}

TEST(FrameText, ReadsHeadersAndSurvivesEveryCut) {
    Bytes frame(54, 0);
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[23] = 6;
    const Bytes addresses{10, 0, 0, 1, 10, 0, 0, 2, 0x03, 0xe8, 0, 80};
    std::copy(addresses.begin(), addresses.end(), frame.begin() + 26);
    frame[47] = 0x12;
    EXPECT_EQ(frame_text(frame), "10.0.0.1.1000 > 10.0.0.2.80: TCP S.");
    for (std::size_t size = 0; size < frame.size(); ++size) {
        const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(frame_text(cut).empty()) << size;
    }
    EXPECT_EQ(frame_text(Bytes(13, 0)), "Ethernet truncated");
}

TEST(Bpf, CompilesWhatTcpdumpTakes) {
    auto program = compile_filter("udp dst port 53");
    ASSERT_TRUE(program.ok());
    EXPECT_GT(program.value().size(), 3u);
    EXPECT_EQ(program.value()[0].size(), 4u);
    EXPECT_EQ(compile_filter("").value(), nlohmann::json::array());
}

TEST(Bpf, SaysWhatIsWrongWithTheText) {
    const auto refused = compile_filter("port nosuchservice");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.failure().message.rfind("filter: port nosuchservice: ", 0), 0u)
        << refused.failure().message;
}

TEST(Base64, GoesThereAndBack) {
    Bytes bytes;
    for (unsigned size = 0; size < 70; ++size) {
        const std::string text = base64_encode(bytes);
        EXPECT_EQ(text.size(), (bytes.size() + 2) / 3 * 4);
        EXPECT_EQ(base64_decode(text), bytes);
        bytes.push_back(static_cast<std::uint8_t>(size * 37));
    }
    EXPECT_EQ(base64_encode(Bytes{'f', 'o', 'o', 'b'}), "Zm9vYg==");
    for (const char* bad : {"a", "ab!=", "abc", "====", "ab=c"}) {
        EXPECT_FALSE(base64_decode(bad).has_value()) << bad;
    }
}

}  // namespace
}  // namespace sluice::cli
