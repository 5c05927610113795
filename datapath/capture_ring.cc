// SPDX-License-Identifier: Apache-2.0
// CaptureRing: see capture_ring.h. Positions grow for ever; a position's place is its remainder.
// Records are multiples of kGrain bytes, so that a filler's header always fits before the end.
#include "datapath/capture_ring.h"

#include <bit>
#include <new>

#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kGrain = 64;
static_assert(sizeof(CaptureRecord) <= kGrain && alignof(CaptureRecord) <= kGrain);

constexpr std::uint32_t record_size(std::uint32_t captured_size) noexcept {
    return (static_cast<std::uint32_t>(sizeof(CaptureRecord)) + captured_size + kGrain - 1) /
           kGrain * kGrain;
}

}  // namespace

CaptureRing::CaptureRing(std::uint32_t size) : memory_(size), size_(size) {
    SLUICE_ASSERT(std::has_single_bit(size) && size >= kGrain);
}

CaptureRecord* CaptureRing::at(std::uint64_t position) noexcept {
    return reinterpret_cast<CaptureRecord*>(static_cast<std::uint8_t*>(memory_.get()) +
                                            position % size_);
}

CaptureRecord* CaptureRing::reserve(std::uint32_t captured_size) noexcept {
    if (captured_size > size_ / 2) { return nullptr; }
    const std::uint32_t wanted = record_size(captured_size);
    const auto to_end = static_cast<std::uint32_t>(size_ - reserved_ % size_);
    const std::uint32_t filler = to_end < wanted ? to_end : 0U;
    const std::uint64_t used = reserved_ - tail_.load(std::memory_order_acquire);
    if (used + filler + wanted > size_) { return nullptr; }
    if (filler > 0) {
        new (at(reserved_)) CaptureRecord{};
        at(reserved_)->record_size = filler;
        reserved_ += filler;
    }
    auto* record = new (at(reserved_)) CaptureRecord{};
    record->record_size = wanted;
    record->captured_size = captured_size;
    reserved_ += wanted;
    return record;
}

std::uint32_t CaptureRing::mark_of(const CaptureRecord& record) const noexcept {
    const auto offset = static_cast<std::uint32_t>(reinterpret_cast<const std::uint8_t*>(&record) -
                                                   static_cast<const std::uint8_t*>(memory_.get()));
    return offset / kGrain;
}

CaptureRecord* CaptureRing::amendable(std::uint32_t mark, const rte_mbuf* frame) noexcept {
    const std::uint64_t committed = head_.load(std::memory_order_relaxed);
    const std::uint64_t offset = std::uint64_t{mark} * kGrain;
    if (offset >= size_ || (offset - committed) % size_ >= reserved_ - committed) {
        return nullptr;
    }
    CaptureRecord* record = at(offset);
    return record->frame == frame ? record : nullptr;
}

void CaptureRing::commit() noexcept {
    if (head_.load(std::memory_order_relaxed) != reserved_) {
        head_.store(reserved_, std::memory_order_release);
    }
}

void CaptureRing::count_missed(std::uint8_t captures) noexcept {
    for (unsigned bits = captures; bits != 0; bits &= bits - 1U) {
        missed_[static_cast<unsigned>(std::countr_zero(bits))].add(1);
    }
}

const CaptureRecord* CaptureRing::front() noexcept {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    while (tail_.load(std::memory_order_relaxed) != head) {
        const CaptureRecord* record = at(tail_.load(std::memory_order_relaxed));
        if (record->captures != 0) { return record; }
        pop();
    }
    return nullptr;
}

void CaptureRing::pop() noexcept {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    tail_.store(tail + at(tail)->record_size, std::memory_order_release);
}

}  // namespace sluice::datapath
