// SPDX-License-Identifier: Apache-2.0
// Segment: see segment.h. All buffers are taken at once, so that a frame is cut whole or not at
// all; then payload is poured into them front to back. Segments larger than one buffer (jumbo
// frames) are chains.
#include "datapath/segment.h"

#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include <algorithm>
#include <array>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kOnlyOnLast = kTcpFin | kTcpPsh;
constexpr std::uint8_t kOnlyOnFirst = kTcpCwr;

std::uint16_t wire16(std::uint32_t value) noexcept {
    return __builtin_bswap16(static_cast<std::uint16_t>(value));
}
void store_be16(std::uint8_t* at, std::uint32_t value) noexcept {
    const std::uint16_t wire = wire16(value);
    std::memcpy(at, &wire, sizeof wire);
}

/// Sizes of a frame that is to be cut.
struct Layout {
    explicit Layout(const rte_mbuf& frame) noexcept
        : l4(frame.l2_len + frame.l3_len),
          headers(l4 + frame.l4_len),
          most(frame.tso_segsz),
          v4((frame.ol_flags & RTE_MBUF_F_TX_IPV4) != 0) {
        const auto* l3 = rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, frame.l2_len);
        if (headers > frame.data_len || most == 0) { return; }
        const std::uint32_t end =
            frame.l2_len + (v4 ? load_be16(l3 + 2) : kIpv6Size + load_be16(l3 + 4));
        if (end < headers || end > frame.pkt_len) { return; }
        payload = end - headers;
        count = payload == 0 ? 1 : (payload + most - 1) / most;
    }
    std::uint32_t l4, headers;  ///< Offset of the TCP header, of the payload.
    std::uint32_t most;         ///< Payload of each segment but the last.
    bool v4;
    std::uint32_t payload = 0;
    std::uint32_t count = 0;
};

/// Where the next byte of payload lies.
class Source {
public:
    Source(const rte_mbuf& frame, std::uint32_t offset) noexcept : at_(&frame), offset_(offset) {
        while (offset_ >= at_->data_len && at_->next != nullptr) {
            offset_ -= at_->data_len;
            at_ = at_->next;
        }
    }

    /// Copies `size` bytes, which must be there, and moves on.
    void copy(std::uint8_t* to, std::uint32_t size) noexcept {
        while (size > 0) {
            const std::uint32_t take = std::min(size, at_->data_len - offset_);
            std::memcpy(to, rte_pktmbuf_mtod_offset(at_, const std::uint8_t*, offset_), take);
            to += take;
            size -= take;
            offset_ += take;
            if (offset_ == at_->data_len && size > 0) {
                at_ = at_->next;
                offset_ = 0;
            }
        }
    }

private:
    const rte_mbuf* at_;
    std::uint32_t offset_;
};

/// Appends `size` bytes of payload to `head`, taking buffers from `spare` where it is full.
void pour(rte_mbuf& head, std::uint32_t size, Source& source, rte_mbuf**& spare) noexcept {
    rte_mbuf* last = &head;
    while (size > 0) {
        std::uint32_t room = rte_pktmbuf_tailroom(last);
        if (room == 0) {
            last->next = *spare++;
            last = last->next;
            ++head.nb_segs;
            room = rte_pktmbuf_tailroom(last);
        }
        const std::uint32_t take = std::min(size, room);
        source.copy(rte_pktmbuf_mtod_offset(last, std::uint8_t*, last->data_len), take);
        last->data_len = static_cast<std::uint16_t>(last->data_len + take);
        head.pkt_len += take;
        size -= take;
    }
}

/// What the headers of all segments of a frame add to their checksums. It is summed once, off the
/// frame: reading a header whose fields were just written would wait for the stores.
struct CommonSums {
    CommonSums(const rte_mbuf& frame, const Layout& layout) noexcept {
        const auto* data = rte_pktmbuf_mtod(&frame, const std::uint8_t*);
        std::array<std::uint8_t, 60> header{};
        if (layout.v4) {
            std::memcpy(header.data(), data + frame.l2_len,
                        std::min<std::size_t>(frame.l3_len, 60));
            std::memset(&header[2], 0, 4);   // Length and identification,
            std::memset(&header[10], 0, 2);  // checksum.
            ip = raw_sum(header.data(), header.size());
        }
        header.fill(0);
        std::memcpy(header.data(), data + layout.l4, std::min<std::size_t>(frame.l4_len, 60));
        std::memset(&header[4], 0, 4);  // Sequence number,
        header[13] = 0;                 // flags,
        std::memset(&header[16], 0, 2);
        pseudo = tcp_pseudo_sum(frame);
        tcp = raw_sum(header.data(), header.size());
    }
    std::uint64_t ip = 0;      ///< IPv4: without length, identification and checksum.
    std::uint64_t pseudo = 0;  ///< Without the length.
    std::uint64_t tcp = 0;     ///< Without sequence number, flags and checksum.
};

