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
#include "relay/vhost_relay.h"
#include "sluice/model/document.h"

namespace sluice::daemon {

class VhostDevices {
public:
    VhostDevices(boost::asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool,
                 std::string runtime_dir);
    ~VhostDevices();

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
    void watch_memory();
    void watch_calls();

    boost::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    rte_mempool* pool_;
    const std::string runtime_dir_;
    relay::VhostRelay relay_;
    Devices devices_;
    Devices prepared_;
    std::vector<std::uint16_t> free_guards_;
    std::uint32_t fresh_ = 0;
    boost::asio::steady_timer memory_timer_;
    boost::asio::steady_timer call_timer_;
};

}  // namespace sluice::daemon
