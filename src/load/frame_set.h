// SPDX-License-Identifier: Apache-2.0
// FrameSet: the frames that a flood sends, written into an end's memory once, before the run.
// One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "end.h"
#include "options.h"

namespace sluice::load {

/// A frame with its virtio header, as a descriptor names it.
struct Prepared {
    std::uint64_t address;
    std::uint32_t length;
};

/// What makes the frames of one direction.
struct FrameShape {
    Link link;
    bool reversed = false;  ///< b to a: the same flows the other way.
    bool tcp = false;
    unsigned size = 64;  ///< On the wire; 0 = IMIX.
    Checksum checksum = Checksum::kFull;
    TcpFields fields{};
};

/// Bytes of frame number `index` with FCS: the size, or IMIX's next.
[[nodiscard]] unsigned wire_bytes(unsigned size, std::uint64_t index);

/// Frames that `flows` flows need in a ring of `queue_size`: at least one a slot, so that every
/// slot has a buffer of its own, as in a guest.
[[nodiscard]] std::uint64_t frame_count(std::uint64_t flows, unsigned queue_size);
/// Guest memory that these take. kLimit above kFrameMemoryMax.
[[nodiscard]] Result<std::size_t> frame_memory(std::uint64_t flows, unsigned queue_size,
                                               unsigned size);

/// Writes them behind the first `offset` bytes of the end's memory; flow n is tuple n.
[[nodiscard]] std::vector<Prepared> write_frames(End& end, std::size_t offset, const Tuples& tuples,
                                                 std::uint64_t flows, const FrameShape& shape);

}  // namespace sluice::load
