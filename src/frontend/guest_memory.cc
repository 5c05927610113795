// SPDX-License-Identifier: Apache-2.0
// GuestMemory by memfd_create and mmap.
#include "guest_memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "sluice/base/assert.h"

namespace sluice::frontend {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20U;
constexpr std::uint64_t kRegionStride = std::uint64_t{1} << 32U;

[[nodiscard]] constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

GuestMemory::~GuestMemory() {
    for (const Region& region : regions_) { ::munmap(region.host, region.size); }
}

Status GuestMemory::add_region(std::size_t size_bytes, HugePages huge) {
    if (huge == HugePages::kNo) { return map_region(size_bytes, false); }
    Status mapped = map_region(size_bytes, true);
    return mapped || huge == HugePages::kRequired ? mapped : map_region(size_bytes, false);
}

Status GuestMemory::map_region(std::size_t size_bytes, bool huge) {
    Region region;
    region.huge = huge;
    region.used = regions_.empty() ? kPageBytes : 0;
    region.size = round_up(size_bytes + region.used, huge ? kHugePageBytes : kPageBytes);
    region.guest = regions_.size() * kRegionStride;
    region.file.reset(::memfd_create("guest-memory", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0U)));
    if (!region.file.valid()) { return io_error("memfd_create"); }
    if (::ftruncate(region.file.get(), static_cast<off_t>(region.size)) != 0) {
        return io_error("ftruncate guest memory");
    }
    void* host =
        ::mmap(nullptr, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, region.file.get(), 0);
    if (host == MAP_FAILED) { return io_error("mmap guest memory"); }
    region.host = static_cast<std::uint8_t*>(host);
    regions_.push_back(std::move(region));
    return Ok{};
}

GuestSpan GuestMemory::allocate(std::size_t region, std::size_t size_bytes, std::size_t alignment) {
    Region& from = regions_.at(region);
    const std::size_t start = round_up(from.used, alignment);
    SLUICE_ASSERT(start + size_bytes <= from.size);
    from.used = start + size_bytes;
    return {from.host + start, from.guest + start};
}

bool GuestMemory::is_huge() const { return std::ranges::all_of(regions_, &Region::huge); }

MemoryTable GuestMemory::table() const {
    MemoryTable table;
    for (const Region& region : regions_) {
        const auto user = reinterpret_cast<std::uint64_t>(region.host);
        table.regions[table.region_count++] = {region.guest, region.size, user, 0};
    }
    return table;
}

std::vector<int> GuestMemory::fds() const {
    std::vector<int> fds;
    for (const Region& region : regions_) { fds.push_back(region.file.get()); }
    return fds;
}

void GuestMemory::truncate(std::size_t region, std::size_t bytes) {
    const Region& cut = regions_.at(region);
    SLUICE_ASSERT(::mmap(cut.host, cut.size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == cut.host);
    SLUICE_ASSERT(::ftruncate(cut.file.get(), static_cast<off_t>(bytes)) == 0);
}

std::uint64_t GuestMemory::guest_address_of(const void* host) const {
    const auto* at = static_cast<const std::uint8_t*>(host);
    const auto region = std::ranges::find_if(
        regions_, [at](const Region& r) { return at >= r.host && at < r.host + r.size; });
    SLUICE_ASSERT(region != regions_.end());
    return region->guest + static_cast<std::uint64_t>(at - region->host);
}

std::vector<std::uint8_t> GuestMemory::copy() const {
    std::vector<std::uint8_t> all;
    for (const Region& region : regions_) {
        all.insert(all.end(), region.host, region.host + region.size);
    }
    return all;
}

std::size_t GuestMemory::copy_offset_of(const void* host) const {
    const std::uint64_t guest = guest_address_of(host);
    std::size_t before = 0;
    for (const Region& region : regions_) {
        if (guest - region.guest < region.size) { return before + (guest - region.guest); }
        before += region.size;
    }
    return before;
}

std::uint64_t GuestMemory::end_of(std::size_t region) const {
    return regions_.at(region).guest + regions_.at(region).size;
}

}  // namespace sluice::frontend
