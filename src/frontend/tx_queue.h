// SPDX-License-Identifier: Apache-2.0
// TxQueue: frames from the guest to the device. Each descriptor head owns a buffer of
// kTxBufferBytes and an indirect table, so a send copies the frame once and writes descriptors in
// the layout that the test asks for. Owner's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "split_ring.h"

namespace sluice::frontend {

/// How header and frame are laid over descriptors. Devices must accept any (virtio 1.1 §2.6.4).
enum class Layout : std::uint8_t {
    kSingle,       ///< One descriptor: header and frame.
    kChained,      ///< Header alone, then the frame in pieces, chained by `next`.
    kIndirect,     ///< As kChained, in an indirect table behind one descriptor.
    kSplitHeader,  ///< Header over two descriptors (5 and 7 bytes), then the frame in pieces.
};
[[nodiscard]] std::optional<Layout> parse_layout(std::string_view name);

inline constexpr std::size_t kTxBufferBytes = std::size_t{68} << 10U;
inline constexpr std::size_t kFrameBytesMax = kTxBufferBytes - sizeof(NetHeader);
inline constexpr unsigned kTxTableEntries = 64;

/// One frame and how to hand it over. `piece_bytes` 0: the frame in two halves.
struct TxFrame {
    std::span<const std::uint8_t> frame;  ///< From the destination MAC on, no FCS.
    NetHeader header;
    Layout layout = Layout::kSingle;
    std::size_t piece_bytes = 0;
};

class TxQueue {
public:
    /// `has_buffers` false: a ring for floods only, on which enqueue() always refuses.
    [[nodiscard]] static std::size_t memory_bytes(unsigned size, bool has_buffers = true);
    [[nodiscard]] Status create(GuestMemory& memory, unsigned size, bool has_buffers = true);
    /// Fresh rings, nothing in flight. `header_bytes`: 12, or 10 for a legacy device without
    /// mergeable buffers.
    void start(bool event_idx, std::size_t header_bytes);

    /// Copies the frame and writes its descriptors; publish() hands it over. False if the ring has
    /// no room for it (an indirect table or the whole ring too small counts as no room).
    [[nodiscard]] bool enqueue(const TxFrame& frame);
    void publish() { ring_.publish(); }
    /// Takes back what the device has used; returns how many frames.
    unsigned collect();
    /// Frames enqueued and not collected yet.
    [[nodiscard]] unsigned in_flight() const { return in_flight_; }

    [[nodiscard]] SplitRing& ring() { return ring_; }
    /// Buffer and indirect table of descriptor `head`, for tests that build descriptors by hand.
    [[nodiscard]] GuestSpan buffer(unsigned head) const { return buffers_.at(head); }
    [[nodiscard]] GuestSpan table(unsigned head) const { return tables_.at(head); }
    /// Lends the whole ring to a flood: enqueue() refuses until give_back(). Nothing may be in
    /// flight.
    void lend() { free_.clear(); }
    /// Takes the ring back, all descriptors free, indexes as they are. The device must have used
    /// everything.
    void give_back();
    [[nodiscard]] std::size_t header_bytes() const { return header_bytes_; }

private:
    struct Piece {
        std::uint64_t address;
        std::uint32_t length;
    };
    void cut(const TxFrame& frame, std::uint64_t address);
    void write_chain(const std::vector<std::uint16_t>& chain);
    void write_indirect(std::uint16_t head);
    void free_all();

    SplitRing ring_;
    std::vector<GuestSpan> buffers_;
    std::vector<GuestSpan> tables_;
    std::vector<std::uint16_t> free_;
    std::vector<std::vector<std::uint16_t>> chains_;  // By head; empty = not in flight.
    std::vector<Piece> pieces_;
    std::size_t header_bytes_ = sizeof(NetHeader);
    unsigned in_flight_ = 0;
};

}  // namespace sluice::frontend
