// SPDX-License-Identifier: Apache-2.0
// The admin socket: JSON-RPC 2.0 over a Unix stream socket, one message a line. Accepts, counts
// connections and hands each to a Session; methods are added by src/sluiced. All on the control
// thread's io_context.
//     AdminServer admin(io, "/run/sluice/sluiced.sock");
//     admin.add("status", Access::kRead, [&](const json&, const Peer&) { return status_json(); });
//     if (auto status = admin.start(); !status.ok()) { ... }
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "dispatcher.h"
#include "limits.h"
#include "peer.h"
#include "socket_path.h"

namespace sluice::admin {

/// What differs between the product and tests.
struct Options {
    Limits limits;
    std::string change_group = "sluice";  ///< Members may change; need not exist.
    AuditSink audit = log_audit;
};

class AdminServer {
public:
    /// @param path  of the socket, at most 107 bytes
    AdminServer(boost::asio::io_context& io, std::string path, Options options = {});
    ~AdminServer();
    AdminServer(const AdminServer&) = delete;
    AdminServer& operator=(const AdminServer&) = delete;

    /// Adds a method; also while serving. The name must be new.
    /// `subject`: what the audit log says beside the method, of calls that change something.
    void add(std::string method, Access access, Handler handler, Subject subject = {});
    void add(std::string method, Access access, PlainHandler handler);

    /// Makes the folder (0755) if its parent exists, takes over a socket that nobody listens on,
    /// listens (mode 0666: rights come from credentials). Errors: kExists if another daemon listens
    /// or the path is no socket, kIo, kInvalid.
    [[nodiscard]] Status start();
    /// The same on a socket that another process listened on: nobody is refused meanwhile.
    [[nodiscard]] Status adopt(BoundSocket bound);
    /// A second descriptor of the listening socket, for another process; -1 if there is none.
    [[nodiscard]] BoundSocket duplicate() const;
    /// Accepts nobody until resume(): whoever comes waits.
    void hold();
    void resume();
    /// Closes the socket and every connection and removes the path if it is still ours. Handlers
    /// that wait finish; keep what they refer to until the io_context has run dry. Idempotent.
    void stop();

    /// In which changes wait for each other; for changes that do not come over the socket.
    [[nodiscard]] std::shared_ptr<ChangeQueue> changes() const;
    [[nodiscard]] std::size_t connection_count() const noexcept;

private:
    class Listener;
    std::shared_ptr<Listener> listener_;
};

}  // namespace sluice::admin
