// SPDX-License-Identifier: Apache-2.0
// Alarms: what is wrong with this host's switch, by name. Every kind, how long it must last until
// it is told and how long it must be gone until it is taken back stands in one table in alarms.cc,
// so that nothing flaps. Whoever looks (health_watch.h) gives all findings of that moment; an alarm
// is logged once when it is raised and once when it is cleared. Time is an argument. Control
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::daemon {

enum class AlarmKind : std::uint8_t {
    kWorkerStalled,
    kPacketsStuck,
    kControlStalled,
    kBooksUnbalanced,
    kRingFull,
    kMempoolLow,
    kConnectionsFull,
    kUplinkDown,
    kSource,
    kCount
};
inline constexpr std::size_t kAlarmKindCount = static_cast<std::size_t>(AlarmKind::kCount);

// Limits of what counts as wrong; how long it must last is in the table of kinds.
inline constexpr std::uint64_t kWorkerStalledNs = 1'000'000'000;   ///< Without a poll.
inline constexpr std::uint64_t kControlStalledNs = 1'000'000'000;  ///< Without a heartbeat.
inline constexpr std::uint64_t kProbeLateNs = 2'000'000'000;       ///< A probe's way.
inline constexpr std::uint32_t kMempoolLowPercent = 5;             ///< Buffers free.
inline constexpr std::uint32_t kMempoolWellPercent = 10;  ///< From here on it is not low any more.
inline constexpr std::uint32_t kConnectionsFullPercent = 95;  ///< Of the limit.
inline constexpr std::uint32_t kConnectionsWellPercent = 90;  ///< Below, it is not full any more.
inline constexpr std::uint32_t kRingFullPercent = 75;         ///< Of a ring between workers.
inline constexpr std::size_t kAlarmHistoryMax = 64;           ///< Cleared alarms that are kept.

struct AlarmRule {
    std::string_view name;
    std::uint32_t raise_ms;  ///< So long without a break, and it is raised.
    std::uint32_t clear_ms;  ///< So long gone, and it is cleared.
    bool is_unhealthy;       ///< `sluice health` says no as long as it lasts.
    std::string_view meaning;
};
[[nodiscard]] const AlarmRule& rule_of(AlarmKind kind) noexcept;

/// Something that is wrong at the moment.
struct Finding {
    AlarmKind kind;
    std::string object;  ///< "worker 0", "port vm1", "host".
    std::string detail;  ///< A sentence without its object.
};

struct Alarm {
    AlarmKind kind = AlarmKind::kWorkerStalled;
    std::string object;
    std::string detail;          ///< Of the last look that found it.
    std::int64_t since_s = 0;    ///< Unix time; when it began, not when it was raised.
    std::int64_t cleared_s = 0;  ///< Of the history.
};

class Alarms {
public:
    using Tell = std::function<void(const Alarm& alarm, bool is_raised)>;
    /// @param tell  called once when an alarm is raised and once when it is cleared
    explicit Alarms(Tell tell) : tell_(std::move(tell)) {}

    /// Takes all that is wrong now; what is not among `findings` is well.
    /// @param now_ns  monotonic; never goes back
    void look(std::uint64_t now_ns, std::int64_t unix_s, std::span<const Finding> findings);

    /// Raised, in order of kind and object.
    [[nodiscard]] std::vector<Alarm> raised() const;
    /// Raised ones of a kind.
    [[nodiscard]] std::size_t count(AlarmKind kind) const;
    /// Cleared ones, the newest first.
    [[nodiscard]] const std::deque<Alarm>& history() const noexcept { return history_; }

private:
    struct State {
        Alarm alarm;
        std::uint64_t bad_since_ns = 0;
        std::uint64_t good_since_ns = 0;  // 0: it was bad the last time.
        bool is_raised = false;
        std::uint64_t seen = 0;  // Look that found it last.
    };
    void clear(const State& state, std::int64_t unix_s);

    Tell tell_;
    std::map<std::pair<AlarmKind, std::string>, State> states_;
    std::deque<Alarm> history_;
    std::uint64_t looks_ = 0;
};

/// {"name","object","since","detail"}; "cleared" of one that is.
[[nodiscard]] nlohmann::json to_json(const Alarm& alarm);
/// A list of them.
[[nodiscard]] nlohmann::json to_json(std::span<const Alarm> alarms);

}  // namespace sluice::daemon
