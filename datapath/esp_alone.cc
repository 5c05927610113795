// SPDX-License-Identifier: Apache-2.0
// Esp, packets that go through the driver one by one: see esp_jobs.h. AES-GCM takes a chain as a
// list of pieces. AES-GMAC wants the associated data, the IV and what it protects in one piece
// (RFC 4543 §3.3), so that it works on a copy.
#include <algorithm>

#include "datapath/esp.h"
#include "datapath/esp_jobs.h"

namespace sluice::datapath {
namespace {

constexpr std::size_t kPieceMax = 32;
constexpr std::size_t kCopyMax = kEspAadSize + 8 + kMtuMax + kEspOverheadMax;

bool run_one(const Association& with, EspInputs& inputs, std::span<rte_crypto_vec> pieces,
             std::uint8_t* tag) noexcept {
    rte_crypto_sgl list{};
    list.vec = pieces.data();
    list.num = static_cast<std::uint32_t>(pieces.size());
    rte_crypto_va_iova_ptr nonce{inputs.nonce.data(), 0}, aad{inputs.aad.data(), 0}, digest{tag, 0};
    std::int32_t status = 0;
    rte_crypto_sym_vec one{};
    one.num = 1;
    one.src_sgl = &list;
    one.iv = &nonce;
    one.aad = &aad;
    one.digest = &digest;
    one.status = &status;
    with.session.run(one);
    return status == 0;
}

bool run_chain(const Association& with, EspInputs& inputs, rte_mbuf& frame,
               const EspSpan& span) noexcept {
    std::array<rte_crypto_vec, kPieceMax> pieces;
    std::size_t count = 0;
    std::uint32_t skipped = span.begin, left = span.size;
    for (rte_mbuf* segment = &frame; segment != nullptr && left > 0; segment = segment->next) {
        const std::uint32_t size = std::min(segment->data_len - skipped, left);
        if (size > 0) {
            if (count == kPieceMax) { return false; }
            pieces[count++] = {rte_pktmbuf_mtod_offset(segment, void*, skipped), 0, size, size};
        }
        skipped = 0;
        left -= size;
    }
    return run_one(with, inputs, {pieces.data(), count}, span.tag);
}

bool run_gmac(const Association& with, EspInputs& inputs, const rte_mbuf& frame,
              const EspSpan& span) noexcept {
    std::array<std::uint8_t, kCopyMax> copy;
    const std::uint32_t size = span.size + 8;
    if (kEspAadSize + size > copy.size()) { return false; }
    std::uint8_t* behind = copy.data() + kEspAadSize;
    std::memcpy(copy.data(), inputs.aad.data(), kEspAadSize);
    const void* data = rte_pktmbuf_read(&frame, span.begin - 8, size, behind);
    if (data == nullptr) { return false; }
    if (data != behind) { std::memcpy(behind, data, size); }
    const auto all = static_cast<std::uint32_t>(kEspAadSize + size);
    rte_crypto_vec piece{copy.data(), 0, all, all};
    return run_one(with, inputs, {&piece, 1}, span.tag);
}

}  // namespace

bool run_alone(const Association& with, rte_mbuf& frame, const EspSpan& span,
               std::uint64_t number) noexcept {
    EspInputs inputs;
    inputs.fill(with, rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, span.begin - 8), number);
    return with.is_gmac ? run_gmac(with, inputs, frame, span)
                        : run_chain(with, inputs, frame, span);
}

void cut_tail(rte_mbuf& frame, std::uint32_t size) noexcept {
    rte_mbuf* last = &frame;
    std::uint32_t left = size;
    std::uint16_t count = 1;
    for (; left > last->data_len && last->next != nullptr; last = last->next, ++count) {
        left -= last->data_len;
    }
    last->data_len = static_cast<std::uint16_t>(left);
    if (last->next != nullptr) { rte_pktmbuf_free(last->next); }
    last->next = nullptr;
    frame.nb_segs = count;
    frame.pkt_len = size;
}

}  // namespace sluice::datapath