void write_ip_header(std::uint8_t* ip, std::uint32_t size, std::uint32_t index,
                     const Layout& layout, const CommonSums& sums) noexcept {
    if (!layout.v4) { return store_be16(ip + 4, size - kIpv6Size); }
    const std::uint16_t own[] = {wire16(size), wire16(load_be16(ip + 4) + index)};
    std::memcpy(ip + 2, own, sizeof own);
    const auto checksum = static_cast<std::uint16_t>(~fold(sums.ip + own[0] + own[1]));
    std::memcpy(ip + 10, &checksum, sizeof checksum);
}

/// Headers of segment number `index`, whose first byte of payload was byte `index * most`. The
/// payload is there.
void write_headers(rte_mbuf& segment, const Layout& layout, std::uint32_t index,
                   const CommonSums& sums, SegmentSum sum) noexcept {
    auto* data = rte_pktmbuf_mtod(&segment, std::uint8_t*);
    std::uint8_t* tcp = data + layout.l4;
    write_ip_header(data + segment.l2_len, segment.pkt_len - segment.l2_len, index, layout, sums);
    const std::uint32_t sequence = __builtin_bswap32(load_be32(tcp + 4) + index * layout.most);
    std::uint8_t flags = tcp[13];
    if (index + 1 < layout.count) { flags &= static_cast<std::uint8_t>(~kOnlyOnLast); }
    if (index > 0) { flags &= static_cast<std::uint8_t>(~kOnlyOnFirst); }
    std::memcpy(tcp + 4, &sequence, sizeof sequence);
    tcp[13] = flags;
    std::uint64_t words = sums.pseudo + __builtin_bswap32(segment.pkt_len - layout.l4);
    if (sum == SegmentSum::kFull) {
        words += sums.tcp + sequence + (std::uint64_t{flags} << 8U) +
                 raw_sum(segment, layout.headers, segment.pkt_len - layout.headers);
        segment.ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
    }
    const std::uint16_t folded = fold(words);
    const auto field = static_cast<std::uint16_t>(sum == SegmentSum::kFull ? ~folded : folded);
    std::memcpy(tcp + 16, &field, sizeof field);
}

void take_over(const rte_mbuf& frame, rte_mbuf& segment) noexcept {
    segment.port = frame.port;
    segment.hash = frame.hash;
    segment.ol_flags = frame.ol_flags & ~RTE_MBUF_F_TX_TCP_SEG;
    segment.tx_offload = frame.tx_offload;
    segment.tso_segsz = 0;
}

/// Buffers that a segment of `size` bytes takes.
std::uint32_t buffers_of(std::uint32_t size, std::uint32_t room) noexcept {
    return (size + room - 1) / room;
}

}  // namespace

std::uint32_t size_on_wire(const rte_mbuf& frame) noexcept {
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) { return frame.pkt_len; }
    const std::uint64_t segment = frame.l2_len + frame.l3_len + frame.l4_len + frame.tso_segsz;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(frame.pkt_len, segment));
}

std::size_t segment_count(const rte_mbuf& frame) noexcept { return Layout(frame).count; }

bool segment(const rte_mbuf& frame, rte_mempool& pool, std::size_t first, SegmentSum sum,
             std::span<rte_mbuf*> out) noexcept {
    const Layout layout(frame);
    SLUICE_ASSERT(!out.empty() && first + out.size() <= layout.count);
    const auto begin = static_cast<std::uint32_t>(first);
    const std::uint32_t end = begin + static_cast<std::uint32_t>(out.size());
    const std::uint32_t room =
        rte_pktmbuf_data_room_size(&pool) - std::uint32_t{RTE_PKTMBUF_HEADROOM};
    const std::uint32_t full = std::min(layout.most, layout.payload);
    const std::uint32_t last = layout.payload - (layout.count - 1) * layout.most;
    const std::uint32_t full_count = std::min(end, layout.count - 1) - begin;
    const std::uint32_t total = full_count * buffers_of(layout.headers + full, room) +
                                (end == layout.count ? buffers_of(layout.headers + last, room) : 0);
    std::array<rte_mbuf*, kTsoSegmentMax> buffers;
    SLUICE_ASSERT(layout.headers <= room && total <= buffers.size());
    if (rte_pktmbuf_alloc_bulk(&pool, buffers.data(), total) != 0) { return false; }
    rte_mbuf** spare = buffers.data();
    const CommonSums sums(frame, layout);
    Source payload(frame, layout.headers + begin * layout.most);
    for (std::uint32_t index = begin; index < end; ++index) {
        rte_mbuf* made = *spare++;
        out[index - begin] = made;
        take_over(frame, *made);
        rte_memcpy(rte_pktmbuf_append(made, static_cast<std::uint16_t>(layout.headers)),
                   rte_pktmbuf_mtod(&frame, const void*), layout.headers);
        pour(*made, index + 1 < layout.count ? full : last, payload, spare);
        write_headers(*made, layout, index, sums, sum);
    }
    return true;
}

}  // namespace sluice::datapath
