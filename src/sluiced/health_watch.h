// SPDX-License-Identifier: Apache-2.0
// HealthWatch: looks at the switch ten times a second and says whether packets move. Workers: a
// poll leaves a mark that it leaves anyway (the cycles it took), and once a second a frame of the
// switch's own goes through each of them (datapath/probe.h). Slower looks find what fills, runs
// out or does not add up. What is wrong becomes an alarm (alarms.h); `sluice health`, `status`, the
// metrics and systemd's watchdog ask here. Control thread; workers are only read, and given
// commands.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "datapath/probe.h"
#include "src/sluiced/alarms.h"
#include "src/sluiced/control_watch.h"

namespace sluice::daemon {

/// What HealthWatch asks others. Control thread.
struct HealthSources {
    std::function<nlohmann::json()> source;                            ///< As `status` has it.
    std::function<std::map<std::string, std::string>()> uplinks_down;  ///< Name, why.
};

class HealthWatch {
public:
    HealthWatch(boost::asio::io_context& io, datapath::Dataplane& dataplane, HealthSources sources);
    ~HealthWatch();
    HealthWatch(const HealthWatch&) = delete;
    HealthWatch& operator=(const HealthWatch&) = delete;

    /// Workers poll from now on.
    void start();
    /// Nothing is looked at any more. The loop must run once more, or be gone, before *this is;
    /// workers must have ended before that, too: they may have a command of it.
    void stop();

    /// {"healthy","packets_move","checks":[{"name","ok","detail"}]}: healthy if every check is ok.
    [[nodiscard]] nlohmann::json answer() const;
    /// True if every worker polls and lets the switch's own frames through, or has only just begun:
    /// what is wrong otherwise is no reason to start again.
    [[nodiscard]] bool packets_move() const noexcept;
    [[nodiscard]] const Alarms& alarms() const noexcept { return alarms_; }

private:
    /// What is known of one worker.
    struct WorkerState {
        std::uint64_t mark = 0;       // Cycles that it counted.
        std::uint64_t silent_ns = 0;  // Since the mark changed; what control slept through is out.
        std::uint64_t lost_events = 0;
        std::unique_ptr<datapath::ProbeCommand> probe;  // On its way, or the last one.
        std::uint64_t probe_ns = 0;                     // When it was submitted; 0: none is.
        std::uint64_t passed_ns = 0;                    // When one came out; 0: none has yet.
        std::uint64_t took_us = 0;
        std::string trouble;  // Why the last one did not.
    };
    struct PortState {
        std::uint64_t refused = 0, sent = 0;
    };

    [[nodiscard]] boost::asio::awaitable<void> run();
    [[nodiscard]] boost::asio::awaitable<void> audit();
    void look();
    void look_at_worker(unsigned index, std::uint64_t now_ns, std::uint64_t passed_ns);
    void end_probe(WorkerState& worker, std::uint64_t now_ns);
    void start_probe(unsigned index, std::uint64_t now_ns);
    [[nodiscard]] std::uint64_t mark_of(unsigned worker) const;
    [[nodiscard]] bool is_stalled(const WorkerState& worker) const noexcept;
    [[nodiscard]] bool is_stuck(const WorkerState& worker) const noexcept;
    [[nodiscard]] std::string probe_text(const WorkerState& worker) const;
    void look_slowly();
    void look_at_ports();
    void look_between_workers();
    void look_at_memory();
    void look_at_connections();
    void look_elsewhere();
    void tell(const Alarm& alarm, bool is_raised) const;
    [[nodiscard]] nlohmann::json check_workers() const;
    [[nodiscard]] nlohmann::json check(AlarmKind kind, const char* name,
                                       const std::string& well) const;

    boost::asio::io_context& io_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer audit_timer_;
    datapath::Dataplane& dataplane_;
    HealthSources sources_;
    Alarms alarms_;
    ControlWatch control_;
    std::vector<WorkerState> workers_;
    std::map<std::string, PortState> ports_;
    std::vector<Finding> slow_;  // Of the last slow look.
    bool is_memory_low_ = false;
    bool are_connections_full_ = false;
    std::int64_t unaccounted_ = 0;
    std::uint64_t began_ns_ = 0;
    std::uint64_t looked_ns_ = 0;
    std::uint64_t slowly_ns_ = 0;
    std::uint64_t stalled_until_ns_ = 0;
    bool is_stopped_ = false;
};

}  // namespace sluice::daemon
