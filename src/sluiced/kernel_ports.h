// SPDX-License-Identifier: Apache-2.0
// KernelPorts: the interfaces of kernel ports. Each is a TapPort, whose TAP the privileged helper
// makes in its namespace; when the namespace or the interface goes, the port is down with a reason,
// and the interface is made again as soon as that is possible, for the same port with the same
// counters. Watches /run/netns; looks once a second besides. Control thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "datapath/tap_port.h"
#include "privileged/client.h"
#include "sluice/model/resolve.h"

namespace sluice::daemon {

class KernelPorts {
public:
    KernelPorts(relay::asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool,
                privileged::HelperClient& helper);

    /// Makes the interfaces that `document` needs and that are not there. A failure names the port.
    [[nodiscard]] relay::asio::awaitable<Status> prepare(const model::Document& document);
    /// The same for a stored document at start: ports come up down, their interfaces are made when
    /// the control loop runs.
    void prepare_later(const model::Document& document);
    /// The device of a kernel port, present or prepared; nullptr if it has none.
    [[nodiscard]] std::shared_ptr<datapath::Port> device(const std::string& port) const;
    /// The document is in force: interfaces of other ports go, changed settings are made so.
    void commit(const model::Document& document);
    /// The document was refused: prepared interfaces go.
    void discard();
    /// Returns when the interfaces of removed ports are gone.
    [[nodiscard]] relay::asio::awaitable<void> finish_removal();
    /// An interface on its way to another process.
    struct Handed {
        std::string port;
        std::string netns;
        std::string name;
        relay::Fd tap;
        std::uint32_t index = 0;
        std::uint64_t netns_inode = 0;
    };
    /// Interfaces are left as they are, made or not, until resume().
    void hold() noexcept { is_held_ = true; }
    void resume();
    /// Copies of the interfaces that are there.
    [[nodiscard]] std::vector<Handed> hand_over() const;
    /// Held, after commit(): an interface of another process becomes this one's, if the port that
    /// it belonged to is still meant to have it.
    void adopt(Handed handed);
    /// Closes every interface. No worker runs any more, or none polls them.
    void stop();

    /// Why the port is down, or where its interface is.
    [[nodiscard]] std::string state_text(const std::string& port) const;

private:
    struct Interface {
        std::string port;
        privileged::InterfaceSpec spec;
        std::shared_ptr<datapath::TapPort> device;
        relay::Fd tap;
        std::uint32_t index = 0;
        std::uint64_t netns_inode = 0;
        std::string why = "its interface is not made yet";  ///< Of a port that is down.
        bool is_busy = false;                               ///< A coroutine works on it.
        bool is_removed = false;  ///< No port of the document has it any more.
    };
    using Shared = std::shared_ptr<Interface>;
    using Interfaces = std::map<std::string, Shared>;

    [[nodiscard]] static Shared describe(const model::Resolver& resolver, const model::Port& port);
    [[nodiscard]] bool is_present(const Interface& wanted) const;
    void watch();
    void read_events();
    void tick();
    void look_after(const Shared& interface);
    void lose(const Shared& interface, std::string why);
    relay::asio::awaitable<void> close_tap(Shared interface);
    relay::asio::awaitable<void> close_lost(Shared interface);
    relay::asio::awaitable<void> close_removed(Shared interface);
    relay::asio::awaitable<void> make_again(Shared interface);
    relay::asio::awaitable<void> configure(Shared interface);
    void set_why(Interface& interface, std::string why);

    relay::asio::io_context& io_;
    datapath::Dataplane& dataplane_;
    rte_mempool* pool_;
    privileged::HelperClient& helper_;
    Interfaces interfaces_;
    Interfaces prepared_;
    unsigned closing_ = 0;  // Removed interfaces that workers may still use.
    relay::asio::steady_timer timer_;
    relay::asio::posix::stream_descriptor events_;  // inotify
    int watch_ = -1;
    bool is_held_ = false;
    unsigned quick_looks_ = 0;  // Left after an event.
};

}  // namespace sluice::daemon
