// SPDX-License-Identifier: Apache-2.0
// What IP packets look like that the switch itself says: made from the frames of frames.h.
#pragma once

#include "tests/packet/frames.h"

namespace sluice::test {

/// Gives an untagged IPv4 frame the type of service, and the fragment field, of the switch's own.
[[nodiscard]] inline Bytes as_switch(Bytes frame, std::uint8_t tos) {
    if (frame[12] == 0x86) { return frame; }
    const auto set16 = [&frame](std::size_t at, unsigned value) {
        frame[at] = static_cast<std::uint8_t>(value >> 8U);
        frame[at + 1] = static_cast<std::uint8_t>(value);
    };
    frame[15] = tos;
    set16(18, 0);
    set16(20, 0x4000);
    set16(24, 0);
    std::uint32_t sum = 0;
    for (std::size_t at = 14; at < 34; at += 2) { sum += frame[at] * 256U + frame[at + 1]; }
    sum = (sum & 0xffffU) + (sum >> 16U);
    set16(24, ~(sum + (sum >> 16U)) & 0xffffU);
    return frame;
}

/// The ICMP error about `about` that the switch says.
[[nodiscard]] inline Bytes switch_error(const Path& path, std::uint8_t type, std::uint8_t code,
                                        const Bytes& about) {
    return as_switch(icmp_error(path, type, code, about), 0xc0);
}

}  // namespace sluice::test
