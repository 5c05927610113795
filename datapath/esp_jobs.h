// SPDX-License-Identifier: Apache-2.0
// EspJobs: packets of one association on their way through the driver. EspSpan says where in a
// frame is what it seals or opens. Private to esp_seal.cc and esp_open.cc. On a worker's stack.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstring>

#include "datapath/association.h"
#include "datapath/packet_writer.h"

namespace sluice::datapath {

/// What the driver works on, behind SPI, number and IV.
struct EspSpan {
    std::uint32_t begin = 0;  ///< Offset into the frame; in its first segment.
    std::uint32_t size = 0;   ///< Payload and trailer; in one segment or more.
    std::uint8_t* tag = nullptr;
};

/// Nonce and associated data (RFC 4106 §4, §5).
struct EspInputs {
    std::array<std::uint8_t, kNonceSize> nonce;
    std::array<std::uint8_t, kEspAadSize> aad;

    // The IV is what the frame says; the number is 64 bits of which it says 32.
    void fill(const Association& with, const std::uint8_t* iv, std::uint64_t number) noexcept {
        std::memcpy(nonce.data(), with.salt.data(), 4);
        std::memcpy(nonce.data() + 4, iv, 8);
        store_be32(aad.data(), with.spi);
        store(aad.data() + 4, __builtin_bswap64(number));
    }
};

/// AES-GCM over frames of one segment.
class EspJobs {
public:
    void add(const Association& with, rte_mbuf& frame, const EspSpan& span,
             std::uint64_t number) noexcept {
        auto* data = rte_pktmbuf_mtod_offset(&frame, std::uint8_t*, span.begin);
        inputs_[count_].fill(with, data - 8, number);
        vectors_[count_] = {data, 0, span.size, span.size};
        lists_[count_].vec = &vectors_[count_];
        lists_[count_].num = 1;
        nonces_[count_].va = inputs_[count_].nonce.data();
        aads_[count_].va = inputs_[count_].aad.data();
        tags_[count_].va = span.tag;
        ++count_;
    }
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    void run(const Association& with) noexcept {
        rte_crypto_sym_vec all{};
        all.num = count_;
        all.src_sgl = lists_.data();
        all.iv = nonces_.data();
        all.aad = aads_.data();
        all.digest = tags_.data();
        all.status = statuses_.data();
        with.session.run(all);
    }
    /// Behind run(): false if a tag is not right.
    [[nodiscard]] bool is_good(std::uint32_t job) const noexcept { return statuses_[job] == 0; }

private:
    std::uint32_t count_ = 0;
    std::array<rte_crypto_vec, kBurstMax> vectors_;
    std::array<rte_crypto_sgl, kBurstMax> lists_;
    std::array<rte_crypto_va_iova_ptr, kBurstMax> nonces_, aads_, tags_;
    std::array<std::int32_t, kBurstMax> statuses_;
    std::array<EspInputs, kBurstMax> inputs_;
};

// esp_alone.cc
/// The driver's part for a frame of several segments, or by AES-GMAC. False: it has more segments
/// than the driver is given, or a tag is not right.
[[nodiscard]] bool run_alone(const Association& with, rte_mbuf& frame, const EspSpan& span,
                             std::uint64_t number) noexcept;
/// Leaves the first `size` bytes of a frame.
void cut_tail(rte_mbuf& frame, std::uint32_t size) noexcept;

}  // namespace sluice::datapath
