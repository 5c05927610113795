// SPDX-License-Identifier: Apache-2.0
// RxQueue: posting, merging and posting again.
#include "rx_queue.h"

#include <algorithm>
#include <cstring>

namespace sluice::frontend {
namespace {

constexpr unsigned kPerBufferChained = 2;  // Header and data descriptor.

[[nodiscard]] unsigned buffers_that_fit(unsigned size, const RxShape& shape) {
    const bool pairs = shape.layout == Layout::kChained || shape.layout == Layout::kSplitHeader;
    return pairs ? size / kPerBufferChained : size;
}

}  // namespace

std::size_t RxQueue::memory_bytes(unsigned size, const RxShape& shape) {
    return SplitRing::memory_bytes(size) + size * ((shape.buffer_bytes + 63) / 64 * 64 + 2 * 64);
}

Status RxQueue::create(GuestMemory& memory, unsigned size, const RxShape& shape) {
    if (shape.buffer_bytes < 64) {
        return Error{
            Errc::kInvalid,
            "receive buffers of " + std::to_string(shape.buffer_bytes) + " bytes: 64 is the least",
            ""};
    }
    if (auto made = ring_.create(memory, 0, size); !made) { return made; }
    shape_ = shape;
    buffer_count_ = buffers_that_fit(size, shape);
    const std::size_t region = memory.region_count() - 1;
    for (unsigned i = 0; i < buffer_count_; ++i) {
        buffers_.push_back(memory.allocate(region, shape.buffer_bytes));
        tables_.push_back(memory.allocate(region, 2 * sizeof(Descriptor)));
    }
    return Ok{};
}

void RxQueue::start(bool event_idx, bool mergeable, std::size_t header_bytes) {
    header_bytes_ = header_bytes;
    mergeable_ = mergeable;
    ring_.clear();
    ring_.set_event_idx(event_idx);
    ring_.disarm();
    held_.clear();
    posted_count_ =
        shape_.posted_max == 0 ? buffer_count_ : std::min(shape_.posted_max, buffer_count_);
    for (unsigned i = 0; i < posted_count_; ++i) { write_buffer(i); }
}

void RxQueue::write_buffer(unsigned index) {
    const auto header = static_cast<std::uint32_t>(header_bytes_);
    const auto bytes = static_cast<std::uint32_t>(shape_.buffer_bytes);
    const std::uint64_t at = buffers_[index].guest;
    Descriptor* ring = ring_.descriptors();
    auto head = static_cast<std::uint16_t>(index);
    if (shape_.layout == Layout::kSingle) {
        ring[head] = {at, bytes, kDescriptorWrite, 0};
    } else if (shape_.layout == Layout::kIndirect) {
        auto* table = reinterpret_cast<Descriptor*>(tables_[index].host);
        table[0] = {at, header, kDescriptorWrite | kDescriptorNext, 1};
        table[1] = {at + header, bytes - header, kDescriptorWrite, 0};
        ring[head] = {tables_[index].guest, 2 * sizeof(Descriptor), kDescriptorIndirect, 0};
    } else {
        head = static_cast<std::uint16_t>(index * kPerBufferChained);
        const auto second = static_cast<std::uint16_t>(head + 1);
        ring[head] = {at, header, kDescriptorWrite | kDescriptorNext, second};
        ring[second] = {at + header, bytes - header, kDescriptorWrite, 0};
    }
    ring_.put(head);
}

std::optional<unsigned> RxQueue::index_of(std::uint32_t head) const {
    const bool pairs = buffer_count_ < ring_.size();
    if (pairs && head % kPerBufferChained != 0) { return std::nullopt; }
    const unsigned index = pairs ? head / kPerBufferChained : head;
    return index < buffer_count_ ? std::optional<unsigned>(index) : std::nullopt;
}

void RxQueue::append(RxFrame& out, UsedElement element, std::size_t skip_bytes) {
    const auto index = index_of(element.id);
    if (!index || element.length > shape_.buffer_bytes || element.length < skip_bytes) {
        out.broken = true;
        return;
    }
    const std::uint8_t* data = buffers_[*index].host;
    out.frame.insert(out.frame.end(), data + skip_bytes, data + element.length);
    if (skip_bytes != 0) {
        std::memcpy(&out.header, data, std::min(header_bytes_, sizeof out.header));
    }
}

void RxQueue::give_back(std::uint32_t head) {
    if (!index_of(head)) { return; }
    if (hold_) {
        held_.push_back(static_cast<std::uint16_t>(head));
    } else {
        ring_.put(static_cast<std::uint16_t>(head));
    }
}

std::optional<RxFrame> RxQueue::take() {
    if (ring_.pending() == 0) { return std::nullopt; }
    RxFrame out;
    const UsedElement first = ring_.take();
    append(out, first, header_bytes_);
    give_back(first.id);
    if (mergeable_ && !out.broken) {
        out.buffer_count = out.header.num_buffers;
        out.broken = out.buffer_count == 0 || out.buffer_count > ring_.pending() + 1U;
    }
    for (unsigned i = 1; i < out.buffer_count && !out.broken; ++i) {
        const UsedElement more = ring_.take();
        append(out, more, 0);
        give_back(more.id);
    }
    ring_.publish();
    return out;
}

void RxQueue::hold_buffers(bool hold) {
    hold_ = hold;
    if (hold_) { return; }
    for (const std::uint16_t head : held_) { ring_.put(head); }
    held_.clear();
    ring_.publish();
}

}  // namespace sluice::frontend
