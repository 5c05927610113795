// SPDX-License-Identifier: Apache-2.0
// BfdSession: one session of Bidirectional Forwarding Detection, asynchronous mode, active role,
// no authentication (RFC 5880). Knows no packets' wire form, no addresses and no clock: bfd.cc
// sends what send() gives, and hands receive() what it checked.
//
//   state (§6.8.1) \ received  AdminDown  Down      Init   Up      nothing for the detection time
//   Down                       -          Init      Up     -       forgets the remote discriminator
//   Init                       Down       -         Up     Up      Down
//   Up                         Down       Down      -      -       Down
//   AdminDown (shut_down())    nothing is heard any more
//
// While it is not Up it sends once a second at most (§6.8.3); on the way up, and when configure()
// changes the interval, a Poll Sequence makes both sides take the new one (§6.5). A peer that was
// never Up has not failed: it may have no BFD. Plain data; thread: its owner's.
#pragma once

#include <cstdint>
#include <optional>

#include "datapath/bfd_packet.h"

namespace sluice::datapath {

struct BfdTimers {
    std::uint32_t interval_us = 300000;  ///< Sent and expected, once Up.
    std::uint8_t multiplier = 3;         ///< That the peer takes for its detection time.

    bool operator==(const BfdTimers&) const = default;
};

class BfdSession {
public:
    BfdSession() = default;
    /// @param discriminator  not 0, of no other session of the host
    BfdSession(const BfdTimers& timers, std::uint32_t discriminator, std::uint64_t now_ns) noexcept;

    /// Takes other timers from here on.
    void configure(const BfdTimers& timers, std::uint64_t now_ns) noexcept;
    /// To AdminDown, for good: the peer is told while this goes on sending.
    void shut_down(std::uint64_t now_ns) noexcept;

    /// Takes a packet whose `yours` is this session's, or 0 (§6.8.6 from there on).
    void receive(const BfdPacket& packet, std::uint64_t now_ns) noexcept;
    /// Notices that nothing came for the detection time.
    void expire(std::uint64_t now_ns) noexcept;
    /// The packet that is to be sent now, if one is.
    /// @param random  any value: jitter (§6.8.7)
    [[nodiscard]] std::optional<BfdPacket> send(std::uint64_t now_ns,
                                                std::uint32_t random) noexcept;
    /// When send() or expire() has something to do next.
    [[nodiscard]] std::uint64_t due_ns() const noexcept;

    [[nodiscard]] BfdState state() const noexcept { return state_; }
    [[nodiscard]] BfdState remote_state() const noexcept { return remote_state_; }
    [[nodiscard]] BfdDiagnostic diagnostic() const noexcept { return diagnostic_; }
    [[nodiscard]] std::uint32_t discriminator() const noexcept { return discriminator_; }
    [[nodiscard]] const BfdTimers& timers() const noexcept { return timers_; }
    /// True while packets come.
    [[nodiscard]] bool is_heard() const noexcept { return heard_ns_ != 0; }
    /// True from the first Up on until it is Up again, unless the peer said AdminDown.
    [[nodiscard]] bool has_failed() const noexcept { return was_up_ && state_ != BfdState::kUp; }
    /// When the state was entered.
    [[nodiscard]] std::uint64_t since_ns() const noexcept { return since_ns_; }
    /// Between packets that this end sends, jitter aside.
    [[nodiscard]] std::uint32_t interval_us() const noexcept;
    /// So long without a packet is a failure.
    [[nodiscard]] std::uint64_t detection_ns() const noexcept;

private:
    void enter(BfdState state, BfdDiagnostic why, std::uint64_t now_ns) noexcept;
    [[nodiscard]] std::uint32_t desired_tx_us() const noexcept;
    void follow_state(const BfdPacket& packet, std::uint64_t now_ns) noexcept;
    [[nodiscard]] bool is_periodic() const noexcept;

    BfdTimers timers_;
    BfdState state_ = BfdState::kDown;
    BfdState remote_state_ = BfdState::kDown;
    BfdDiagnostic diagnostic_ = BfdDiagnostic::kNone;
    bool was_up_ = false;
    bool is_polling_ = false;
    bool owes_final_ = false;
    bool has_remote_demand_ = false;
    std::uint8_t remote_multiplier_ = 0;
    std::uint32_t discriminator_ = 0;
    std::uint32_t remote_discriminator_ = 0;
    std::uint32_t remote_desired_tx_us_ = 0;
    std::uint32_t remote_required_rx_us_ = 1;
    std::uint32_t used_tx_us_ = 0;  // As desired, but what a Poll Sequence has yet to announce.
    std::uint32_t used_rx_us_ = 0;  // The same of what is required.
    std::uint64_t heard_ns_ = 0;    // 0 = nothing within the detection time.
    std::uint64_t send_ns_ = 0;
    std::uint64_t since_ns_ = 0;
};

}  // namespace sluice::datapath
