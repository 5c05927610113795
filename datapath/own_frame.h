// SPDX-License-Identifier: Apache-2.0
// OwnFrame: frames that the switch itself sends: queries, announcements, beacons, the router's
// questions. They pass no
// chain; the books count them as created. Called by worker commands, between bursts.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>

#include "datapath/context.h"

namespace sluice::datapath {

inline constexpr std::size_t kOwnFrameMax = 128;  ///< Bytes.

/// A short frame, written byte by byte in wire order.
class OwnFrame {
public:
    OwnFrame& bytes(std::initializer_list<std::uint8_t> list) noexcept { return copy(list); }
    template <typename Range>
    OwnFrame& copy(const Range& range) noexcept {
        for (const std::uint8_t byte : range) { room_[size_++] = byte; }
        return *this;
    }
    OwnFrame& be16(std::uint16_t value) noexcept {
        return bytes({static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)});
    }
    OwnFrame& zeros(std::size_t count) noexcept {
        std::memset(room_.data() + size_, 0, count);
        size_ += count;
        return *this;
    }
    /// Zeros up to `size` bytes, if it is shorter.
    OwnFrame& pad(std::size_t size) noexcept { return zeros(std::max(size, size_) - size_); }
    /// Writes the Internet checksum of [from, to), plus `extra`, at `at`, which is zero so far.
    void checksum(std::size_t from, std::size_t to, std::size_t at, std::uint32_t extra) noexcept;
    [[nodiscard]] std::span<const std::uint8_t> all() const noexcept {
        return {room_.data(), size_};
    }

private:
    std::array<std::uint8_t, kOwnFrameMax> room_;
    std::size_t size_ = 0;
};

/// An untagged frame, to be sent.
struct OwnBytes {
    std::span<const std::uint8_t> bytes;
    std::optional<MacAddr> fabric_source = {};  ///< In place of its source MAC, in the fabric.
};

/// Sends a frame by `egress`; of a domain: tagged, or into the tunnels of a VNI, as that has it
/// there.
/// @param remote  at a VTEP's port: as Steps::remote
/// @return false if there was no such port, or it is disabled, or there was no buffer
bool send_own(WorkerContext& context, PortIndex egress, const OwnBytes& own, const Domain* domain,
              std::uint16_t remote = kEveryRemote) noexcept;

/// Sends it to every port of the domain (an index), and to the fabric. Returns how many were sent.
std::uint64_t flood_own(WorkerContext& context, std::uint16_t domain, const OwnBytes& own) noexcept;

}  // namespace sluice::datapath
