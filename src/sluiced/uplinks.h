// SPDX-License-Identifier: Apache-2.0
// Uplinks: the network devices of the configured uplinks. Each is an EthdevPort; its device is
// plugged in and out on a thread of its own, because drivers take their time. The link comes from
// the kernel's interface where the device string names one. A device that goes (interface deleted)
// leaves the port down with a reason, and is opened again when it is back, for the same port with
// the same counters. Uplinks that LACP joins are one port to the switch, the first one's (lag.h).
// Control thread.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datapath/dataplane.h"
#include "datapath/ethdev.h"
#include "datapath/ethdev_port.h"
#include "sluice/model/document.h"
#include "src/sluiced/lag.h"
#include "src/sluiced/link_watch.h"

namespace sluice::daemon {

/// What `show uplinks` says of one beside its port's counters.
struct UplinkState {
    std::string device;
    std::string why;  ///< Why it is down; empty if it is up.
    MacAddr mac;
    std::uint16_t mtu = 0;
    std::uint32_t speed_mbps = 0;  ///< 0 = not known.
    datapath::EthdevFigures figures;
    std::optional<LagState> lag;  ///< Of a member of a LAG.
};

class Uplinks {
public:
    Uplinks(relay::asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool);

    /// Opens the devices that `document` needs and that are not open. A failure names the uplink.
    [[nodiscard]] relay::asio::awaitable<Status> prepare(const model::Document& document);
    /// The same for a stored document at start: uplinks come up down, their devices are opened when
    /// the control loop runs.
    void prepare_later(const model::Document& document);
    /// The device of an uplink of the prepared document; nullptr if it has none, and for those
    /// whose LAG another uplink stands for.
    [[nodiscard]] std::shared_ptr<datapath::Port> device(const std::string& uplink) const;
    /// The document is in force: devices of other uplinks are closed.
    void commit();
    /// The document was refused: prepared devices are closed.
    void discard();
    /// Returns when the devices of removed uplinks are closed.
    [[nodiscard]] relay::asio::awaitable<void> finish_removal();
    /// Devices are left as they are, open or not, until resume().
    void hold() noexcept { is_held_ = true; }
    void resume();
    /// Held, after commit(): opens devices that another process may have open at the same time.
    /// They wait for plug_in_opened(). Slow.
    void open_ahead();
    /// What those devices have received so far was meant for the other process; from now on it is
    /// for this one's workers.
    void plug_in_opened();
    /// Held, no worker polls: closes the devices that only one process can have open.
    [[nodiscard]] relay::asio::awaitable<void> release_exclusive();
    /// Its device is open, whatever its link says, or there is no such uplink.
    [[nodiscard]] bool is_open(const std::string& uplink) const;
    /// Uplinks whose port is up.
    [[nodiscard]] std::vector<std::string> up() const;
    /// Closes every device. No worker polls them any more.
    void stop();

    /// State of an uplink; the default if there is none of that name.
    [[nodiscard]] UplinkState state(const std::string& uplink) const;
    /// Why the port of that name can't carry frames, its LAG's if it stands for one; empty if it
    /// can.
    [[nodiscard]] std::string fault(const std::string& uplink) const;
    /// `tell` is called after links were looked at: each second, and whenever one changed.
    void on_look(std::function<void()> tell) { tell_ = std::move(tell); }

private:
    struct Uplink {
        std::string name;
        std::string device;
        std::uint16_t mtu = 0;
        std::shared_ptr<datapath::EthdevPort> port = std::make_shared<datapath::EthdevPort>();
        std::shared_ptr<datapath::Ethdev> ethdev;  ///< Null while it is not open.
        std::shared_ptr<datapath::Ethdev> ahead;   ///< Open, and not plugged in yet.
        std::string why = "its device is not opened yet";
        LagPlan lag;
        std::shared_ptr<Uplink> former;  ///< Whose device it takes over at commit().
        bool is_busy = false;
        bool is_removed = false;
    };
    using Shared = std::shared_ptr<Uplink>;
    using All = std::map<std::string, Shared>;
    using Lags = std::map<std::string, std::shared_ptr<Lag>>;  // By switch.
    using Opened = Result<std::shared_ptr<datapath::Ethdev>>;

    [[nodiscard]] relay::asio::awaitable<Opened> open(std::string device, std::uint16_t mtu);
    [[nodiscard]] relay::asio::awaitable<Status> prepare_one(Shared wanted);
    relay::asio::awaitable<void> withdraw(Shared uplink);
    relay::asio::awaitable<void> hand_over(Shared from, Shared to);
    relay::asio::awaitable<void> close(Shared uplink);
    relay::asio::awaitable<void> close_lost(Shared uplink);
    relay::asio::awaitable<void> close_removed(Shared uplink);
    relay::asio::awaitable<void> open_again(Shared uplink);
    void plug_in(Uplink& uplink, std::shared_ptr<datapath::Ethdev> ethdev);
    void tick();
    void look_quickly();
    [[nodiscard]] static bool has_link(const Uplink& uplink);
    [[nodiscard]] static Shared describe(const model::Document& document,
                                         const model::Uplink& uplink);
    [[nodiscard]] Status make_lags();
    [[nodiscard]] std::shared_ptr<Lag> lag_for(const LagPlan& plan) const;
    [[nodiscard]] Lag* find_lag(const Uplink& uplink) const;
    void set_link(Uplink& uplink, const std::string& fault);
    void look_after_all();
    void look_after(const Shared& uplink);
    [[nodiscard]] std::string link_fault(const Uplink& uplink) const;
    static void set_why(Uplink& uplink, std::string why);

    relay::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    rte_mempool* pool_;
    boost::asio::thread_pool drivers_{1};
    LinkWatch links_;
    All wanted_;  // Of the document that is prepared.
    All uplinks_;
    Lags wanted_lags_;
    Lags lags_;
    std::vector<std::pair<Shared, std::uint16_t>> former_mtus_;  // Of those that a change resized.
    unsigned closing_ = 0;
    bool is_held_ = false;
    relay::asio::steady_timer timer_;
    relay::asio::steady_timer quick_timer_;
    std::function<void()> tell_;
};

}  // namespace sluice::daemon
