// SPDX-License-Identifier: Apache-2.0
// BfdSession: see bfd_session.h. Sections are RFC 5880's.
#include "datapath/bfd_session.h"

#include <algorithm>
#include <limits>

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kSlowUs = 1'000'000;  // §6.8.3.
constexpr std::uint64_t kUsNs = 1000;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

// §6.8.7: 75 to 100 % of the interval; with a multiplier of 1 no more than 90 %.
std::uint64_t jittered_ns(std::uint32_t interval_us, std::uint8_t multiplier,
                          std::uint32_t random) noexcept {
    const std::uint32_t percent = 75U + random % (multiplier == 1 ? 16U : 26U);
    return std::uint64_t{interval_us} * percent * (kUsNs / 100);
}

}  // namespace

BfdSession::BfdSession(const BfdTimers& timers, std::uint32_t discriminator,
                       std::uint64_t now_ns) noexcept
    : timers_(timers),
      discriminator_(discriminator),
      used_rx_us_(timers.interval_us),
      send_ns_(now_ns),
      since_ns_(now_ns) {
    used_tx_us_ = desired_tx_us();
}

std::uint32_t BfdSession::desired_tx_us() const noexcept {
    return state_ == BfdState::kUp ? timers_.interval_us : std::max(timers_.interval_us, kSlowUs);
}

std::uint32_t BfdSession::interval_us() const noexcept {
    return std::max(used_tx_us_, remote_required_rx_us_);
}

std::uint64_t BfdSession::detection_ns() const noexcept {
    return std::uint64_t{remote_multiplier_} * std::max(used_rx_us_, remote_desired_tx_us_) * kUsNs;
}

void BfdSession::enter(BfdState state, BfdDiagnostic why, std::uint64_t now_ns) noexcept {
    if (state == state_) { return; }
    state_ = state;
    diagnostic_ = why;
    since_ns_ = now_ns;
    was_up_ = was_up_ || state == BfdState::kUp;
    is_polling_ = state == BfdState::kUp;  // The interval shrinks from the slow one (§6.8.3).
    used_tx_us_ = desired_tx_us();
    used_rx_us_ = timers_.interval_us;
    send_ns_ = now_ns;  // The peer learns of it at once (§6.8.7).
}

// Up: what grows, or is heard less often, holds when the peer has confirmed it (§6.8.3).
void BfdSession::configure(const BfdTimers& timers, std::uint64_t now_ns) noexcept {
    if (timers == timers_) { return; }
    timers_ = timers;
    if (state_ == BfdState::kUp) {
        is_polling_ = true;
        used_tx_us_ = std::min(used_tx_us_, desired_tx_us());
        used_rx_us_ = std::max(used_rx_us_, timers_.interval_us);
    } else {
        used_tx_us_ = desired_tx_us();
        used_rx_us_ = timers_.interval_us;
    }
    send_ns_ = std::min(send_ns_, now_ns);
}

void BfdSession::shut_down(std::uint64_t now_ns) noexcept {
    enter(BfdState::kAdminDown, BfdDiagnostic::kAdministrativelyDown, now_ns);
    was_up_ = false;
}

void BfdSession::follow_state(const BfdPacket& packet, std::uint64_t now_ns) noexcept {
    if (packet.state == BfdState::kAdminDown) {
        was_up_ = false;  // Not a failure of the path (RFC 5882 §3.2).
        if (state_ != BfdState::kDown) {
            enter(BfdState::kDown, BfdDiagnostic::kNeighbourDown, now_ns);
        }
        return;
    }
    switch (state_) {
        case BfdState::kDown:
            if (packet.state == BfdState::kDown) {
                enter(BfdState::kInit, BfdDiagnostic::kNone, now_ns);
            } else if (packet.state == BfdState::kInit) {
                enter(BfdState::kUp, BfdDiagnostic::kNone, now_ns);
            }
            break;
        case BfdState::kInit:
            if (packet.state != BfdState::kDown) {
                enter(BfdState::kUp, BfdDiagnostic::kNone, now_ns);
            }
            break;
        case BfdState::kUp:
            if (packet.state == BfdState::kDown) {
                enter(BfdState::kDown, BfdDiagnostic::kNeighbourDown, now_ns);
            }
            break;
        case BfdState::kAdminDown: break;
    }
}

void BfdSession::receive(const BfdPacket& packet, std::uint64_t now_ns) noexcept {
    if (state_ == BfdState::kAdminDown) { return; }
    remote_discriminator_ = packet.mine;
    remote_state_ = packet.state;
    remote_multiplier_ = packet.multiplier;
    remote_desired_tx_us_ = packet.desired_tx_us;
    has_remote_demand_ = packet.wants_demand;
    heard_ns_ = std::max<std::uint64_t>(now_ns, 1);
    const std::uint32_t interval_before = interval_us();
    remote_required_rx_us_ = packet.required_rx_us;
    if (is_polling_ && packet.is_final) {
        is_polling_ = false;
        used_tx_us_ = desired_tx_us();
        used_rx_us_ = timers_.interval_us;
    }
    if (interval_us() < interval_before) { send_ns_ = std::min(send_ns_, now_ns); }
    follow_state(packet, now_ns);
    owes_final_ = owes_final_ || packet.is_poll;
}

void BfdSession::expire(std::uint64_t now_ns) noexcept {
    if (heard_ns_ == 0 || now_ns < heard_ns_ + detection_ns()) { return; }
    heard_ns_ = 0;
    remote_discriminator_ = 0;  // §6.8.1.
    remote_state_ = BfdState::kDown;
    remote_required_rx_us_ = 1;
    has_remote_demand_ = false;
    owes_final_ = false;
    if (state_ == BfdState::kInit || state_ == BfdState::kUp) {
        enter(BfdState::kDown, BfdDiagnostic::kDetectionTimeExpired, now_ns);
    }
}

// §6.8.7.
bool BfdSession::is_periodic() const noexcept {
    const bool is_demanded = has_remote_demand_ && state_ == BfdState::kUp &&
                             remote_state_ == BfdState::kUp && !is_polling_;
    return remote_required_rx_us_ != 0 && !is_demanded;
}

std::uint64_t BfdSession::due_ns() const noexcept {
    if (owes_final_) { return 0; }
    const std::uint64_t send_ns = is_periodic() ? send_ns_ : kNever;
    const std::uint64_t expire_ns = heard_ns_ == 0 ? kNever : heard_ns_ + detection_ns();
    return std::min(send_ns, expire_ns);
}

std::optional<BfdPacket> BfdSession::send(std::uint64_t now_ns, std::uint32_t random) noexcept {
    const bool is_time = is_periodic() && now_ns >= send_ns_;
    if (!is_time && !owes_final_) { return std::nullopt; }
    BfdPacket packet;
    packet.state = state_;
    packet.diagnostic = diagnostic_;
    packet.is_final = owes_final_;
    packet.is_poll = is_polling_ && !owes_final_;  // Never both (§6.5).
    packet.multiplier = timers_.multiplier;
    packet.mine = discriminator_;
    packet.yours = remote_discriminator_;
    packet.desired_tx_us = desired_tx_us();
    packet.required_rx_us = timers_.interval_us;
    if (is_time && !owes_final_) {
        send_ns_ = now_ns + jittered_ns(interval_us(), timers_.multiplier, random);
    }
    owes_final_ = false;
    return packet;
}

}  // namespace sluice::datapath
