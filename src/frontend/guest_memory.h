// SPDX-License-Identifier: Apache-2.0
// GuestMemory: the "RAM" of the pretended guest, in memfds that the back-end maps too. Addresses
// are handed out once, front to back, and never freed. Region 0 holds rings and transmit buffers,
// the last region receive buffers, so that a two-region guest makes the back-end look both up (as
// QEMU does below and above 4 GiB). Owner's thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fd.h"
#include "vhost_user.h"

namespace sluice::frontend {

/// A piece of guest memory by both its names.
struct GuestSpan {
    std::uint8_t* host = nullptr;
    std::uint64_t guest = 0;
};

/// Pages of 2 MiB behind a region: never, or an error without them, or where there are enough free.
enum class HugePages : std::uint8_t { kNo, kRequired, kPreferred };

class GuestMemory {
public:
    GuestMemory() = default;
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;
    ~GuestMemory();

    /// Adds a zeroed region of at least `size_bytes` at the next guest address: region 0 at 0 (its
    /// first page is never handed out), the others at multiples of 4 GiB.
    [[nodiscard]] Status add_region(std::size_t size_bytes, HugePages huge);
    /// Hands out `size_bytes` of region `region`. Asserts that they are there: sizes are computed
    /// before.
    [[nodiscard]] GuestSpan allocate(std::size_t region, std::size_t size_bytes,
                                     std::size_t alignment = 64);

    /// True if every region lies in huge pages.
    [[nodiscard]] bool is_huge() const;
    [[nodiscard]] std::size_t region_count() const { return regions_.size(); }
    [[nodiscard]] MemoryTable table() const;
    [[nodiscard]] std::vector<int> fds() const;
    /// Cuts a region's file to `bytes` behind the back-end's back. Our own mapping stays usable, as
    /// private memory of zeroes.
    void truncate(std::size_t region, std::size_t bytes = 0);
    /// Bytes of a region.
    [[nodiscard]] std::size_t size_of(std::size_t region) const { return regions_.at(region).size; }
    /// Guest address of a byte of ours; asserts that it is one.
    [[nodiscard]] std::uint64_t guest_address_of(const void* host) const;
    /// Bytes of all regions, one after the other, and where in them a byte of ours is.
    [[nodiscard]] std::vector<std::uint8_t> copy() const;
    [[nodiscard]] std::size_t copy_offset_of(const void* host) const;
    /// First guest address behind a region.
    [[nodiscard]] std::uint64_t end_of(std::size_t region) const;

private:
    struct Region {
        Fd file;
        std::uint8_t* host = nullptr;
        std::size_t size = 0;
        std::size_t used = 0;
        std::uint64_t guest = 0;
        bool huge = false;
    };
    [[nodiscard]] Status map_region(std::size_t size_bytes, bool huge);
    std::vector<Region> regions_;
};

}  // namespace sluice::frontend
