// SPDX-License-Identifier: Apache-2.0
// Lacp: the Link Aggregation Control Protocol (IEEE Std 802.1AX-2014 §6.4) for one LAG: a port for
// each member, and one aggregator. Pure: bytes and milliseconds come in, bytes go out. Control
// thread. What is left out of the standard: several aggregators (the partner with the most members
// gets the only one, the others wait unused), independent control of collecting and distributing,
// churn detection. Which partner we have stays as long as one member is with it.
//
//   receive machine        | means
//   port disabled          | no link
//   expired                | the partner has not spoken for 3 s; it has 3 s more
//   defaulted              | there is no partner: the member is not used (no LAG without LACP)
//   current                | it has spoken within 3 s
//   mux machine            | leaves it when
//   detached               | selected: its partner is the LAG's -> waiting
//   waiting                | 2 s have passed, so that members come together -> attached
//   attached               | the partner is in sync, too -> distributing
//   distributing           | the partner is not in sync any more -> attached; not selected ->
//   detached
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::daemon {

/// Bits of a port's state (§6.4.2.3).
enum LacpState : std::uint8_t {
    kLacpActivity = 0x01,
    kLacpShortTimeout = 0x02,
    kLacpAggregation = 0x04,
    kLacpSync = 0x08,
    kLacpCollecting = 0x10,
    kLacpDistributing = 0x20,
    kLacpDefaulted = 0x40,
    kLacpExpired = 0x80,
};

/// One side of a link, as its LACPDUs describe it.
struct LacpSide {
    std::uint16_t system_priority = 0x8000;
    MacAddr system;
    std::uint16_t key = 0;
    std::uint16_t port_priority = 0x8000;
    std::uint16_t port = 0;
    std::uint8_t state = 0;

    /// That of another LAG cannot be aggregated with it.
    [[nodiscard]] bool has_system(const LacpSide& other) const noexcept {
        return system_priority == other.system_priority && system == other.system &&
               key == other.key;
    }
    [[nodiscard]] bool is_port(const LacpSide& other) const noexcept {
        return has_system(other) && port_priority == other.port_priority && port == other.port;
    }
};

inline constexpr std::size_t kLacpFrameBytes = 124;  ///< Without FCS (§6.4.2.3).
using LacpFrame = std::array<std::uint8_t, kLacpFrameBytes>;

/// What LACPDUs say (§6.4.2.3).
struct LacpMessage {
    LacpSide actor, partner;
};
[[nodiscard]] LacpFrame write_lacp(const LacpMessage& message, const MacAddr& source);
/// @param frame  from its Ethernet header on; nullopt if it is no LACPDU of version 1 or later
[[nodiscard]] std::optional<LacpMessage> read_lacp(std::span<const std::uint8_t> frame);
/// The answer to a marker PDU (§6.5), nullopt if `frame` is none.
[[nodiscard]] std::optional<LacpFrame> answer_marker(std::span<const std::uint8_t> frame,
                                                     const MacAddr& source);

/// One member's machines.
class LacpPort {
public:
    LacpPort(const LacpSide& actor) : actor_(actor) {}

    void set_link(bool has_link, std::uint64_t now_ms);
    void receive(const LacpMessage& message, std::uint64_t now_ms);
    /// Runs timers and the mux machine.
    /// @param chosen  the LAG's partner; nullptr: it has none
    void tick(const LacpSide* chosen, std::uint64_t now_ms);
    /// What is to be sent now, if anything is: at most three a second.
    [[nodiscard]] std::optional<LacpMessage> take_message(std::uint64_t now_ms);

    /// The member may carry frames.
    [[nodiscard]] bool is_distributing() const noexcept { return mux_ == Mux::kDistributing; }
    /// It has a partner that can be aggregated.
    [[nodiscard]] bool has_partner() const noexcept;
    [[nodiscard]] const LacpSide& actor() const noexcept { return actor_; }
    [[nodiscard]] const LacpSide& partner() const noexcept { return partner_; }
    /// One word: down, alone, expired, detached, waiting, attached, distributing.
    [[nodiscard]] const char* state_text() const noexcept;

private:
    enum class Receive : std::uint8_t { kDisabled, kExpired, kDefaulted, kCurrent };
    enum class Mux : std::uint8_t { kDetached, kWaiting, kAttached, kDistributing };

    void expire(std::uint64_t now_ms);
    void record(const LacpMessage& message);
    void run_receive_timer(std::uint64_t now_ms);
    void run_mux(bool is_selected, std::uint64_t now_ms);
    void enter(Mux state);
    void set_state(std::uint8_t bits, bool on) noexcept;
    [[nodiscard]] bool is_periodic_due(std::uint64_t now_ms) const noexcept;

    LacpSide actor_;
    LacpSide partner_;
    Receive receive_ = Receive::kDisabled;
    Mux mux_ = Mux::kDetached;
    bool needs_sending_ = false;
    std::uint64_t partner_until_ms_ = 0;
    std::uint64_t attach_at_ms_ = 0;
    std::uint64_t sent_ms_ = 0;  // The last one.
    std::uint64_t window_ms_ = 0;
    unsigned window_count_ = 0;
};

/// The members of a LAG and their only aggregator.
class LacpGroup {
public:
    /// @param system  MAC of this end of the LAG
    /// @param key  tells LAGs of one system apart
    LacpGroup(const MacAddr& system, std::uint16_t key, bool is_active, std::size_t member_count);

    /// Chooses the partner and runs all machines. True if which members may carry frames changed.
    bool tick(std::uint64_t now_ms);
    [[nodiscard]] LacpPort& member(std::size_t index) { return members_[index]; }
    [[nodiscard]] const LacpPort& member(std::size_t index) const { return members_[index]; }
    [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }
    /// Indices of members that may carry frames.
    [[nodiscard]] std::vector<std::size_t> distributing() const;

private:
    void choose();

    std::vector<LacpPort> members_;
    std::optional<LacpSide> chosen_;
    std::vector<std::size_t> before_;
};

}  // namespace sluice::daemon
