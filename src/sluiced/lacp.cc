// SPDX-License-Identifier: Apache-2.0
// Lacp: see lacp.h.
#include "src/sluiced/lacp.h"

#include <algorithm>
#include <cstring>

namespace sluice::daemon {
namespace {

constexpr std::uint64_t kFastMs = 1000;     // Fast_Periodic_Time (§6.4.4).
constexpr std::uint64_t kSlowMs = 30000;    // Slow_Periodic_Time.
constexpr std::uint64_t kTimeoutMs = 3000;  // Short_Timeout_Time.
constexpr std::uint64_t kAttachMs = 2000;   // Aggregate_Wait_Time.
constexpr unsigned kMessagesPerSecond = 3;  // §6.4.16.
constexpr std::size_t kHeader = 14;
constexpr std::uint8_t kSubtypeLacp = 1, kSubtypeMarker = 2;
constexpr std::size_t kActorAt = kHeader + 2, kPartnerAt = kActorAt + 20;
constexpr std::size_t kSideBytes = 20;
constexpr std::array<std::uint8_t, 6> kSlowMac{0x01, 0x80, 0xc2, 0x00, 0x00, 0x02};

void put16(std::uint8_t* at, std::uint16_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8U);
    at[1] = static_cast<std::uint8_t>(value);
}

std::uint16_t get16(const std::uint8_t* at) {
    return static_cast<std::uint16_t>(at[0] << 8U | at[1]);
}

void write_header(LacpFrame& frame, const MacAddr& source) {
    std::copy(kSlowMac.begin(), kSlowMac.end(), frame.begin());
    std::copy(source.bytes.begin(), source.bytes.end(), frame.begin() + 6);
    put16(frame.data() + 12, 0x8809);
}

void write_side(std::uint8_t* at, std::uint8_t type, const LacpSide& side) {
    at[0] = type;
    at[1] = kSideBytes;
    put16(at + 2, side.system_priority);
    std::memcpy(at + 4, side.system.bytes.data(), 6);
    put16(at + 10, side.key);
    put16(at + 12, side.port_priority);
    put16(at + 14, side.port);
    at[16] = side.state;
}

LacpSide read_side(const std::uint8_t* at) {
    LacpSide side;
    side.system_priority = get16(at + 2);
    std::memcpy(side.system.bytes.data(), at + 4, 6);
    side.key = get16(at + 10);
    side.port_priority = get16(at + 12);
    side.port = get16(at + 14);
    side.state = at[16];
    return side;
}

bool is_slow(std::span<const std::uint8_t> frame, std::uint8_t subtype) {
    return frame.size() >= kLacpFrameBytes &&
           std::equal(kSlowMac.begin(), kSlowMac.end(), frame.begin()) &&
           get16(frame.data() + 12) == 0x8809 && frame[kHeader] == subtype;
}

}  // namespace

LacpFrame write_lacp(const LacpMessage& message, const MacAddr& source) {
    LacpFrame frame{};
    write_header(frame, source);
    frame[kHeader] = kSubtypeLacp;
    frame[kHeader + 1] = 1;  // Version.
    write_side(frame.data() + kActorAt, 1, message.actor);
    write_side(frame.data() + kPartnerAt, 2, message.partner);
    frame[kPartnerAt + kSideBytes] = 3;  // Collector: a delay of 0.
    frame[kPartnerAt + kSideBytes + 1] = 16;
    return frame;  // The terminator is zero, and so is what is reserved.
}

std::optional<LacpMessage> read_lacp(std::span<const std::uint8_t> frame) {
    if (!is_slow(frame, kSubtypeLacp) || frame[kHeader + 1] == 0) { return std::nullopt; }
    const std::uint8_t* actor = frame.data() + kActorAt;
    const std::uint8_t* partner = frame.data() + kPartnerAt;
    if (actor[0] != 1 || actor[1] != kSideBytes || partner[0] != 2 || partner[1] != kSideBytes) {
        return std::nullopt;
    }
    return LacpMessage{read_side(actor), read_side(partner)};
}

