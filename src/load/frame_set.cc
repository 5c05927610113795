// SPDX-License-Identifier: Apache-2.0
// FrameSet: frames side by side, each on a cache line of its own.
#include "frame_set.h"

#include <array>

#include "sluice/base/assert.h"

namespace sluice::load {
namespace {

constexpr std::size_t kLine = 64;

// 7:4:1, mixed so that no burst is all of one size.
constexpr std::array<unsigned, 12> kImix{64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64};

constexpr std::size_t stride(unsigned wire) {
    return (kHeaderBytesMax + wire - kFcsBytes + kLine - 1) / kLine * kLine;
}

frontend::NetHeader write_one(std::span<std::uint8_t> frame, const Tuple& forward,
                              const FrameShape& shape, Checksum checksum) {
    const Tuple tuple = shape.reversed ? forward.back() : forward;
    if (!shape.tcp) { return write_udp(frame, shape.link, tuple, checksum); }
    return write_tcp(frame, shape.link, tuple, shape.fields, frame.size() - kTcpPayloadAt,
                     checksum);
}

}  // namespace

unsigned wire_bytes(unsigned size, std::uint64_t index) {
    return size != 0 ? size : kImix[index % kImix.size()];
}

std::uint64_t frame_count(std::uint64_t flows, unsigned queue_size) {
    return flows > queue_size ? flows : queue_size;
}

Result<std::size_t> frame_memory(std::uint64_t flows, unsigned queue_size, unsigned size) {
    const std::uint64_t count = frame_count(flows, queue_size);
    std::size_t bytes = 0;
    if (size != 0) {
        bytes = count * stride(size);
    } else {
        for (std::uint64_t i = 0; i < kImix.size(); ++i) { bytes += stride(kImix[i]); }
        bytes *= count / kImix.size() + 1;
    }
    if (bytes > kFrameMemoryMax) {
        return Error{Errc::kLimit,
                     "--flows " + std::to_string(flows) + " frames of this size take " +
                         std::to_string(bytes >> 20U) + " MiB, at most " +
                         std::to_string(kFrameMemoryMax >> 20U) + " are used",
                     "--flows"};
    }
    return bytes;
}

std::vector<Prepared> write_frames(End& end, std::size_t offset, const Tuples& tuples,
                                   std::uint64_t flows, const FrameShape& shape) {
    const std::size_t header_bytes = end.header_bytes();
    const Checksum checksum = end.has_tunnel() ? Checksum::kFull : shape.checksum;
    const frontend::GuestSpan area = end.frames();
    std::vector<Prepared> all;
    const std::uint64_t count = frame_count(flows, end.tx().size());
    all.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        const unsigned wire = wire_bytes(shape.size, i);
        std::uint8_t* const at = area.host + offset;
        const std::span<std::uint8_t> frame(at + header_bytes, wire - kFcsBytes);
        const frontend::NetHeader header = write_one(frame, tuples.at(i % flows), shape, checksum);
        end.write_header(at, header, frame.size(), i % flows);
        all.push_back(
            {area.guest + offset, static_cast<std::uint32_t>(header_bytes + frame.size())});
        offset += stride(wire);
    }
    return all;
}

}  // namespace sluice::load
