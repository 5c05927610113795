// SPDX-License-Identifier: Apache-2.0
// Esp, sealing: see esp.h. Frames of one segment go to the driver together; those of several, and
// AES-GMAC, which wants its data in one piece, one by one.
#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "datapath/association.h"
#include "datapath/esp.h"
#include "datapath/esp_frame.h"
#include "datapath/esp_jobs.h"
#include "datapath/packet_writer.h"

namespace sluice::datapath {
namespace {

// The first of `count` numbers in a row that nobody else gets; 0: the key is used up.
std::uint64_t take_numbers(SendingAssociation& with, std::size_t count) noexcept {
    if (with.sequence.load(std::memory_order_relaxed) + count > kSealedPacketsMax) { return 0; }
    const std::uint64_t last = with.sequence.fetch_add(count, std::memory_order_relaxed);
    return last + count > kSealedPacketsMax ? 0 : last + 1;
}

// Room behind the last byte, in one piece. A chain grows by a buffer where it has none.
std::uint8_t* append(rte_mbuf& frame, rte_mempool& pool, std::uint32_t size) noexcept {
    const auto bytes = static_cast<std::uint16_t>(size);
    if (char* room = rte_pktmbuf_append(&frame, bytes)) {
        return reinterpret_cast<std::uint8_t*>(room);
    }
    rte_mbuf* more = rte_pktmbuf_alloc(&pool);
    if (more == nullptr) { return nullptr; }
    char* room = rte_pktmbuf_append(more, bytes);
    if (room == nullptr || rte_pktmbuf_chain(&frame, more) != 0) {
        rte_pktmbuf_free(more);
        return nullptr;
    }
    return reinterpret_cast<std::uint8_t*>(room);
}

// Sizes that are known make copies that are not calls.
void move_headers(std::uint8_t* to, const std::uint8_t* from, std::uint32_t size) noexcept {
    constexpr std::uint32_t kPlainV4 = kEthernetSize + kIpv4Size;
    if (size == kPlainV4) [[likely]] {
        std::memmove(to, from, kPlainV4);
    } else {
        std::memmove(to, from, size);
    }
}

void write_trailer(std::uint8_t* at, std::uint32_t padding, std::uint8_t protocol) noexcept {
    for (std::uint32_t i = 0; i < padding; ++i) { at[i] = static_cast<std::uint8_t>(i + 1); }
    at[padding] = static_cast<std::uint8_t>(padding);
    at[padding + 1] = protocol;
}

// Writes all but what the driver does. kNone: `sealed` says where that is.
DropReason write_esp(const SendingAssociation& with, rte_mempool& pool, rte_mbuf& frame,
                     std::uint64_t number, EspSpan& sealed) noexcept {
    EspPlace at;
    if (!find_place(frame, at)) { return DropReason::kBadEsp; }
    if (at.end != frame.pkt_len) { cut_tail(frame, at.end); }
    const std::uint32_t payload = at.end - at.payload;
    const std::uint32_t growth = esp_growth(payload);
    const std::uint32_t trailer = growth - kEspHeaderSize - kEspTagSize;
    const std::uint8_t protocol = at.protocol();
    std::uint8_t* tail = append(frame, pool, trailer + kEspTagSize);
    if (tail == nullptr) { return DropReason::kNoBuffer; }
    auto* head = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_prepend(&frame, kEspHeaderSize));
    if (head == nullptr) { return DropReason::kNoBuffer; }
    move_headers(head, at.data, at.payload);
    write_trailer(tail, trailer - kEspTrailerMin, protocol);
    mend_headers(head, at, kProtocolEsp, at.end + growth);
    std::uint8_t* esp = head + at.payload;
    store_be32(esp, with.spi);
    store_be32(esp + 4, static_cast<std::uint32_t>(number));
    store(esp + 8, __builtin_bswap64(number));
    sealed = {at.payload + kEspHeaderSize, payload + trailer, tail + trailer};
    return DropReason::kNone;
}

}  // namespace

void seal(SendingAssociation& with, rte_mempool& pool, std::span<rte_mbuf* const> frames,
          std::span<DropReason> reasons) noexcept {
    const std::uint64_t first = take_numbers(with, frames.size());
    if (first == 0) {
        std::fill(reasons.begin(), reasons.end(), DropReason::kKeyExhausted);
        return;
    }
    EspJobs jobs;
    std::uint64_t packets = 0, bytes = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        rte_mbuf& frame = *frames[i];
        EspSpan sealed;
        const std::uint32_t size = frame.pkt_len;
        reasons[i] = write_esp(with, pool, frame, first + i, sealed);
        if (reasons[i] != DropReason::kNone) [[unlikely]] { continue; }
        ++packets;
        bytes += size;
        if (frame.nb_segs == 1 && !with.is_gmac) [[likely]] {
            jobs.add(with, frame, sealed, first + i);
        } else if (!run_alone(with, frame, sealed, first + i)) {
            reasons[i] = DropReason::kNoBuffer;
        }
    }
    if (jobs.count() > 0) { jobs.run(with); }
    with.packets.add(packets);
    with.bytes.add(bytes);
}

void seal_frames(WorkerContext& context, std::uint16_t vtep, std::uint8_t policy,
                 std::span<rte_mbuf* const> frames, std::span<DropReason> reasons) noexcept {
    SecurityAssociations::State& state = context.associations.state();
    SendingAssociation* with = state.sender(vtep, policy);
    if (with == nullptr) {
        std::fill(reasons.begin(), reasons.end(), DropReason::kNoKey);
        return;
    }
    seal(*with, *context.options.pool, frames, reasons);
    if (with->sequence.load(std::memory_order_relaxed) < kSealedPacketsMax - kSealedPacketsMargin)
        [[likely]] {
        return;
    }
    if (with->is_filling.exchange(true, std::memory_order_relaxed)) { return; }
    state.voices[context.options.index]->ring.push({SaEvent::Kind::kFilling, 0, with->spi});
}

}  // namespace sluice::datapath
