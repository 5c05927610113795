// SPDX-License-Identifier: Apache-2.0
// VhostDevices: the vhost-user devices of the configured ports: a VhostPort on a private socket for
// each, and the relay that brings its guest there. Also guards guest memory against truncation.
// Control thread but for prepare(); hooks run on librte_vhost's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "datapath/vhost_port.h"
#include "handover/guest.h"
#include "relay/vhost_relay.h"
#include "sluice/model/document.h"

namespace sluice::daemon {

class VhostDevices {
public:
    VhostDevices(boost::asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool,
                 std::string runtime_dir);
    ~VhostDevices();

    /// Guests are offered what `offers` says that they were offered before. Before the first
    /// commit(); stays.
    void keep_offers(relay::OfferBook& offers) { offers_ = &offers; }

    /// Makes the devices that `document` needs and that are not there. Nothing is attached yet.
    /// Helper thread, while no other change is on its way: 200 devices take longer than the control
    /// loop may.
    [[nodiscard]] Status prepare(const model::Document& document);
    /// The device of a port, present or prepared.
    [[nodiscard]] Result<std::shared_ptr<datapath::Port>> device(const model::Port& port) const;
    /// The document is in force: relays for new devices begin, those of other ports end.
    void commit(const model::Document& document);
    /// The document was refused: prepared devices go.
    void discard();
    /// Cuts off every guest.
    void stop();

    // A handover. Of the process that was there before:
    /// Guests' sockets are left alone until resume(). Soon after, is_quiet().
    void hold() { relay_.hold(); }
    [[nodiscard]] bool is_quiet() const { return relay_.is_quiet(); }
    /// Held, no worker polls: copies of all guests for another process.
    [[nodiscard]] std::vector<handover::Guest> hand_over();
    /// The library lets go of the guests that were handed over. Soon after, is_released().
    void release();
    [[nodiscard]] bool is_released() const;
    /// Guests come back to where the other process left them.
    void resume() { relay_.resume(); }
    /// Behind resume(): those that were handed over are settled.
    [[nodiscard]] bool is_back() const;
    // Of the new process:
    /// Before the first commit(): guests are left alone until adopt().
    void defer() noexcept { is_deferred_ = true; }
    /// Goes on with guests of another process, by port, and looks for all others.
    void adopt(std::map<std::string, relay::HandedPort> guests);
    /// The port moves packets, or its guest has left for a reason of its own.
    [[nodiscard]] bool is_settled(const std::string& port) const;

    [[nodiscard]] const datapath::VhostPort* find(const std::string& port) const;
    /// Why the port is down, or who is attached.
    [[nodiscard]] std::string state_text(const std::string& port) const;

private:
    struct Device {
        std::string socket;
        model::SocketMode mode;
        std::shared_ptr<datapath::VhostPort> port;
        std::uint16_t guard = 0;  ///< Number in the table of guarded memory.
    };
    using Devices = std::map<std::string, Device>;

    [[nodiscard]] static bool fits(const Device& device, const model::Port& port);
    [[nodiscard]] Result<Device> make(const model::Port& port);
    void begin_relay(const std::string& name, const Device& device, relay::HandedPort handed);
    void watch_memory();
    void watch_calls();

    boost::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    rte_mempool* pool_;
    const std::string runtime_dir_;
    relay::VhostRelay relay_;
    relay::OfferBook* offers_ = nullptr;
    Devices devices_;
    Devices prepared_;
    std::vector<std::uint16_t> free_guards_;
    std::uint32_t fresh_ = 0;
    bool is_deferred_ = false;
    std::vector<std::string> handed_over_;
    boost::asio::steady_timer memory_timer_;
    boost::asio::steady_timer call_timer_;
};

}  // namespace sluice::daemon
