// SPDX-License-Identifier: Apache-2.0
// UnderlayFrame: a small frame that a VTEP sends itself, made byte by byte: ARP, neighbour
// discovery, ICMP echo, BFD. Called by the files of the underlay, on the worker that polls the
// VTEP's uplink. Writing is pure; send() is the one way out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/snapshot.h"

namespace sluice::datapath {

struct WorkerContext;

/// How an IP packet of the VTEP travels.
struct UnderlayIp {
    MacAddr destination_mac;
    IpAddr destination;  ///< Of the VTEP's family.
    std::uint8_t protocol = 0;
    std::uint8_t hop_limit = 64;
    std::uint8_t traffic_class = 0;  ///< DSCP and ECN.
};

class UnderlayFrame {
public:
    /// Begins with Ethernet, from the VTEP's MAC, with the tag of its VLAN if it has one.
    UnderlayFrame(const VtepConfig& vtep, const MacAddr& destination,
                  std::uint16_t ethertype) noexcept;
    /// And an IP header from the VTEP's address; payload follows by put(), then send().
    UnderlayFrame(const VtepConfig& vtep, const UnderlayIp& ip) noexcept;

    UnderlayFrame& put(std::span<const std::uint8_t> bytes) noexcept;
    UnderlayFrame& put8(std::uint8_t value) noexcept;
    UnderlayFrame& put16(std::uint16_t value) noexcept;  ///< Written in network order.
    UnderlayFrame& put32(std::uint32_t value) noexcept;  ///< Written in network order.
    UnderlayFrame& put_ip(const IpAddr& ip) noexcept;    ///< 4 or 16 bytes.

    /// Fills in lengths and checksums of the IP packet, with the transport's (UDP, ICMP, ICMPv6) at
    /// its place.
    void finish_ip() noexcept;
    /// Sends it by the VTEP's uplink; the books count it as created. False: no buffer.
    bool send(WorkerContext& context) const noexcept;

    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
        return {bytes_.data(), size_};
    }

private:
    static constexpr std::size_t kSizeMax = 160;

    const VtepConfig& vtep_;
    std::array<std::uint8_t, kSizeMax> bytes_{};
    std::size_t size_ = 0;
    std::size_t l3_ = 0;
    std::size_t l4_ = 0;
    std::uint8_t protocol_ = 0;
};

}  // namespace sluice::datapath
