// SPDX-License-Identifier: Apache-2.0
// ServicePins: the services that a connection passes, decided when it was opened, a row beside its
// record (same index, same arena ways: plain data, numbers that outlive a restart). Valid while the
// connection's `redirected` bit is set. Written by the worker that opened it before that bit, later
// under the connection's byte lock; read by any worker.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "sluice/base/limits.h"
#include "sluice/iochain/connection.h"

namespace sluice {

/// One service on a connection's way, seen from its opener.
struct ServiceHop {
    std::uint16_t instance =
        0;                   ///< Index into Snapshot::service_instances; 0: skipped from now on.
    std::uint16_t rule = 0;  ///< Index into Snapshot::service_rules.
    std::uint8_t slot = 0;
    bool of_receiver = false;  ///< Slot of the responder's vNIC.
    std::uint16_t reserved = 0;
    std::uint32_t state = 0;  ///< Of an in-process service: its own number for the connection.
};
static_assert(sizeof(ServiceHop) == 12);

/// Hops in the order in which the opener's packets pass them; the responder's pass them backwards.
struct alignas(32) ServicePins {
    std::uint8_t count = 0;
    bool is_bypassed : 1 = false;   ///< A service wants it to pass none any more.
    bool is_sealed : 1 = false;     ///< A rule of slot 15 covers it, or it came sealed: it never
                                    ///< goes to a service of another host, which gets it clear.
    PortIndex responder = kNoPort;  ///< Who answered last, where the record does not say who will.
    std::uint32_t generation = 0;   ///< Grows with each change of a hop.
    std::array<ServiceHop, kServiceHopMax> hops;
};
static_assert(sizeof(ServicePins) == 224 && std::is_trivially_copyable_v<ServicePins>);

/// Rows of all connections, in memory that is taken as it is used.
class ServicePinTable {
public:
    /// @param memory  bytes(capacity), zero-filled or never touched, 32 bytes aligned
    ServicePinTable(void* memory, std::uint32_t capacity) noexcept
        : rows_(static_cast<ServicePins*>(memory)), capacity_(capacity) {}
    [[nodiscard]] static constexpr std::size_t bytes(std::uint32_t capacity) noexcept {
        return std::size_t{capacity} * sizeof(ServicePins);
    }
    /// `handle` is set.
    [[nodiscard]] ServicePins& of(ConnectionHandle handle) noexcept { return rows_[handle.index]; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

private:
    ServicePins* rows_;
    std::uint32_t capacity_;
};

}  // namespace sluice
