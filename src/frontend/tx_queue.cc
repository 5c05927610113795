// SPDX-License-Identifier: Apache-2.0
// TxQueue: cuts a frame into pieces, writes them as descriptors, takes used chains back.
#include "tx_queue.h"

#include <algorithm>
#include <cstring>

namespace sluice::frontend {

std::optional<Layout> parse_layout(std::string_view name) {
    if (name == "single") { return Layout::kSingle; }
    if (name == "chained") { return Layout::kChained; }
    if (name == "indirect") { return Layout::kIndirect; }
    if (name == "split_header") { return Layout::kSplitHeader; }
    return std::nullopt;
}

std::size_t TxQueue::memory_bytes(unsigned size, bool has_buffers) {
    const std::size_t buffer = kTxBufferBytes + kTxTableEntries * sizeof(Descriptor);
    return SplitRing::memory_bytes(size) + (has_buffers ? size * buffer : 0);
}

Status TxQueue::create(GuestMemory& memory, unsigned size, bool has_buffers) {
    if (auto made = ring_.create(memory, 0, size); !made) { return made; }
    for (unsigned i = 0; has_buffers && i < size; ++i) {
        buffers_.push_back(memory.allocate(0, kTxBufferBytes));
        tables_.push_back(memory.allocate(0, kTxTableEntries * sizeof(Descriptor)));
    }
    return Ok{};
}

void TxQueue::start(bool event_idx, std::size_t header_bytes) {
    header_bytes_ = header_bytes;
    ring_.clear();
    ring_.set_event_idx(event_idx);
    ring_.disarm();
    free_all();
}

void TxQueue::free_all() {
    chains_.assign(ring_.size(), {});
    free_.clear();
    for (std::size_t i = buffers_.size(); i-- > 0;) {
        free_.push_back(static_cast<std::uint16_t>(i));
    }
    in_flight_ = 0;
}

void TxQueue::give_back() {
    ring_.skip(ring_.pending());
    free_all();
}

void TxQueue::cut(const TxFrame& frame, std::uint64_t address) {
    pieces_.clear();
    const auto add = [&](std::size_t bytes) {
        pieces_.push_back({address, static_cast<std::uint32_t>(bytes)});
        address += bytes;
    };
    if (frame.layout == Layout::kSingle) { return add(header_bytes_ + frame.frame.size()); }
    if (frame.layout == Layout::kSplitHeader) {
        add(5);
        add(header_bytes_ - 5);
    } else {
        add(header_bytes_);
    }
    const std::size_t half = (frame.frame.size() + 1) / 2;
    const std::size_t piece =
        std::max<std::size_t>(frame.piece_bytes != 0 ? frame.piece_bytes : half, 1);
    for (std::size_t at = 0; at < frame.frame.size(); at += piece) {
        add(std::min(piece, frame.frame.size() - at));
    }
}

void TxQueue::write_chain(const std::vector<std::uint16_t>& chain) {
    for (std::size_t i = 0; i < chain.size(); ++i) {
        const bool last = i + 1 == chain.size();
        ring_.descriptors()[chain[i]] = {pieces_[i].address, pieces_[i].length,
                                         last ? std::uint16_t{0} : kDescriptorNext,
                                         last ? std::uint16_t{0} : chain[i + 1]};
    }
}

void TxQueue::write_indirect(std::uint16_t head) {
    auto* table = reinterpret_cast<Descriptor*>(tables_[head].host);
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
        const bool last = i + 1 == pieces_.size();
        table[i] = {pieces_[i].address, pieces_[i].length,
                    last ? std::uint16_t{0} : kDescriptorNext,
                    static_cast<std::uint16_t>(last ? 0 : i + 1)};
    }
    const auto table_bytes = static_cast<std::uint32_t>(pieces_.size() * sizeof(Descriptor));
    ring_.descriptors()[head] = {tables_[head].guest, table_bytes, kDescriptorIndirect, 0};
}

bool TxQueue::enqueue(const TxFrame& frame) {
    if (free_.empty() || frame.frame.size() > kFrameBytesMax) { return false; }
    const std::uint16_t head = free_.back();
    cut(frame, buffers_[head].guest);
    const bool indirect = frame.layout == Layout::kIndirect;
    const std::size_t count = indirect ? 1 : pieces_.size();
    if (count > free_.size() || (indirect && pieces_.size() > kTxTableEntries)) { return false; }

    std::memcpy(buffers_[head].host, &frame.header, header_bytes_);
    if (!frame.frame.empty()) {
        std::memcpy(buffers_[head].host + header_bytes_, frame.frame.data(), frame.frame.size());
    }
    auto& chain = chains_[head];
    for (std::size_t i = 0; i < count; ++i) {
        chain.push_back(free_.back());
        free_.pop_back();
    }
    if (indirect) {
        write_indirect(head);
    } else {
        write_chain(chain);
    }
    ring_.put(head);
    ++in_flight_;
    return true;
}

unsigned TxQueue::collect() {
    unsigned collected = 0;
    for (unsigned left = ring_.pending(); left > 0; --left) {
        const std::uint32_t head = ring_.take().id;
        if (head >= chains_.size() || chains_[head].empty()) {
            continue;
        }  // A device may only return what it got.
        free_.insert(free_.end(), chains_[head].rbegin(), chains_[head].rend());
        chains_[head].clear();
        ++collected;
    }
    in_flight_ -= collected;
    return collected;
}

}  // namespace sluice::frontend