std::optional<LacpFrame> answer_marker(std::span<const std::uint8_t> frame, const MacAddr& source) {
    constexpr std::uint8_t kInformation = 1, kResponse = 2;
    if (!is_slow(frame, kSubtypeMarker) || frame[kHeader + 2] != kInformation) {
        return std::nullopt;
    }
    LacpFrame answer;
    std::copy_n(frame.begin(), answer.size(), answer.begin());
    write_header(answer, source);
    answer[kHeader + 2] = kResponse;
    return answer;
}

void LacpPort::set_state(std::uint8_t bits, bool on) noexcept {
    const std::uint8_t before = actor_.state;
    actor_.state = static_cast<std::uint8_t>(on ? before | bits : before & ~bits);
    needs_sending_ = needs_sending_ || actor_.state != before;
}

void LacpPort::set_link(bool has_link, std::uint64_t now_ms) {
    if (has_link == (receive_ != Receive::kDisabled)) { return; }
    if (has_link) { return expire(now_ms); }
    receive_ = Receive::kDisabled;
    partner_.state = static_cast<std::uint8_t>(partner_.state & ~kLacpSync);
    enter(Mux::kDetached);
}

// §6.4.12: what was known of the partner may still hold; it is asked to speak soon.
void LacpPort::expire(std::uint64_t now_ms) {
    receive_ = Receive::kExpired;
    partner_.state = static_cast<std::uint8_t>((partner_.state & ~kLacpSync) | kLacpShortTimeout);
    partner_until_ms_ = now_ms + kTimeoutMs;
    set_state(kLacpExpired, true);
    needs_sending_ = true;
}

void LacpPort::receive(const LacpMessage& message, std::uint64_t now_ms) {
    if (receive_ == Receive::kDisabled) { return; }
    constexpr std::uint8_t kSeen = kLacpActivity | kLacpShortTimeout | kLacpAggregation | kLacpSync;
    const bool knows_us =
        message.partner.is_port(actor_) && ((message.partner.state ^ actor_.state) & kSeen) == 0;
    if (!knows_us) { needs_sending_ = true; }
    record(message);
    receive_ = Receive::kCurrent;
    partner_until_ms_ = now_ms + kTimeoutMs;
    set_state(kLacpExpired | kLacpDefaulted, false);
}

// recordPDU: the partner is in sync if it means us, or if it stays alone.
void LacpPort::record(const LacpMessage& message) {
    const bool is_other = !message.actor.is_port(partner_);
    partner_ = message.actor;
    const bool means_us = message.partner.is_port(actor_) &&
                          ((message.partner.state ^ actor_.state) & kLacpAggregation) == 0;
    const bool is_alone = (partner_.state & kLacpAggregation) == 0;
    if (!means_us && !is_alone) {
        partner_.state = static_cast<std::uint8_t>(partner_.state & ~kLacpSync);
    }
    if (is_other) { enter(Mux::kDetached); }
}

void LacpPort::run_receive_timer(std::uint64_t now_ms) {
    const bool waits = receive_ == Receive::kCurrent || receive_ == Receive::kExpired;
    if (!waits || now_ms < partner_until_ms_) { return; }
    if (receive_ == Receive::kCurrent) { return expire(now_ms); }
    receive_ = Receive::kDefaulted;
    partner_ = LacpSide{};
    partner_.state = kLacpShortTimeout;  // Who comes is spoken to within a second, not 30.
    set_state(kLacpExpired, false);
    set_state(kLacpDefaulted, true);
}

bool LacpPort::has_partner() const noexcept {
    return receive_ == Receive::kCurrent || (receive_ == Receive::kExpired && partner_.port != 0);
}

void LacpPort::enter(Mux state) {
    mux_ = state;
    constexpr std::uint8_t kCarries = kLacpCollecting | kLacpDistributing;
    set_state(kLacpSync, state == Mux::kAttached || state == Mux::kDistributing);
    set_state(kCarries, state == Mux::kDistributing);
}

