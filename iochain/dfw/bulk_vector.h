// SPDX-License-Identifier: Apache-2.0
// BulkVector: a vector for what first packets read at random places. Large ones lie on 2 MiB
// boundaries and ask for huge pages, so that a look costs no walk of the page table besides its
// cache miss. Compile helper makes them; any thread reads.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace sluice::iochain {

template <typename T>
struct BulkAllocator {
    using value_type = T;
    BulkAllocator() = default;
    template <typename U>
    BulkAllocator(const BulkAllocator<U>&) noexcept {}  // NOLINT: allocators convert.

    [[nodiscard]] T* allocate(std::size_t count) {
        const std::size_t size = count * sizeof(T);
        const bool is_large = size >= kHugePage / 2;
        void* memory = std::aligned_alloc(is_large ? kHugePage : kLine, padded(size, is_large));
        if (memory == nullptr) { throw std::bad_alloc(); }
        if (is_large) { (void)madvise(memory, padded(size, true), MADV_HUGEPAGE); }
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t) noexcept { std::free(memory); }
    friend bool operator==(const BulkAllocator&, const BulkAllocator&) noexcept { return true; }

private:
    static constexpr std::size_t kHugePage = std::size_t{1} << 21U;
    static constexpr std::size_t kLine = 128;  // Two lines that are fetched together.
    static std::size_t padded(std::size_t size, bool is_large) noexcept {
        const std::size_t unit = is_large ? kHugePage : kLine;
        return (size + unit - 1) / unit * unit;
    }
};

template <typename T>
using BulkVector = std::vector<T, BulkAllocator<T>>;

}  // namespace sluice::iochain
