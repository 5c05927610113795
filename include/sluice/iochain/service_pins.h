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
    std::uint32_t check = 0;        ///< sealed_check(), behind every change of what it covers.
    std::array<ServiceHop, kServiceHopMax> hops;

    /// Over what must not change unnoticed while nobody runs: never 0.
    [[nodiscard]] std::uint32_t sealed_check() const noexcept {
        std::uint64_t sum =
            count | std::uint64_t{is_bypassed} << 8U | std::uint64_t{is_sealed} << 9U;
        for (std::size_t i = 0; i < count && i < hops.size(); ++i) {
            const ServiceHop& hop = hops[i];
            const std::uint64_t word = hop.instance | std::uint64_t{hop.rule} << 16U |
                                       std::uint64_t{hop.slot} << 32U |
                                       std::uint64_t{hop.of_receiver} << 40U;
            sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
            sum ^= sum >> 29U;
        }
        return static_cast<std::uint32_t>(sum ^ sum >> 32U) | 1U;
    }
    void seal() noexcept { check = sealed_check(); }
    /// Whether it is as somebody sealed it.
    [[nodiscard]] bool is_whole() const noexcept {
        return count <= kServiceHopMax && check == sealed_check();
    }
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
    /// `record`: index of the connection's record.
    [[nodiscard]] ServicePins& row(std::uint32_t record) noexcept { return rows_[record]; }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

private:
    ServicePins* rows_;
    std::uint32_t capacity_;
};

}  // namespace sluice
