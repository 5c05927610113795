// SPDX-License-Identifier: Apache-2.0
// Tunnel: outer headers.
#include "tunnel.h"

#include <algorithm>

#include "frames.h"

namespace sluice::load {
namespace {

constexpr std::uint16_t kVxlanPort = 4789;
constexpr std::size_t kVxlanAt = kUdpPayloadAt;
constexpr std::uint16_t kEntropyFirst = 49152;  // RFC 7348 §5: a dynamic port.
constexpr std::uint16_t kEntropyCount = 16384;

}  // namespace

void write_outer(std::span<std::uint8_t, kOuterBytes> at, const Tunnel& tunnel,
                 std::size_t inner_bytes, std::uint64_t flow) {
    const std::size_t udp_bytes = kOuterBytes - kL4At + inner_bytes;
    const auto port = static_cast<std::uint16_t>(kEntropyFirst + flow % kEntropyCount);
    write_ethernet(at, {tunnel.own_mac, tunnel.peer_mac}, 0x0800);
    write_ipv4(at, {tunnel.own_ip, tunnel.peer_ip, port, kVxlanPort}, kUdp, udp_bytes);
    put16(&at[kL4At], port);
    put16(&at[kL4At + 2], kVxlanPort);
    put16(&at[kL4At + 4], static_cast<std::uint16_t>(udp_bytes));
    at[kVxlanAt] = 0x08;  // I: the VNI is valid. No checksum outside (RFC 7348 §4.1).
    put32(&at[kVxlanAt + 4], tunnel.vni << 8U);
}

bool asks_for(std::span<const std::uint8_t> frame, const Tunnel& tunnel) {
    return frame.size() >= kArpFrameBytes - 18 && get16(&frame[12]) == 0x0806 &&
           get16(&frame[20]) == 1 && get32(&frame[38]) == tunnel.own_ip;
}

}  // namespace sluice::load
