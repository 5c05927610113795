// SPDX-License-Identifier: Apache-2.0
// EspFrame: where in an untagged IP frame ESP goes or is (RFC 4303 §3.1.1), and what its headers
// need when it comes or goes. What is before it in IPv6: hop-by-hop, routing and fragment headers.
// Private to esp_seal.cc and esp_open.cc. Worker; pure.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {

struct EspPlace {
    std::uint8_t* data = nullptr;   // The frame's first segment.
    std::uint32_t next_header = 0;  // Offset of the byte that says what follows.
    std::uint32_t payload = 0;      // Offset of what follows.
    std::uint32_t end = 0;          // Of the packet; padding of the link lies behind.
    bool is_v6 = false;

    [[nodiscard]] std::uint8_t protocol() const noexcept { return data[next_header]; }
};

// Behind the extension headers that stay outside. False: they are not as long as they say.
inline bool skip_extensions(EspPlace& at, std::uint32_t limit) noexcept {
    for (;;) {
        const std::uint8_t next = at.protocol();
        const bool is_fragment = next == kProtocolFragment;
        if (!is_fragment && next != kProtocolHopByHop && next != kProtocolRouting) { return true; }
        if (at.payload + 8 > limit) { return false; }
        const std::uint32_t size = is_fragment ? 8 : (at.data[at.payload + 1] + 1U) * 8U;
        if (at.payload + size > limit) { return false; }
        at.next_header = at.payload;
        at.payload += size;
        if (is_fragment) { return true; }
    }
}

/// False: no IP, or its headers don't lie in the first segment, or say more than there is.
[[nodiscard]] inline bool find_place(const rte_mbuf& frame, EspPlace& at) noexcept {
    at.data = rte_pktmbuf_mtod(&frame, std::uint8_t*);
    const std::uint32_t size = frame.data_len;
    if (size < kEthernetSize + kIpv4Size) { return false; }
    const std::uint16_t type = load_be16(at.data + 12);
    const std::uint8_t* ip = at.data + kEthernetSize;
    if (type == kEtherIpv4) [[likely]] {
        const std::uint32_t header = (ip[0] & 0xfU) * 4U;
        at.next_header = kEthernetSize + 9;
        at.payload = kEthernetSize + header;
        at.end = kEthernetSize + load_be16(ip + 2);
        return ip[0] >> 4U == 4 && header >= kIpv4Size && at.payload <= at.end &&
               at.payload <= size && at.end <= frame.pkt_len;
    }
    if (type != kEtherIpv6 || size < kEthernetSize + kIpv6Size || ip[0] >> 4U != 6) {
        return false;
    }
    at.is_v6 = true;
    at.next_header = kEthernetSize + 6;
    at.payload = kEthernetSize + kIpv6Size;
    at.end = at.payload + load_be16(ip + 4);
    return at.end <= frame.pkt_len && skip_extensions(at, at.end < size ? at.end : size);
}

/// Writes what follows and the size of the packet into its IP headers at `data`, IPv4's checksum
/// included (RFC 1624).
inline void mend_headers(std::uint8_t* data, const EspPlace& at, std::uint8_t protocol,
                         std::uint32_t end) noexcept {
    std::uint8_t* ip = data + kEthernetSize;
    const auto put16 = [](std::uint8_t* to, std::uint16_t value) {
        std::memcpy(to, &value, sizeof value);
    };
    if (at.is_v6) {
        data[at.next_header] = protocol;
        return put16(
            ip + 4, __builtin_bswap16(static_cast<std::uint16_t>(end - kEthernetSize - kIpv6Size)));
    }
    const auto size_before = load<std::uint16_t>(ip + 2);
    const auto size_after = __builtin_bswap16(static_cast<std::uint16_t>(end - kEthernetSize));
    const auto next_before = load<std::uint16_t>(ip + 8);
    ip[9] = protocol;
    put16(ip + 2, size_after);
    const std::uint16_t checksum = mended(load<std::uint16_t>(ip + 10), size_before, size_after);
    put16(ip + 10, mended(checksum, next_before, load<std::uint16_t>(ip + 8)));
}

}  // namespace sluice::datapath
