// SPDX-License-Identifier: Apache-2.0
// Frames of vhost_bench: see vhost_frames.h.
#include "tests/bench/vhost_frames.h"

namespace sluice::bench {

std::vector<frontend::FloodFrame> large_frames(std::size_t flows) {
    constexpr std::size_t kIpBytes = 60000;
    constexpr std::size_t kPortAt = 34;
    // clang-format off
    const std::vector<std::uint8_t> header{
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
        0x45, 0, kIpBytes >> 8U, kIpBytes & 0xffU, 0, 1, 0, 0, 64, 6, 0x7c, 0x94, 10, 0, 0, 1, 10, 0, 0, 2,
        0, 0, 0x14, 0x51, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0};
    // clang-format on
    std::vector<frontend::FloodFrame> all(flows);
    for (std::size_t i = 0; i < flows; ++i) {
        const std::size_t port = 1024 + i % 60000;
        std::vector<std::uint8_t> frame = header;
        frame[kPortAt] = static_cast<std::uint8_t>(port >> 8U);
        frame[kPortAt + 1] = static_cast<std::uint8_t>(port);
        frame.resize(14 + kIpBytes);
        all[i].frame = std::move(frame);
        all[i].header = {.flags = frontend::kHeaderNeedsCsum,
                         .gso_type = frontend::kGsoTcp4,
                         .hdr_len = 54,
                         .gso_size = 1448,
                         .csum_start = 34,
                         .csum_offset = 16,
                         .num_buffers = 0};
    }
    return all;
}

std::vector<frontend::FloodFrame> small_frames(std::size_t flows) {
    // Ethernet, IPv4, UDP: 60 bytes, which is 64 on the wire. Ports make the flows; beyond 64 k
    // the destination port too.
    std::vector<frontend::FloodFrame> all(flows);
    for (std::size_t i = 0; i < flows; ++i) {
        std::vector<std::uint8_t> f{2,    0,    0,    0, 0, 2,  2,  0, 0, 0, 0,  1,
                                    8,    0,    0x45, 0, 0, 46, 0,  1, 0, 0, 64, 17,
                                    0x66, 0xbc, 10,   0, 0, 1,  10, 0, 0, 2};
        const std::size_t source = 1024 + i % 60000;
        const std::size_t destination = 5000 + i / 60000;
        for (const std::size_t value : {source, destination, std::size_t{26}, std::size_t{0}}) {
            f.push_back(static_cast<std::uint8_t>(value >> 8U));
            f.push_back(static_cast<std::uint8_t>(value));
        }
        f.resize(60);
        all[i].frame = std::move(f);
    }
    return all;
}

}  // namespace sluice::bench
