// SPDX-License-Identifier: Apache-2.0
// ServiceStatePool: what one in-process service keeps of connections, rows of one size in memory
// that is taken as it is used. A row belongs to one hop of one connection, whose ServiceHop::state
// names it. Nobody tells of a connection's end: a row whose owner has ended, or names another one,
// is taken for a new one when the pool comes past it. Any worker; no lock but a compare-and-swap on
// the row's owner.
#pragma once

#include <atomic>
#include <cstdint>

#include "datapath/context.h"

namespace sluice::datapath {

class ServiceStatePool {
public:
    /// Rows of `size` bytes, 16-byte aligned: kServiceStateMax of them, fewer if they are large.
    explicit ServiceStatePool(std::uint32_t size);

    /// A zeroed row for hop number `hop` of `connection`, 1..rows(); 0 if all that it looked at are
    /// in use.
    [[nodiscard]] std::uint32_t take(WorkerContext& context, ConnectionHandle connection,
                                     std::uint8_t hop) noexcept;
    /// True if take() gave it that row and nobody took it over.
    [[nodiscard]] bool is_of(std::uint32_t row, ConnectionHandle connection,
                             std::uint8_t hop) const noexcept;
    /// State of a row, as take() gave it.
    [[nodiscard]] std::uint8_t* at(std::uint32_t row) const noexcept;
    [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }

private:
    using Owner = std::atomic<std::uint64_t>;  // worker: rw. 0: nobody.

    [[nodiscard]] Owner& owner(std::uint32_t row) const noexcept;
    [[nodiscard]] static bool is_live(WorkerContext& context, std::uint64_t owner,
                                      std::uint32_t row) noexcept;

    std::uint32_t stride_;  // Bytes of a row, its owner included.
    std::uint32_t rows_;
    LazyMemory memory_;
    std::atomic<std::uint32_t> cursor_{0};  // worker: rw
};

}  // namespace sluice::datapath
