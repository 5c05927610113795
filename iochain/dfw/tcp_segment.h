// SPDX-License-Identifier: Apache-2.0
// TcpSegment: the fields of one TCP header that tracking needs, in host order, and the options that
// it reads: window scale and SACK. Reads only bytes that parse found inside the frame. Any thread.
#pragma once

#include <cstdint>
#include <cstring>

#include "sluice/iochain/frame.h"

namespace sluice {

inline constexpr std::uint8_t kTcpHeaderSizeMin = 20;
inline constexpr std::uint8_t kTcpScaleMax = 14;  ///< More counts as 14 (RFC 7323 §2.3).

/// Sequence numbers compare modulo 2^32 (RFC 9293 §3.4).
[[nodiscard]] constexpr bool sequence_after(std::uint32_t x, std::uint32_t y) noexcept {
    return static_cast<std::int32_t>(x - y) > 0;
}

/// How far `y` is after `x`: negative if it is before. 64 bits, so that a window of 1 GiB (RFC 7323
/// §2.3) can be added to it.
[[nodiscard]] constexpr std::int64_t sequence_distance(std::uint32_t x, std::uint32_t y) noexcept {
    return static_cast<std::int32_t>(y - x);
}

struct TcpSegment {
    std::uint32_t sequence = 0;
    std::uint32_t ack = 0;
    std::uint32_t data_size =
        0;  ///< Payload bytes of this frame, up to 64 KiB - 1 (a super-frame is one segment).
    std::uint16_t window = 0;  ///< As on the wire.
    std::uint8_t flags = 0;    ///< TcpFlag bits.

    [[nodiscard]] bool has(TcpFlag flag) const noexcept { return (flags & flag) != 0; }
    /// Sequence number behind the segment; SYN and FIN count one.
    [[nodiscard]] std::uint32_t end() const noexcept {
        const std::uint32_t counted =
            static_cast<std::uint32_t>(has(kTcpSyn)) + static_cast<std::uint32_t>(has(kTcpFin));
        return sequence + data_size + counted;
    }
};

/// Options of a SYN.
struct TcpOffer {
    bool scales = false;
    bool permits_sack = false;
    std::uint8_t shift = 0;  ///< 0..14
};

/// True if the frame holds a TCP header. False for later fragments.
[[nodiscard]] inline bool has_tcp_header(const ParsedFrame& frame) noexcept {
    return frame.tcp_header_size >= kTcpHeaderSizeMin && frame.tcp_header_size <= frame.l4_size &&
           frame.fragment_offset == 0;
}

/// @pre has_tcp_header(frame)
[[nodiscard]] inline TcpSegment tcp_segment_of(const ParsedFrame& frame) noexcept {
    const std::uint8_t* header = frame.data + frame.l4_offset;
    std::uint32_t sequence = 0;
    std::uint32_t ack = 0;
    std::uint16_t window = 0;
    std::memcpy(&sequence, header + 4, sizeof sequence);
    std::memcpy(&ack, header + 8, sizeof ack);
    std::memcpy(&window, header + 14, sizeof window);
    return TcpSegment{__builtin_bswap32(sequence), __builtin_bswap32(ack),
                      frame.l4_size - frame.tcp_header_size, __builtin_bswap16(window),
                      frame.tcp_flags};
}

/// True unless the header has no options, or timestamps alone as every stack lays them out
/// (RFC 7323 appendix A).
/// @pre has_tcp_header(frame)
[[nodiscard]] inline bool may_hold_sack(const ParsedFrame& frame) noexcept {
    if (frame.tcp_header_size == kTcpHeaderSizeMin) { return false; }
    std::uint32_t first = 0;
    std::memcpy(&first, frame.data + frame.l4_offset + kTcpHeaderSizeMin, sizeof first);
    return frame.tcp_header_size != kTcpHeaderSizeMin + 12 || first != 0x0a080101U;
}

/// Calls visit(kind, value, size of value) for each option but padding, until it returns true.
/// Stops at the first malformed option.
/// @pre has_tcp_header(frame)
template <typename Visit>
inline void for_each_tcp_option(const ParsedFrame& frame, Visit&& visit) noexcept {
    const std::uint8_t* header = frame.data + frame.l4_offset;
    unsigned at = kTcpHeaderSizeMin;
    while (at < frame.tcp_header_size) {
        const std::uint8_t kind = header[at];
        if (kind == 0) { break; }  // End of the list.
        if (kind == 1) {           // No operation.
            ++at;
            continue;
        }
        if (at + 1U >= frame.tcp_header_size) { break; }
        const std::uint8_t size = header[at + 1U];
        if (size < 2 || at + size > frame.tcp_header_size) { break; }
        if (visit(kind, header + at + 2U, size - 2U)) { break; }
        at += size;
    }
}

/// What a SYN offers: the window scale option (kind 3) and SACK-permitted (kind 4).
/// @pre has_tcp_header(frame)
[[nodiscard]] inline TcpOffer tcp_offer_of(const ParsedFrame& frame) noexcept {
    TcpOffer offer;
    for_each_tcp_option(frame, [&](std::uint8_t kind, const std::uint8_t* value, unsigned size) {
        if (kind == 3 && size == 1 && !offer.scales) {
            offer.scales = true;
            offer.shift = value[0] > kTcpScaleMax ? kTcpScaleMax : value[0];
        }
        if (kind == 4 && size == 0) { offer.permits_sack = true; }
        return false;
    });
    return offer;
}

/// The highest sequence number that a segment acknowledges: its acknowledgement, or the right edge
/// of a SACK block (kind 5, RFC 2018 §3) beyond it. An option that is no whole number of blocks,
/// and a block that is empty or inside out, say nothing.
/// @pre has_tcp_header(frame)
[[nodiscard]] inline std::uint32_t highest_acknowledged(const ParsedFrame& frame,
                                                        std::uint32_t ack) noexcept {
    std::uint32_t highest = ack;
    for_each_tcp_option(frame, [&](std::uint8_t kind, const std::uint8_t* value, unsigned size) {
        if (kind != 5 || size == 0 || size % 8U != 0) { return false; }
        for (unsigned at = 0; at < size; at += 8U) {
            std::uint32_t edge[2];
            std::memcpy(edge, value + at, sizeof edge);
            const std::uint32_t left = __builtin_bswap32(edge[0]);
            const std::uint32_t right = __builtin_bswap32(edge[1]);
            if (sequence_after(right, left) && sequence_after(right, highest)) { highest = right; }
        }
        return false;
    });
    return highest;
}

}  // namespace sluice