void LacpPort::run_mux(bool is_selected, std::uint64_t now_ms) {
    if (!is_selected) {
        if (mux_ != Mux::kDetached) { enter(Mux::kDetached); }
        return;
    }
    const bool is_partner_ready = (partner_.state & kLacpSync) != 0;
    if (mux_ == Mux::kDetached) {
        enter(Mux::kWaiting);
        attach_at_ms_ = now_ms + kAttachMs;
    }
    if (mux_ == Mux::kWaiting && now_ms >= attach_at_ms_) { enter(Mux::kAttached); }
    if (mux_ == Mux::kAttached && is_partner_ready) { enter(Mux::kDistributing); }
    if (mux_ == Mux::kDistributing && !is_partner_ready) { enter(Mux::kAttached); }
}

void LacpPort::tick(const LacpSide* chosen, std::uint64_t now_ms) {
    run_receive_timer(now_ms);
    run_mux(chosen != nullptr && has_partner() && partner_.has_system(*chosen), now_ms);
}

// Who is passive speaks when it is spoken to (§6.4.13).
bool LacpPort::is_periodic_due(std::uint64_t now_ms) const noexcept {
    if (((actor_.state | partner_.state) & kLacpActivity) == 0) { return false; }
    const bool is_fast = (partner_.state & kLacpShortTimeout) != 0;
    return now_ms - sent_ms_ >= (is_fast ? kFastMs : kSlowMs);
}

std::optional<LacpMessage> LacpPort::take_message(std::uint64_t now_ms) {
    if (receive_ == Receive::kDisabled) { return std::nullopt; }
    const bool may_speak = ((actor_.state | partner_.state) & kLacpActivity) != 0;
    if (!may_speak || !(needs_sending_ || is_periodic_due(now_ms))) { return std::nullopt; }
    if (now_ms - window_ms_ >= kFastMs) {
        window_ms_ = now_ms;
        window_count_ = 0;
    }
    if (window_count_ == kMessagesPerSecond) { return std::nullopt; }
    ++window_count_;
    sent_ms_ = now_ms;
    needs_sending_ = false;
    return LacpMessage{actor_, partner_};
}

const char* LacpPort::state_text() const noexcept {
    switch (receive_) {
        case Receive::kDisabled: return "down";
        case Receive::kDefaulted: return "alone";
        case Receive::kExpired:
            if (mux_ == Mux::kDetached) { return "expired"; }
            break;
        case Receive::kCurrent: break;
    }
    switch (mux_) {
        case Mux::kDetached: return "detached";
        case Mux::kWaiting: return "waiting";
        case Mux::kAttached: return "attached";
        case Mux::kDistributing: return "distributing";
    }
    return "detached";
}

LacpGroup::LacpGroup(const MacAddr& system, std::uint16_t key, bool is_active,
                     std::size_t member_count) {
    LacpSide actor;
    actor.system = system;
    actor.key = key;
    actor.state = static_cast<std::uint8_t>((is_active ? kLacpActivity : 0) | kLacpShortTimeout |
                                            kLacpAggregation | kLacpDefaulted);
    for (std::size_t i = 0; i < member_count; ++i) {
        actor.port = static_cast<std::uint16_t>(i + 1);
        members_.emplace_back(actor);
    }
}

void LacpGroup::choose() {
    const auto count_of = [&](const LacpSide& side) {
        return std::count_if(members_.begin(), members_.end(), [&](const LacpPort& each) {
            return each.has_partner() && each.partner().has_system(side);
        });
    };
    if (chosen_ && count_of(*chosen_) > 0) { return; }
    chosen_.reset();
    for (const LacpPort& each : members_) {
        if (!each.has_partner()) { continue; }
        const bool is_better = !chosen_ || count_of(each.partner()) > count_of(*chosen_);
        if (is_better) { chosen_ = each.partner(); }
    }
}

bool LacpGroup::tick(std::uint64_t now_ms) {
    choose();
    for (LacpPort& each : members_) { each.tick(chosen_ ? &*chosen_ : nullptr, now_ms); }
    std::vector<std::size_t> now = distributing();
    const bool has_changed = now != before_;
    before_ = std::move(now);
    return has_changed;
}

std::vector<std::size_t> LacpGroup::distributing() const {
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (members_[i].is_distributing()) { indices.push_back(i); }
    }
    return indices;
}

}  // namespace sluice::daemon
