// SPDX-License-Identifier: Apache-2.0
// ServiceHealth: the heartbeats that one worker sends to services, kServiceHeartbeatMs apart, and
// what it concludes. docs/adr/0043-services-are-watched-through-their-legs.md.
//
// A beat is one direction of an instance: out by `in` and back by `out` (0), or, with two legs, the
// other way round (1). The worker that polls the leg where it goes out sends it; of an instance of
// another host, the worker of a VTEP's port. On the wire: an Ethernet frame, ethertype 0x88b5,
// untagged, between two MACs of the instance's own, one a leg, so that a bridge learns both; in an
// envelope (nsh_header.h, O) for a service that speaks NSH, and to other hosts, where the host of
// the service answers, as the instance is.
//
//   a direction        \ at the next beat  came back  did not  ring took nothing  leg has no guest
//   works                                  works      after kServiceHeartbeatMisses   failed
//                                                     in a row: failed                 at once
//   failed                                 works      failed   failed             failed
// A ring that refuses the heartbeat, but took other frames since, says nothing: it is busy.
// Thread: its worker. ServiceStates is where workers meet.
#pragma once

#include <array>
#include <cstdint>

#include "datapath/snapshot.h"

struct rte_mbuf;

namespace sluice::datapath {

struct WorkerContext;

inline constexpr std::uint32_t kHeartbeatBytes = 60;  ///< Without an envelope.

/// The MAC of a leg of an instance, as heartbeats and envelopes carry it. Locally administered.
/// @param leg  0: `in`, 1: `out`
[[nodiscard]] MacAddr service_mac(std::uint32_t path, unsigned leg) noexcept;

/// What a heartbeat says.
struct Heartbeat {
    std::uint16_t instance = kNoService;  ///< The sender's number.
    std::uint8_t direction = 0;
    bool is_refused = false;  ///< Of an answer: the instance does not work where it is.
    std::uint32_t sequence = 0;
    std::uint64_t cookie = 0;   ///< ServiceStates::cookie().
    std::uint64_t sent_ns = 0;  ///< Monotonic, of the sender.
};

class ServiceHealth {
public:
    explicit ServiceHealth(std::uint64_t seed) noexcept : random_(seed | 1U) {}

    /// Once a poll: follows the snapshot, then sends what is due.
    void look(WorkerContext& context) noexcept;

private:
    struct Beat {
        bool is_mine = false;
        std::uint8_t misses = 0;
        bool is_out = false;             // One was sent.
        std::uint32_t sequence = 0;      // Of that one.
        std::uint32_t heard = 0;         // ServiceStates::heard() when it was sent.
        std::uint64_t sent_packets = 0;  // Of the leg, at that time.
        bool was_refused = false;        // The ring did not take it.
    };

    void follow(WorkerContext& context) noexcept;
    void follow_instance(WorkerContext& context, std::uint16_t instance) noexcept;
    void serve(WorkerContext& context, std::uint16_t instance, unsigned direction) noexcept;
    void send(WorkerContext& context, Beat& beat, const Heartbeat& what, PortIndex by) noexcept;
    [[nodiscard]] bool judge(const WorkerContext& context, Beat& beat, const Heartbeat& what,
                             PortIndex by) const noexcept;
    [[nodiscard]] std::uint64_t random() noexcept;
    [[nodiscard]] Beat& beat(std::uint16_t instance, unsigned direction) noexcept {
        return beats_[2U * instance + direction];
    }

    static constexpr std::size_t kBeats = 2 * (kServiceInstanceMax + 1);
    std::array<Beat, kBeats> beats_;
    std::array<std::uint16_t, kBeats> mine_;  // Numbers of those of this worker.
    std::size_t mine_count_ = 0;
    std::array<std::uint64_t, kServiceInstanceMax + 1> identities_{};  // 0 = nobody has the index.
    std::size_t instance_count_ = 0;                                   // Of the last snapshot.
    std::uint64_t due_ns_ = 0;
    std::uint64_t looked_ns_ = 0;
    bool was_asleep_ = false;  // It did not look for too long: what came back waits in rings.
    std::uint64_t random_;
    std::uint32_t generation_ = 0;
};

/// Takes a heartbeat that came back by a leg, or, out of its envelope, from a host: notes it, and
/// consumes the frame. False: it is none, nothing was done.
/// @param from  index into Snapshot::remotes; 0: by a leg
/// @param at    of the heartbeat's Ethernet header in the frame
[[nodiscard]] bool take_heartbeat(WorkerContext& context, rte_mbuf* frame, std::uint32_t at,
                                  std::uint16_t from) noexcept;

/// Makes the answer of a heartbeat, `at` in its frame, of another host to `instance`, which is on
/// this one. False: it is none.
[[nodiscard]] bool answer_heartbeat(const WorkerContext& context, rte_mbuf& frame, std::uint32_t at,
                                    std::uint16_t instance) noexcept;

}  // namespace sluice::datapath
