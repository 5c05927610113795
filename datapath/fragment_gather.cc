// SPDX-License-Identifier: Apache-2.0
// FragmentTable::gather(): the pieces of a conversation with the switch as one frame, so that slot
// 1 judges it whole (RFC 2131 allows a DHCP message of any size; RFC 7113 is about what pieces
// hide). Called by fragmented.cc when the last piece has come; on the worker that owns the table.
#include <rte_mbuf.h>

#include "datapath/fragment_entry.h"
#include "datapath/parse.h"

namespace sluice::datapath {
namespace {

/// Copies `size` bytes from `at` on, segment by segment. The frame holds them: parse said so.
void copy_out(const rte_mbuf& frame, std::uint32_t at, std::uint32_t size,
              std::uint8_t* out) noexcept {
    for (const rte_mbuf* segment = &frame; segment != nullptr && size > 0;
         segment = segment->next) {
        if (at >= segment->data_len) {
            at -= segment->data_len;
            continue;
        }
        const std::uint32_t take = std::min(size, segment->data_len - at);
        std::memcpy(out, rte_pktmbuf_mtod_offset(segment, const std::uint8_t*, at), take);
        out += take;
        size -= take;
        at = 0;
    }
}

void store_be16(std::uint8_t* at, std::uint32_t value) noexcept {
    at[0] = static_cast<std::uint8_t>(value >> 8U);
    at[1] = static_cast<std::uint8_t>(value);
}

/// The IPv4 header of the whole: no fragment, its length, its checksum.
void mend_ipv4(std::uint8_t* ip, std::uint32_t header_size, std::uint32_t total) noexcept {
    store_be16(ip + 2, header_size + total);
    store_be16(ip + 6, 0);
    store_be16(ip + 10, 0);
    const auto sum = static_cast<std::uint16_t>(~header_sum(ip, header_size));
    std::memcpy(ip + 10, &sum, sizeof sum);
}

/// The same for IPv6: its fragment header, the last one before `start`, becomes an atomic one (RFC
/// 6946).
void mend_ipv6(std::uint8_t* ip, std::uint8_t* start, std::uint32_t total) noexcept {
    store_be16(ip + 4, static_cast<std::uint32_t>(start - ip) - kIpv6Size + total);
    store_be16(start - 6, 0);
}

DropReason malformed(InspectKind kind) noexcept {
    return kind == InspectKind::kIcmpError ? DropReason::kBadIcmp : DropReason::kBadDhcp;
}

/// Parses bytes that no pool owns, as a received frame.
void parse_bytes(std::uint8_t* bytes, std::uint16_t size, PortIndex port,
                 ParsedFrame& out) noexcept {
    rte_mbuf frame{};
    frame.buf_addr = bytes;
    frame.data_len = size;
    frame.pkt_len = size;
    frame.nb_segs = 1;
    parse_uncommon(frame, port, out);
}

}  // namespace

DropReason FragmentTable::gather(FragmentHandle datagram, PortIndex port,
                                 ParsedFrame& out) noexcept {
    const Entry* entry = entry_of(datagram);
    if (entry == nullptr || entry->held.is_empty()) { return DropReason::kFragmentNoHead; }
    const std::uint32_t start = entry->start;
    const std::uint32_t total = entry->extents.total();
    if (start + total > kFragmentGatheredMax) { return malformed(entry->gathered_as); }
    std::uint8_t* const bytes = gathered_.get();
    store_.for_each(entry->held, [&](const HeldFragment& held) {
        if (held.begin == 0) { copy_out(*held.frame, 0, start, bytes); }
        copy_out(*held.frame, held.payload_at, held.payload_size, bytes + start + held.begin);
    });
    std::uint8_t* const ip =
        bytes + kEthernetSize + (entry->head_key.has(kKeyTagged) ? kTagSize : 0);
    if (entry->head_key.has(kKeyIpv4)) {
        mend_ipv4(ip, static_cast<std::uint32_t>(bytes + start - ip), total);
    } else {
        mend_ipv6(ip, bytes + start, total);
    }
    parse_bytes(bytes, static_cast<std::uint16_t>(start + total), port, out);
    if (out.reason != DropReason::kNone) { return out.reason; }
    return out.inspect_kind == entry->gathered_as ? DropReason::kNone : DropReason::kBadFragment;
}

}  // namespace sluice::datapath
