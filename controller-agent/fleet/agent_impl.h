// SPDX-License-Identifier: Apache-2.0
// Agent::Impl: what an agent remembers, and its parts by file:
//   agent.cc         life, states, the tick, status
//   agent_view.cc    rows of Sluice_Config -> view -> HostControl::apply
//   agent_claims.cc  rows of Sluice_Status -> bindings and VTEPs of other hosts; own claims
//   agent_report.cc  what the host is and has -> rows of Sluice_Status; what is kept on disk
// Control thread; views are made on `helper_`, which owns `rows_` meanwhile; files are written on
// `writer_`.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller-agent/fleet/agent.h"
#include "controller-agent/fleet/claims.h"
#include "controller-agent/fleet/mass_guard.h"
#include "controller-agent/fleet/rows.h"
#include "controller-agent/fleet/saved_view.h"
#include "controller-agent/fleet/status_rows.h"
#include "controller-agent/local_store.h"
#include "controller-agent/ovsdb/client.h"

namespace sluice::fleet {

class Agent::Impl : public std::enable_shared_from_this<Agent::Impl> {
public:
    Impl(boost::asio::io_context& io, HostControl& host, AgentOptions options);

    void load();
    void start();
    void stop();
    [[nodiscard]] AgentState state() const noexcept { return state_; }
    [[nodiscard]] nlohmann::json status() const;

private:
    /// What a view is made of, and what it is.
    struct Job {
        std::vector<ovsdb::RowChange> changes;  ///< Since the view before.
        std::int64_t generation = 0, epoch = 0, changed_ms = 0;
        RemoteVteps remote_vteps;
        OwnFile own;
    };
    struct Built {
        HostView view;
        ObjectSet objects;
    };
    /// The row of Global that came with rows that were looked at.
    struct Looked {
        ovsdb::Uuid id;
        std::int64_t generation = 0, epoch = 0;
    };
    /// A VTEP of another host that is no longer told of, or was restored.
    struct LateVtep {
        std::string switch_name, ip;
        std::int64_t deadline_ms;
    };

    // agent.cc
    void set_state(AgentState state, std::string why = {});
    void config_state(ovsdb::ClientState state, const std::string& why);
    void status_state(ovsdb::ClientState state, const std::string& why);
    void tick();
    void look_at_clock(std::int64_t now_ms);
    [[nodiscard]] std::vector<std::string> alarms() const;
    void restore(SavedView view);

    // agent_view.cc
    void config_changed(const std::vector<ovsdb::RowChange>& changes, bool is_complete);
    void follow_global();
    void follow_status_remotes(const ovsdb::Row& global);
    void follow_generation();
    [[nodiscard]] bool has_new_rows() const;
    [[nodiscard]] bool needs_apply() const;
    [[nodiscard]] bool has_other_reasons() const;
    [[nodiscard]] bool has_same_view() const;
    std::vector<ovsdb::RowChange> look_at_pending();
    void wake();
    [[nodiscard]] boost::asio::awaitable<void> run_applies();
    void keep_running();
    [[nodiscard]] Job take_job();
    void merge(std::vector<ovsdb::RowChange> changes);
    [[nodiscard]] Built build(Job& job);
    [[nodiscard]] boost::asio::awaitable<void> apply_view(Job job, Built built);
    [[nodiscard]] bool take_out(nlohmann::json& document, const Error& refusal,
                                std::vector<Problem>& problems) const;
    void accept(const Job& job, Built built);
    void follow_segments(const std::set<std::string>& segments);

    // agent_claims.cc
    void status_changed(const std::vector<ovsdb::RowChange>& changes, bool is_complete);
    void status_complete();
    void take_binding_row(const ovsdb::RowChange& change);
    void take_host_row(const ovsdb::RowChange& change);
    void forget_late_vteps(std::int64_t now_ms);
    void update_remote_vteps();
    void tell_bindings();
    void look_at_ports();
    void update_own_claims();
    [[nodiscard]] Claim own_claim(const SegmentMac& place, const OwnClaims& written) const;
    [[nodiscard]] std::vector<Problem> duplicates() const;
    [[nodiscard]] std::vector<ovsdb::Interest> status_interest() const;
    void connect_status(std::vector<ovsdb::Remote> remotes);

