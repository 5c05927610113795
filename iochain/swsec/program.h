// SPDX-License-Identifier: Apache-2.0
// SwsecProgram: what a vNIC may claim and how much it may say. The judges of ARP, neighbour
// discovery and DHCP are a file each (arp.cc, nd.cc, dhcp.cc), behind claimant.h. Made on the
// control thread; immutable then: workers read.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "iochain/slot_entry.h"
#include "sluice/iochain/swsec.h"

namespace sluice::iochain {

class SwsecProgram final : public SlotProgram {
public:
    explicit SwsecProgram(const SwsecInput& input);

    [[nodiscard]] const SwsecInput& config() const noexcept { return config_; }
    /// True if the document makes `ip` the vNIC's: one of `ips` or, if it has none and SpoofGuard
    /// does not learn, the EUI-64 link-local address of its MAC.
    [[nodiscard]] bool owns(const IpAddr& ip) const noexcept;
    /// True if `ip` is one of `ips`.
    [[nodiscard]] bool is_given(const IpAddr& ip) const noexcept;

    [[nodiscard]] std::array<std::uint64_t, 2> fingerprint() const noexcept override {
        return fingerprint_;
    }
    [[nodiscard]] const char* state() const noexcept override { return "active"; }

private:
    SwsecInput config_;  // `ips` sorted.
    std::array<std::uint64_t, 2> fingerprint_{};
};

/// `length` bytes of the frame at `offset`, or nothing if they are not all in the first segment.
[[nodiscard]] inline std::optional<std::span<const std::uint8_t>> bytes_at(
    const ParsedFrame& frame, std::size_t offset, std::size_t length) noexcept {
    if (offset > frame.data_size || length > frame.data_size - offset) { return std::nullopt; }
    return std::span<const std::uint8_t>(frame.data + offset, length);
}

/// True for an all-zero address.
[[nodiscard]] constexpr bool is_unspecified(const IpAddr& ip) noexcept {
    return ip.bytes == IpAddr{}.bytes;
}

/// The link-local address that the modified EUI-64 of `mac` gives (RFC 4291 §2.5.6 and appendix A).
[[nodiscard]] IpAddr link_local_of(const MacAddr& mac) noexcept;

/// MAC, layer-2 guards and SpoofGuard on ethertypes: what every frame from the VM has to meet.
[[nodiscard]] DropReason judge_layer2(const SwsecProgram& program, const FlowKey& key) noexcept;

}  // namespace sluice::iochain
