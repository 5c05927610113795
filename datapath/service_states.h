// SPDX-License-Identifier: Apache-2.0
// ServiceStates: how each instance of a service does at the moment. One a dataplane, by index into
// Snapshot::service_instances. An instance takes connections until somebody says otherwise; the
// workers that send its heartbeats (service_health.cc) do, each for the direction that begins at
// its leg: 0 goes out by `in` and comes back by `out`, 1 the other way round. All workers read it,
// for each redirected packet: one byte.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "sluice/base/limits.h"
#include "sluice/telemetry/counters.h"

namespace sluice::datapath {

enum class ServiceState : std::uint8_t {
    kUp,    ///< Its heartbeats come back.
    kDown,  ///< They don't, or its rings are full: `on_failure`.
};

/// What workers add up of an instance; each its own.
struct ServiceCounters {
    Counter sent_packets, sent_bytes;  ///< Handed to it.
    Counter returned_packets;          ///< Back from it.
    Counter connections;               ///< Pinned to it, ever.
    Counter skipped_packets;           ///< Went on without it (`on_failure` open).
    Counter dropped_packets;           ///< `on_failure` closed.

    void reset() noexcept {
        for (Counter* each : {&sent_packets, &sent_bytes, &returned_packets, &connections,
                              &skipped_packets, &dropped_packets}) {
            each->reset();
        }
    }
};

class ServiceStates {
public:
    [[nodiscard]] bool works(std::uint16_t instance) const noexcept {
        return states_[instance].load(std::memory_order_relaxed) ==
               static_cast<std::uint8_t>(ServiceState::kUp);
    }
    /// @param now_ns  monotonic
    /// @return true if that is news
    bool set(std::uint16_t instance, ServiceState state, std::uint64_t now_ns) noexcept {
        const auto wanted = static_cast<std::uint8_t>(state);
        if (states_[instance].load(std::memory_order_relaxed) == wanted ||
            states_[instance].exchange(wanted, std::memory_order_relaxed) == wanted) {
            return false;
        }
        since_ns_[instance].store(now_ns, std::memory_order_relaxed);
        return true;
    }
    /// When its state changed last; 0 = it never did.
    [[nodiscard]] std::uint64_t since_ns(std::uint16_t instance) const noexcept {
        return since_ns_[instance].load(std::memory_order_relaxed);
    }
    /// Round trip of its last heartbeat, 0 = none came back yet.
    void note_heartbeat(std::uint16_t instance, std::uint64_t round_trip_ns) noexcept {
        round_trip_ns_[instance].store(round_trip_ns, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t round_trip_ns(std::uint16_t instance) const noexcept {
        return round_trip_ns_[instance].load(std::memory_order_relaxed);
    }

    /// The index means another instance from now on: it works, and its heartbeats carry `cookie`.
    void begin(std::uint16_t instance, std::uint64_t cookie) noexcept {
        Pulse& pulse = pulses_[instance];
        pulse.cookie.store(cookie, std::memory_order_relaxed);
        pulse.failed.store(0, std::memory_order_relaxed);
        states_[instance].store(static_cast<std::uint8_t>(ServiceState::kUp),
                                std::memory_order_relaxed);
        since_ns_[instance].store(0, std::memory_order_relaxed);
        note_heartbeat(instance, 0);
    }
    /// What only its heartbeats can know. Not 0 once it is watched.
    [[nodiscard]] std::uint64_t cookie(std::uint16_t instance) const noexcept {
        return pulses_[instance].cookie.load(std::memory_order_relaxed);
    }
    /// The newest heartbeat of a direction that came back. Worker where it comes back: w, the one
    /// that sends them: r.
    void hear(std::uint16_t instance, unsigned direction, std::uint32_t sequence) noexcept {
        pulses_[instance].heard[direction].store(sequence, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint32_t heard(std::uint16_t instance, unsigned direction) const noexcept {
        return pulses_[instance].heard[direction].load(std::memory_order_relaxed);
    }
    /// Whether a direction works. An instance does if all of its directions do. Said again with
    /// each heartbeat, so that two workers that speak at once are set right.
    void judge(std::uint16_t instance, unsigned direction, bool works,
               std::uint64_t now_ns) noexcept {
        std::atomic<std::uint8_t>& failed = pulses_[instance].failed;
        const auto bit = static_cast<std::uint8_t>(1U << direction);
        if (works) {
            failed.fetch_and(static_cast<std::uint8_t>(~bit), std::memory_order_relaxed);
        } else {
            failed.fetch_or(bit, std::memory_order_relaxed);
        }
        const bool is_up = failed.load(std::memory_order_relaxed) == 0;
        set(instance, is_up ? ServiceState::kUp : ServiceState::kDown, now_ns);
    }
    [[nodiscard]] bool has_failed(std::uint16_t instance, unsigned direction) const noexcept {
        return (pulses_[instance].failed.load(std::memory_order_relaxed) >> direction & 1U) != 0;
    }

private:
    struct alignas(32) Pulse {
        std::atomic<std::uint64_t> cookie{0};
        std::array<std::atomic<std::uint32_t>, 2> heard{};
        std::atomic<std::uint8_t> failed{0};  // A bit a direction.
    };
    std::array<std::atomic<std::uint8_t>, kServiceInstanceMax + 1> states_{};
    std::array<std::atomic<std::uint64_t>, kServiceInstanceMax + 1> since_ns_{};
    std::array<std::atomic<std::uint64_t>, kServiceInstanceMax + 1> round_trip_ns_{};
    std::array<Pulse, kServiceInstanceMax + 1> pulses_{};
};

}  // namespace sluice::datapath
