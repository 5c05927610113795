// SPDX-License-Identifier: Apache-2.0
// PortMigration: `sluice port export|import`: a vNIC goes to another host with its VM (ADR 50). The
// source writes what it knows of the vNIC; the destination takes it in before the VM runs there,
// and once more at the switch-over. Until then its own VMs reach the vNIC where it still is. With
// `final` the source marks the port as moved, and sends what still comes for it after the VM, until
// that is quiet. The destination announces the vNIC when its device comes up, or when QEMU asks for
// it. Control thread; tables are written by worker 0.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "admin/server.h"
#include "datapath/dataplane.h"
#include "src/host/moved_ports.h"
#include "src/sluiced/announcer.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/port_document.h"

namespace sluice::daemon {

/// `port export`: what is wanted.
struct ExportQuestion {
    std::string port;
    bool is_final = false;  ///< The VM has stopped here: the port is moved.
    bool cancel = false;    ///< It goes on here after all.
    std::string to;         ///< VTEP behind which it is now; with is_final, for VNIs.
};

/// What still comes for a port that has moved.
struct Stragglers {
    std::uint64_t flows = 0;
    std::uint64_t packets = 0;  ///< Of these flows.
    std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

class PortMigration {
public:
    using AnswerLater = boost::asio::awaitable<Result<nlohmann::json>>;

    PortMigration(boost::asio::io_context& io, datapath::Dataplane& dataplane,
                  const ConfigService& config, std::shared_ptr<admin::ChangeQueue> changes);

    /// The document of the port; with `cancel` {"port","moved":false}.
    [[nodiscard]] AnswerLater export_port(ExportQuestion question);
    /// {"port","connections":{"opened","renewed","ended","refused"},"learned","learned_refused"}
    [[nodiscard]] AnswerLater import_port(std::string name, nlohmann::json document);

    /// Rows {"port","to","awaited","quiet_s","flows","packets"}: ports whose VM is elsewhere.
    [[nodiscard]] nlohmann::json moved() const;
    /// Nothing is watched any more. The loop must run once more, or be gone, before *this is.
    void stop();

private:
    /// Rows of one port, copied.
    struct Rows {
        std::vector<PortConnection> connections;
        std::vector<LearnedRow> learned;
    };

    [[nodiscard]] Result<PortPlace> place_of(const std::string& name) const;
    [[nodiscard]] boost::asio::awaitable<Rows> collect(PortIndex port);
    [[nodiscard]] boost::asio::awaitable<nlohmann::json> write(PortPlace place, Rows rows,
                                                               bool is_final);
    [[nodiscard]] Result<IpAddr> destination(const PortPlace& place, const std::string& to) const;
    [[nodiscard]] nlohmann::json own_vteps(const PortPlace& place) const;
    [[nodiscard]] std::optional<host::MovedTo> home_of(const PortPlace& place,
                                                       const nlohmann::json& document) const;
    /// Puts the VM of a port elsewhere, or (nullopt) here. Returns when in force on every worker.
    /// As a change: no document is put in force meanwhile.
    [[nodiscard]] boost::asio::awaitable<void> set_place(std::string name,
                                                         std::optional<host::MovedTo> to);
    [[nodiscard]] boost::asio::awaitable<void> publish(std::string changed);
    void announce(const std::string& port);
    [[nodiscard]] boost::asio::awaitable<void> leave(PortPlace place, const Rows& rows, IpAddr to);
    [[nodiscard]] AnswerLater come_back(std::string name);
    [[nodiscard]] Status check_head(const PortPlace& place, const nlohmann::json& document) const;
    [[nodiscard]] nlohmann::json key_policies(PortIndex port) const;
    [[nodiscard]] AnswerLater put(PortPlace place, const nlohmann::json& document,
                                  std::optional<host::MovedTo> home);
    [[nodiscard]] boost::asio::awaitable<void> watch();
    [[nodiscard]] boost::asio::awaitable<void> look_for_stragglers();
    [[nodiscard]] boost::asio::awaitable<void> look_for_arrivals();
    [[nodiscard]] boost::asio::awaitable<void> take_home(std::string name);
    [[nodiscard]] bool has_arrived(const std::string& port) const;
    [[nodiscard]] boost::asio::awaitable<void> look_at_snapshot();
    void start_watch();

    using Clock = std::chrono::steady_clock;
    /// A port that was imported, until its final document.
    struct Arrival {
        std::vector<ConnectionTuple> tuples;  ///< Ascending, of the last document.
        bool is_awaited = true;               ///< Its device has not come up since.
    };

    boost::asio::thread_pool helper_{1};  // Copies snapshots.
    boost::asio::steady_timer timer_;
    boost::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    std::shared_ptr<admin::ChangeQueue> changes_;
    Announcer announcer_;
    std::map<std::string, host::MovedTo> placed_;   // By port.
    std::uint32_t generation_ = 0;                  // Of the snapshot that says so.
    std::map<std::string, nlohmann::json> left_;    // Final documents of moved ports.
    std::map<std::string, Stragglers> stragglers_;  // By moved port.
    std::map<std::string, Arrival> arrivals_;
    Clock::time_point counted_{};
    bool is_running_ = false;
    bool is_stopped_ = false;
};

/// Adds the methods. The service must outlive the server.
void add_migration_methods(admin::AdminServer& server, PortMigration& migration);

}  // namespace sluice::daemon
