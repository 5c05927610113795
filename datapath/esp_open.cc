// SPDX-License-Identifier: Apache-2.0
// Esp, opening: see esp.h. In the order of RFC 4303 §3.4: the association, its window, the tag, the
// window again (the tag says whether a number is true), padding, headers.
#include <cstring>

#include "datapath/association.h"
#include "datapath/esp.h"
#include "datapath/esp_frame.h"
#include "datapath/esp_jobs.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kProtocolNone = 59;  // A dummy packet (RFC 4303 §2.6).
constexpr std::uint32_t kSealedMin = 4;     // Padding and trailer, aligned.

class Held {
public:
    Held(rte_spinlock_t& lock, bool shared) noexcept : lock_(shared ? &lock : nullptr) {
        if (lock_ != nullptr) { rte_spinlock_lock(lock_); }
    }
    ~Held() {
        if (lock_ != nullptr) { rte_spinlock_unlock(lock_); }
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

private:
    rte_spinlock_t* lock_;
};

// The number of a packet, 0 if it is not new.
std::uint64_t number_of(ReceivingAssociation& with, const std::uint8_t* esp, bool shared) noexcept {
    const Held held(with.lock, shared);
    const std::uint64_t iv = __builtin_bswap64(load<std::uint64_t>(esp + 8));
    const std::uint64_t number = with.window.infer(load_be32(esp + 4), iv);
    if (with.window.is_new(number)) { return number; }
    with.replayed.add(1);
    return 0;
}

// The driver's part.
bool is_authentic(const Association& with, rte_mbuf& frame, const EspSpan& span,
                  std::uint64_t number) noexcept {
    if (frame.nb_segs > 1 || with.is_gmac) [[unlikely]] {
        return run_alone(with, frame, span, number);
    }
    EspJobs job;
    job.add(with, frame, span, number);
    job.run(with);
    return job.is_good(0);
}

// An authentic packet is noted. False: it came before, by way of another worker.
bool note(ReceivingAssociation& with, std::uint64_t number, std::uint32_t size,
          bool shared) noexcept {
    const Held held(with.lock, shared);
    if (!with.window.accept(number)) {
        with.replayed.add(1);
        return false;
    }
    with.highest.store(with.window.highest(), std::memory_order_relaxed);
    with.packets.add(1);
    with.bytes.add(size);
    return true;
}

// Padding is 1, 2, 3... (RFC 4303 §2.4).
bool is_padding(const std::uint8_t* at, std::uint32_t size) noexcept {
    for (std::uint32_t i = 0; i < size; ++i) {
        if (at[i] != i + 1) { return false; }
    }
    return true;
}

// Takes off what ESP has put on, once it is in the clear.
DropReason unwrap(rte_mbuf& frame, const EspPlace& at) noexcept {
    const std::uint32_t sealed = at.end - at.payload - kEspHeaderSize - kEspTagSize;
    const std::uint32_t trailer = at.end - kEspTagSize - kEspTrailerMin;
    std::uint8_t copy[256];
    const auto* said = static_cast<const std::uint8_t*>(rte_pktmbuf_read(&frame, trailer, 2, copy));
    const std::uint32_t padding = said[0];
    const std::uint8_t protocol = said[1];
    if (padding + kEspTrailerMin > sealed || protocol == kProtocolNone) {
        return DropReason::kBadEsp;
    }
    const std::uint32_t end = trailer - padding;
    const void* pad = rte_pktmbuf_read(&frame, end, padding, copy);
    if (!is_padding(static_cast<const std::uint8_t*>(pad), padding)) { return DropReason::kBadEsp; }
    cut_tail(frame, end);
    std::memmove(at.data + kEspHeaderSize, at.data, at.payload);
    rte_pktmbuf_adj(&frame, kEspHeaderSize);
    mend_headers(at.data + kEspHeaderSize, at, protocol, end - kEspHeaderSize);
    return DropReason::kNone;
}

bool is_whole(const rte_mbuf& frame, const EspPlace& at) noexcept {
    const std::uint32_t size = at.end - at.payload;
    constexpr std::uint32_t kMin = kEspHeaderSize + kSealedMin + kEspTagSize;
    return size >= kMin && (size & 3U) == 0 && at.payload + kEspHeaderSize <= frame.data_len;
}

// A header that is not what was sent must not use up the packet's number; parse refuses it.
bool is_intact(const EspPlace& at) noexcept {
    return at.is_v6 || header_sum(at.data + kEthernetSize, at.payload - kEthernetSize) == 0xffff;
}

// Asks control for a key, every now and then.
void want(SaVoice& voice, std::uint16_t remote, std::uint32_t spi, std::uint64_t now_ns) noexcept {
    const std::uint64_t hash = (std::uint64_t{remote} << 32U | spi) * 0x9e3779b97f4a7c15U;
    SaVoice::Told& told = voice.wanted[hash >> 32U & (voice.wanted.size() - 1)];
    if (told.spi == spi && told.remote == remote && now_ns < told.until_ns) { return; }
    told = {spi, remote, now_ns + kSaWantedAgainNs};
    voice.ring.push({SaEvent::Kind::kWanted, remote, spi});
}

DropReason open_at(ReceivingAssociation& with, rte_mbuf& frame, const EspPlace& at,
                   bool shared) noexcept {
    if (!is_whole(frame, at)) { return DropReason::kBadEsp; }
    if (at.end != frame.pkt_len) { cut_tail(frame, at.end); }
    const std::uint64_t number = number_of(with, at.data + at.payload, shared);
    if (number == 0) { return DropReason::kEspReplay; }
    std::array<std::uint8_t, kEspTagSize> copy;
    EspSpan span{at.payload + kEspHeaderSize, at.end - at.payload - kEspHeaderSize - kEspTagSize,
                 copy.data()};
    const void* tag = rte_pktmbuf_read(&frame, at.end - kEspTagSize, kEspTagSize, copy.data());
    if (tag != copy.data()) { span.tag = static_cast<std::uint8_t*>(const_cast<void*>(tag)); }
    if (!is_authentic(with, frame, span, number)) {
        const Held held(with.lock, shared);
        with.bad_tags.add(1);
        return DropReason::kBadEspTag;
    }
    if (!note(with, number, frame.pkt_len, shared)) { return DropReason::kEspReplay; }
    return unwrap(frame, at);
}

}  // namespace

