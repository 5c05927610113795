// SPDX-License-Identifier: Apache-2.0
// Fuzz target of parse and the fragment stage: any bytes as one frame. With clang's libFuzzer it is
// a fuzzer; with SLUICE_FUZZ_SMOKE it has a main() that runs seeded random frames (or the files
// named as arguments) and ends.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "datapath/fragment.h"
#include "datapath/parse.h"

namespace {

using namespace sluice;
using namespace sluice::datapath;

void require(bool fact, const char* text) {
    if (fact) { return; }
    std::fprintf(stderr, "fuzz_parse: %s\n", text);
    std::abort();
}

/// What parse promises of any frame.
void check(const ParsedFrame& frame) {
    const bool bad = frame.frame_class == FrameClass::kBad;
    require(bad == (frame.reason != DropReason::kNone), "reason and class disagree");
    require(
        (frame.frame_class == FrameClass::kInspect) == (frame.inspect_kind != InspectKind::kNone),
        "kind and class disagree");
    if (bad) { return; }
    require(frame.l3_offset <= frame.data_size, "l3_offset is outside");
    require(frame.l4_offset == 0 || frame.l4_offset < frame.data_size, "l4_offset is outside");
    require(frame.l4_offset == 0 || frame.l4_offset + frame.l4_size <= frame.frame_size,
            "l4_size is outside");
    require(frame.l4_offset + frame.tcp_header_size <= frame.data_size, "TCP header is outside");
    require(frame.fragment == frame.key.has(kKeyFragment), "fragment and its key flag disagree");
}

bool same(const ParsedFrame& a, const ParsedFrame& b) {
    return a.key == b.key && a.l3_offset == b.l3_offset && a.l4_offset == b.l4_offset &&
           a.l4_size == b.l4_size && a.tcp_flags == b.tcp_flags &&
           a.tcp_header_size == b.tcp_header_size && a.frame_class == b.frame_class &&
           a.inspect_kind == b.inspect_kind && a.reason == b.reason && a.fragment == b.fragment;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 9000) { return 0; }
    // The first byte says how much lies in later segments; a block of its own shows reads past the
    // end.
    const std::uint32_t behind = data[0] % 4U == 0 ? data[0] : 0U;
    const auto data_size = static_cast<std::uint16_t>(size - 1);
    const auto bytes = std::make_unique<std::uint8_t[]>(data_size);
    std::memcpy(bytes.get(), data + 1, data_size);
    ParsedFrame frame, general;
    parse_frame(bytes.get(), data_size, data_size + behind, PortIndex{1}, frame);
    parse_frame_general(bytes.get(), data_size, data_size + behind, PortIndex{1}, general);
    check(frame);
    require(same(frame, general), "straight-line and general parse disagree");
    if (frame.frame_class == FrameClass::kBad || !frame.fragment) { return 0; }
    static FragmentTable table({.capacity = 64, .per_port = 32});
    static std::uint64_t now_ns = 0;
    const FragmentResult result = table.complete(frame, now_ns += 1'000'000);
    ParsedFrame whole;
    require(!result.complete || table.whole(result.datagram, whole),
            "a complete datagram is not whole");
    return 0;
}

#ifdef SLUICE_FUZZ_SMOKE
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

namespace {

/// Frames that come close to valid ones: a plausible start, then noise.
std::vector<std::uint8_t> random_frame(std::mt19937& random) {
    static constexpr std::uint8_t kStart[] = {0, 2,    0, 0,    0,    0x0b, 1, 2, 0, 0,
                                              0, 0x0a, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0};
    std::vector<std::uint8_t> frame(1 + random() % 200);
    for (auto& byte : frame) {
        byte = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 61);
    }
    const std::size_t keep = std::min(frame.size(), sizeof kStart);
    std::memcpy(frame.data(), kStart, keep);
    if (frame.size() > 22) { frame[20] = static_cast<std::uint8_t>(frame.size() - 55); }
    if (frame.size() > 40) { frame[23] = 0x20; }
    return frame;
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    std::mt19937 random(1);
    for (int i = 0; argc == 1 && i < 300000; ++i) {
        const auto frame = random_frame(random);
        LLVMFuzzerTestOneInput(frame.data(), frame.size());
    }
    std::puts("fuzz_parse: passed");
    return 0;
}
#endif
