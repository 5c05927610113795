// SPDX-License-Identifier: Apache-2.0
// Announcer: tells the fabric where vNICs are now: at once, and for those that moved again after
// 0.1, 1 and 3 s, because such a frame may be lost while a link settles. All MACs first, then
// addresses. kAnnouncementsPerS frames a second at most; a vNIC that moves again starts anew, and
// what waits leaves by its newest way. Control thread; worker 0 sends.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <vector>

#include "datapath/announce.h"
#include "datapath/dataplane.h"

namespace sluice::daemon {

class Announcer {
public:
    Announcer(boost::asio::io_context& io, datapath::Dataplane& dataplane);
    /// A vNIC leaves by another way than before.
    void moved(PortIndex vnic) { note(vnic, false); }
    /// A vNIC has come up on this host.
    void appeared(PortIndex vnic) { note(vnic, true); }
    /// So does the router of a domain.
    void router_moved(DomainId domain, const MacAddr& pmac);
    /// Nothing is sent any more. The loop must run once more, or be gone, before *this is.
    void stop();
    /// Frames handed over, ever.
    [[nodiscard]] std::uint64_t sent_count() const noexcept { return sent_count_; }

private:
    using Clock = std::chrono::steady_clock;
    struct Rounds {
        std::size_t done = 0;
        bool is_last = false;  // One is enough.
        Clock::time_point due;
    };
    using Announcements = std::vector<datapath::Announcement>;

    void note(PortIndex vnic, bool once);
    void start();
    [[nodiscard]] boost::asio::awaitable<void> run();
    /// vNICs whose next round is due.
    [[nodiscard]] std::vector<PortIndex> take_due();
    [[nodiscard]] boost::asio::awaitable<void> fill(std::vector<PortIndex> due);
    [[nodiscard]] boost::asio::awaitable<void> add_learned(std::vector<PortIndex> due);
    [[nodiscard]] boost::asio::awaitable<void> send_some();

    boost::asio::io_context& io_;
    boost::asio::steady_timer timer_;
    datapath::Dataplane& dataplane_;
    std::map<std::uint16_t, Rounds> rounds_;  // By PortIndex.
    std::deque<datapath::Announcement> waiting_;
    std::uint64_t sent_count_ = 0;
    bool is_running_ = false;
    bool is_stopped_ = false;
};

}  // namespace sluice::daemon
