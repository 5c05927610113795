// SPDX-License-Identifier: Apache-2.0
// The vhost-user relay: owns every QEMU socket of the daemon and hands librte_vhost only checked,
// whole messages over private sockets. One per daemon, on the control thread's io_context; every
// call on that thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/asio.h"
#include "relay/handed_port.h"
#include "relay/relay_port.h"
#include "sluice/base/result.h"

namespace sluice::relay {

class Link;
class SocketWatch;

class VhostRelay {
public:
    /// The context must outlive the relay, and run after stop() for the last coroutines to end.
    explicit VhostRelay(asio::io_context& context, RelayObserver observer = nullptr);
    ~VhostRelay();
    VhostRelay(const VhostRelay&) = delete;
    VhostRelay& operator=(const VhostRelay&) = delete;

    /// Begins to relay a port; its QEMU may come any time later, and a socket folder that is
    /// missing is waited for. librte_vhost should listen on library_path already. Errors: kInvalid
    /// (a path or queue number), kExists (name or socket in use), kLimit, kIo (no inotify).
    [[nodiscard]] Status add(RelayPort port);
    /// The same for a port that another process has handed over: goes on where that one stopped.
    [[nodiscard]] Status add(RelayPort port, HandedPort handed);
    /// Detaches a port's QEMU and forgets the port; its sockets are closed when this returns, so
    /// the name and path may be added again at once. @return false if there is no such port
    bool remove(const std::string& name);
    /// Ends a port's session with a sentence (guest memory disappeared). QEMU may attach again
    /// after the back-off.
    bool drop(const std::string& name, const std::string& why);
    /// Connects to library_path anew and replays the handshake: for a librte_vhost socket that was
    /// made anew.
    bool replay(const std::string& name);
    /// Stops every link between two messages, for a handover: no QEMU is looked for, none is read.
    /// Soon after, is_quiet().
    void hold();
    /// Held, and no QEMU is in the middle of anything.
    [[nodiscard]] bool is_quiet() const;
    /// Of a held relay: copies of a port's sockets and handshake. A QEMU that is not quiet is not
    /// among them: it starts anew when its connection is closed here.
    [[nodiscard]] HandedPort hand_over(const std::string& name);
    /// Of a held relay: the library lets go of every guest. resume() brings it back.
    void release_library();
    void resume();
    /// Phase, why down, counters. nullopt if there is no such port.
    [[nodiscard]] std::optional<RelayState> state(const std::string& name) const;
    [[nodiscard]] std::vector<std::string> names() const;
    /// Removes every port.
    void stop();

private:
    [[nodiscard]] Status check(const RelayPort& port) const;
    [[nodiscard]] Status open_watch();

    asio::any_io_executor executor_;
    RelayObserver observer_;
    std::shared_ptr<SocketWatch> watch_;
    std::map<std::string, std::shared_ptr<Link>> links_;
};

}  // namespace sluice::relay
