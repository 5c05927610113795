// SPDX-License-Identifier: Apache-2.0
// CaptureService: `sluice capture` as methods of the admin socket. A capture belongs to the
// connection that started it and ends with it. Theory of operation:
//     capture.start   takes one of kCaptureMax places, publishes the set of captures to workers
//     (pump)          a timer, while a place is taken: moves frames from the workers' rings to the
//                     queue of each capture's client; a full queue misses frames, and counts them
//     capture.next    waits for frames, a fifth of a second at most, and answers with a bounded
//     batch of them capture.stop    tells the totals; the place is free when workers have passed on
// Control thread.
#pragma once

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/server.h"
#include "datapath/dataplane.h"
#include "src/sluiced/config_service.h"

namespace sluice::daemon {

class CaptureService {
public:
    CaptureService(boost::asio::io_context& io, datapath::Dataplane& dataplane,
                   const ConfigService& config);

    /// {"port","slot","direction","filter","snaplen"} to {"capture": ID, ...}
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> start(nlohmann::json params,
                                                                       admin::Peer peer);
    /// {"frames": [...], "missed": N}, and "ended": why, if the capture ended by itself.
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> next(std::uint64_t id,
                                                                      admin::Peer peer);
    /// {"captured": N, "missed": N}
    [[nodiscard]] Result<nlohmann::json> stop(std::uint64_t id, const admin::Peer& peer);
    /// Ends the timer; before the io_context goes.
    void stop();

private:
    struct Frame {
        std::int64_t time_ns;  // Since the Unix epoch.
        std::uint32_t size;
        Direction direction;
        DropReason reason;
        std::uint8_t slot;
        std::string drop_port;
        std::vector<std::uint8_t> bytes;
    };
    struct Client {
        explicit Client(boost::asio::io_context& io) : arrival(io) {}
        std::uint64_t id = 0;
        std::string port;
        std::weak_ptr<const admin::Connection> connection;
        std::deque<Frame> queue;
        std::size_t queued_bytes = 0;
        std::uint64_t captured = 0;
        std::uint64_t missed = 0;           // For want of room in `queue`.
        std::uint64_t missed_before = 0;    // What the rings had missed for others before it.
        std::string ended;                  // Why, if it ended by itself.
        boost::asio::steady_timer arrival;  // Cancelled when there is something to answer.
    };
    // Free if it has neither a client nor anything that settles.
    struct Place {
        std::shared_ptr<Client> client;
        datapath::Capture capture;              // As published.
        std::optional<std::uint64_t> settling;  // Workers may still fill the rings for it.
    };

    [[nodiscard]] Result<datapath::Capture> read_request(const nlohmann::json& params,
                                                         std::string& port) const;
    [[nodiscard]] Result<unsigned> find(std::uint64_t id, const admin::Peer& peer) const;
    [[nodiscard]] std::uint64_t publish();
    void retire(Place& place);
    void pump();
    void drain();
    void take(const datapath::CaptureRecord& record);
    void check_clients();
    [[nodiscard]] std::uint64_t missed(unsigned place) const;
    [[nodiscard]] nlohmann::json answer(unsigned place);

    boost::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    const ConfigService& config_;
    std::array<Place, kCaptureMax> places_;
    std::vector<std::shared_ptr<datapath::CaptureRing>> rings_;  // By worker; while in use.
    boost::asio::steady_timer timer_;
    bool is_pumping_ = false;
    std::int64_t clock_offset_ns_ = 0;  // From monotonic time to the Unix epoch's.
    std::uint64_t last_id_ = 0;
};

/// capture.start changes nothing, but shows what others send: the same right is asked for.
void add_capture_methods(admin::AdminServer& server, CaptureService& captures);

}  // namespace sluice::daemon