DropReason open(ReceivingAssociation& with, rte_mbuf& frame, bool shared) noexcept {
    EspPlace at;
    return find_place(frame, at) ? open_at(with, frame, at, shared) : DropReason::kBadEsp;
}

DropReason open_frame(WorkerContext& context, std::uint16_t remote, rte_mbuf& frame,
                      std::uint8_t& policy) noexcept {
    EspPlace at;
    policy = 0;
    if (!find_place(frame, at) || at.protocol() != kProtocolEsp) { return DropReason::kNone; }
    if (at.payload + 4 > frame.data_len || at.payload + 4 > at.end || !is_intact(at)) {
        return DropReason::kNone;
    }
    const std::uint32_t spi = load_be32(at.data + at.payload);
    const auto& policies = context.snapshot->key_policies;
    const std::uint8_t named = Spi::of(spi).policy;
    if (!Spi::is_ours(spi) || named >= policies.size() || policies[named].name.empty()) {
        return DropReason::kNone;
    }
    SecurityAssociations::State& state = context.associations.state();
    SaVoice& voice = *state.voices[context.options.index];
    ReceivingAssociation* with = state.receiving.load(std::memory_order_acquire)->find(remote, spi);
    if (with == nullptr) {
        want(voice, remote, spi, context.now_ns);
        return DropReason::kNoKey;
    }
    policy = named;
    const DropReason reason = open_at(*with, frame, at, state.worker_count > 1);
    if (reason == DropReason::kNone && !with->is_used.exchange(true, std::memory_order_relaxed)) {
        voice.ring.push({SaEvent::Kind::kUsed, remote, spi});
    }
    return reason;
}

}  // namespace sluice::datapath