    // agent_report.cc
    [[nodiscard]] bool can_report() const;
    void report();
    [[nodiscard]] nlohmann::json next_report(std::int64_t now_ms);
    [[nodiscard]] boost::asio::awaitable<void> run_report();
    [[nodiscard]] boost::asio::awaitable<void> run_save();
    void save_now();

    boost::asio::io_context& io_;
    HostControl& host_;
    const AgentOptions options_;
    std::string name_;  // Of the host.
    boost::asio::steady_timer timer_;
    boost::asio::thread_pool helper_{1};
    std::optional<boost::asio::thread_pool> writer_;
    std::optional<agent::LocalStore> store_;
    std::uint64_t stored_ = 0;  // Generation of the store.
    bool is_stopped_ = false;

    AgentState state_ = AgentState::kBoot;
    std::string why_;
    std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
    std::int64_t since_ms_ = 0;

    // Sluice_Config.
    std::unique_ptr<ovsdb::Client> config_;
    bool is_complete_ = false;               // What was delivered is all there is.
    ovsdb::RowPtr global_;                   // As delivered.
    ovsdb::Uuid global_id_;                  // Another one: the database was made anew.
    std::vector<ovsdb::RowChange> pending_;  // Not yet merged into rows_.
    PackedRows rows_;
    bool has_seen_ = false;  // Some state of the database was looked at, whole.
    bool is_applying_ = false;
    bool has_view_ = false;             // Rows of a generation were looked at, and stand.
    Looked looked_;                     // What they said of themselves.
    std::int64_t behind_until_ms_ = 0;  // The server lags, and is waited for; 0: it does not.
    bool has_new_vteps_ = false;        // Of other hosts.
    std::int64_t retry_ms_ = 0;         // 0: nothing to try again.
    std::int64_t wait_until_ms_ = 0;    // The first view waits so long for VTEPs of other hosts.
    std::set<std::string> segments_;
    MassGuard guard_;
    std::string held_;     // Why a document is held.
    std::string refused_;  // Why a document as a whole is refused.
    std::vector<Problem> problems_;
    std::int64_t generation_ = 0;  // That runs; 0: none of the fleet yet.
    std::int64_t epoch_ = 0;       // That was accepted.
    bool has_epoch_ = false;
    std::int64_t lag_ms_ = 0;  // From the controller's commit to the data path, last time.

    // Sluice_Status.
    std::vector<ovsdb::Remote> status_remotes_;
    std::unique_ptr<ovsdb::Client> status_;
    bool has_status_ = false;  // It was complete once, on these remotes.
    std::string status_why_;
    ovsdb::Tables left_tables_;  // Of the remotes before.
    Claims claims_;
    std::uint64_t bad_claims_ = 0;
    std::map<std::string, std::set<std::pair<std::string, std::string>>> vteps_;  // By host.
    std::vector<LateVtep> late_vteps_;
    RemoteVteps remote_vteps_;

    // Reports.
    LocalState local_;
    std::string public_key_;
    OwnClaims own_claims_;
    bool has_news_ = true;
    bool is_reporting_ = false;
    std::int64_t report_after_ms_ = 0;
    std::int64_t heartbeat_ms_ = 0;  // When the next one is due.
    std::int64_t alive_at_ms_ = 0;   // What the last one says.
    StatusRows wanted_;
    ovsdb::RowPtr
        host_row_;  // Of table Host as written on this connection; the replica lacks most.

    // Disk.
    bool is_unsaved_ = false;
    bool is_saving_ = false;
    std::int64_t save_after_ms_ = 0;
};

/// For what is told to others.
[[nodiscard]] inline std::int64_t unix_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// For deadlines: a clock that is set must not hold anything up.
[[nodiscard]] inline std::int64_t monotonic_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace sluice::fleet
