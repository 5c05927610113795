// SPDX-License-Identifier: Apache-2.0
// The thread of the fake library: one poll loop over listener and connections.
#include "fake_library.h"

#include <poll.h>

namespace sluice::relay::test {

FakeLibrary::FakeLibrary(const std::string& path)
    : listener_(listen_at(path)), thread_([this] { serve(); }) {}

FakeLibrary::~FakeLibrary() {
    stopping_ = true;
    thread_.join();
}

std::vector<FakeLibrary::Seen> FakeLibrary::seen(std::size_t connection) const {
    const std::lock_guard lock{mutex_};
    return connection < connections_.size() ? connections_[connection].seen : std::vector<Seen>{};
}

std::size_t FakeLibrary::connection_count() const {
    const std::lock_guard lock{mutex_};
    return connections_.size();
}

std::size_t FakeLibrary::open_count() const {
    const std::lock_guard lock{mutex_};
    std::size_t count = 0;
    for (const auto& connection : connections_) { count += connection.socket.valid() ? 1U : 0U; }
    return count;
}

void FakeLibrary::drop_connections() {
    const std::lock_guard lock{mutex_};
    for (auto& connection : connections_) { connection.socket.reset(); }
}

void FakeLibrary::serve() {
    while (!stopping_) {
        std::vector<pollfd> polled{{listener_.get(), POLLIN, 0}};
        {
            const std::lock_guard lock{mutex_};
            for (const auto& connection : connections_) {
                polled.push_back({deaf_ ? -1 : connection.socket.get(), POLLIN, 0});
            }
        }
        if (::poll(polled.data(), polled.size(), 5) <= 0) { continue; }
        const std::lock_guard lock{mutex_};
        for (std::size_t i = 1; i < polled.size(); ++i) {
            if (polled[i].revents != 0) { serve_one(connections_[i - 1]); }
        }
        if (polled[0].revents != 0) { connections_.push_back({accept_from(listener_), {}}); }
    }
}

void FakeLibrary::serve_one(Connection& connection) {
    if (!connection.socket.valid()) { return; }
    auto message = receive_message(connection.socket.get());
    if (!message) {
        connection.socket.reset();
        return;
    }
    connection.seen.push_back({message->header, message->payload, message->fds.size()});
    if (answering_ && message->wants_reply()) { answer(connection.socket.get(), *message); }
}

void FakeLibrary::answer(int socket, const Message& message) {
    Message reply;
    reply.header = {message.header.request, kFlagVersion | kFlagReply, 0};
    switch (message.request()) {
        case Request::kGetFeatures:
        case Request::kGetProtocolFeatures: reply.set(~std::uint64_t{0}); break;
        case Request::kGetQueueNum: reply.set(std::uint64_t{128}); break;
        case Request::kGetVringBase:
            reply.set(VringState{message.as<VringState>().index, 77});
            break;
        default: reply.set(std::uint64_t{0}); break;
    }
    (void)send_message(socket, reply);
}

}  // namespace sluice::relay::test
