// SPDX-License-Identifier: Apache-2.0
// ServiceStatePool: see service_state_pool.h. Workers, for the first packet that a service sees of
// a connection.
#include "datapath/service_state_pool.h"

#include <algorithm>
#include <cstring>

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kHeaderBytes = 16;  // An owner, and the state behind it stays aligned.
constexpr std::uint64_t kPoolBytes = std::uint64_t{kServiceStateMax} * 256;
constexpr unsigned kLooks = 64;  // At rows in use, before there is none.

std::uint32_t stride_of(std::uint32_t size) noexcept {
    return kHeaderBytes + (size + 15U) / 16U * 16U;
}

std::uint32_t rows_of(std::uint32_t stride) noexcept {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(kServiceStateMax, kPoolBytes / stride));
}

// Generations of a connection's handle change while it lives: it is named by its index.
std::uint64_t name_of(ConnectionHandle connection, std::uint8_t hop) noexcept {
    return std::uint64_t{connection.index} << 8U | (hop + 1U);
}

}  // namespace

ServiceStatePool::ServiceStatePool(std::uint32_t size)
    : stride_(stride_of(size)), rows_(rows_of(stride_)), memory_(std::size_t{stride_} * rows_) {}

std::uint8_t* ServiceStatePool::at(std::uint32_t row) const noexcept {
    return static_cast<std::uint8_t*>(memory_.get()) + std::size_t{row - 1} * stride_ +
           kHeaderBytes;
}

ServiceStatePool::Owner& ServiceStatePool::owner(std::uint32_t row) const noexcept {
    return *reinterpret_cast<Owner*>(at(row) - kHeaderBytes);
}

bool ServiceStatePool::is_of(std::uint32_t row, ConnectionHandle connection,
                             std::uint8_t hop) const noexcept {
    return row != 0 && row <= rows_ &&
           owner(row).load(std::memory_order_relaxed) == name_of(connection, hop);
}

bool ServiceStatePool::is_live(WorkerContext& context, std::uint64_t owner,
                               std::uint32_t row) noexcept {
    const ConnectionHandle connection{static_cast<std::uint32_t>(owner >> 8U), 0};
    const auto hop = static_cast<std::size_t>((owner & 0xffU) - 1U);
    const ServicePins& pins = context.pins.of(connection);
    if (hop >= pins.count || pins.hops[hop].state != row) { return false; }
    bool is_redirected = false;
    context.connections.for_each(
        connection.index, 1, context.now_ns,
        [&](const Connection& record) { is_redirected = record.redirected != 0; });
    return is_redirected;
}

std::uint32_t ServiceStatePool::take(WorkerContext& context, ConnectionHandle connection,
                                     std::uint8_t hop) noexcept {
    for (unsigned look = 0; look < kLooks; ++look) {
        const std::uint32_t row = cursor_.fetch_add(1, std::memory_order_relaxed) % rows_ + 1U;
        Owner& owner_of_row = owner(row);
        std::uint64_t before = owner_of_row.load(std::memory_order_relaxed);
        if (before != 0 && is_live(context, before, row)) { continue; }
        if (!owner_of_row.compare_exchange_strong(before, name_of(connection, hop),
                                                  std::memory_order_acquire)) {
            continue;
        }
        std::memset(at(row), 0, stride_ - kHeaderBytes);
        return row;
    }
    return 0;
}

}  // namespace sluice::datapath
