// SPDX-License-Identifier: Apache-2.0
// A stand-in for librte_vhost: listens on a private socket, remembers every message by connection,
// answers what wants an answer, offers every feature bit. A thread of its own; every method from
// the test's thread.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "wire.h"

namespace sluice::relay::test {

class FakeLibrary {
public:
    explicit FakeLibrary(const std::string& path);
    ~FakeLibrary();
    FakeLibrary(const FakeLibrary&) = delete;
    FakeLibrary& operator=(const FakeLibrary&) = delete;

    struct Seen {
        Header header;
        std::vector<std::byte> payload;
        std::size_t fd_count;
    };
    /// Messages of the connection with this number, counted from 0.
    [[nodiscard]] std::vector<Seen> seen(std::size_t connection) const;
    [[nodiscard]] std::size_t connection_count() const;
    [[nodiscard]] std::size_t open_count() const;
    /// Closes every connection, as librte_vhost does after a message that it dislikes.
    void drop_connections();
    void set_answering(bool answering) { answering_ = answering; }
    /// Reads nothing while true, so that the relay's writes pile up.
    void set_deaf(bool deaf) { deaf_ = deaf; }

private:
    struct Connection {
        Fd socket;
        std::vector<Seen> seen;
    };
    void serve();
    void serve_one(Connection& connection);
    void answer(int socket, const Message& message);

    Fd listener_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> answering_{true};
    std::atomic<bool> deaf_{false};
    mutable std::mutex mutex_;  // Guards connections_.
    std::vector<Connection> connections_;
    std::thread thread_;
};

}  // namespace sluice::relay::test
