// SPDX-License-Identifier: Apache-2.0
// Channel and its sockets: blocking calls with a deadline each, no thread of its own.
#include "vhost_user.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace sluice::frontend {
namespace {

constexpr auto kConnectRetry = std::chrono::milliseconds(2);

[[nodiscard]] Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error{Errc::kInvalid,
                     "socket path \"" + path + "\" must have 1.." +
                         std::to_string(sizeof address.sun_path - 1) + " bytes",
                     "socket"};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

[[nodiscard]] bool readable(int fd, Deadline deadline) {
    pollfd wait{fd, POLLIN, 0};
    int ready = 0;
    do { ready = ::poll(&wait, 1, left_ms(deadline, 60'000)); } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

void take_fds(const msghdr& message, std::vector<Fd>& fds) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
         c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) { continue; }
        const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

}  // namespace

int left_ms(Deadline deadline, int cap_ms) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, cap_ms));
}

Error io_error(const std::string& what) {
    return Error{Errc::kIo, what + ": " + std::strerror(errno), ""};
}

bool Channel::hung_up() const {
    if (!socket_.valid()) { return true; }
    pollfd state{socket_.get(), POLLIN | POLLRDHUP, 0};
    return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Status Channel::send(const MessageHeader& header, std::span<const std::uint8_t> payload,
                     std::span<const int> fds) {
    iovec parts[2] = {{const_cast<MessageHeader*>(&header), sizeof header},
                      {const_cast<std::uint8_t*>(payload.data()), payload.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMessageFdsMax)] = {};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    if (!fds.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
    }
    const auto want = static_cast<ssize_t>(sizeof header + payload.size());
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) != want) {
        return io_error("vhost-user request " + std::to_string(header.request) + ": send");
    }
    return Ok{};
}

Status Channel::read_exactly(std::span<std::uint8_t> into, std::vector<Fd>* fds,
                             Deadline deadline) {
    while (!into.empty()) {
        if (!readable(socket_.get(), deadline)) {
            return Error{Errc::kIo, "vhost-user: peer sent nothing in time", ""};
        }
        iovec part{into.data(), into.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMessageFdsMax)];
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) { continue; }
        if (got < 0) { return io_error("vhost-user: receive"); }
        if (got == 0) { return Error{Errc::kIo, "vhost-user: peer closed the socket", ""}; }
        if (fds != nullptr) { take_fds(message, *fds); }
        into = into.subspan(static_cast<std::size_t>(got));
    }
    return Ok{};
}

Result<Message> Channel::receive(Deadline deadline) {
    Message message;
    std::uint8_t header[sizeof(MessageHeader)];
    if (auto done = read_exactly(header, &message.fds, deadline); !done) { return done.error(); }
    std::memcpy(&message.header, header, sizeof header);
    if (message.header.payload_bytes > kPayloadBytesMax) {
        return Error{
            Errc::kIo,
            "vhost-user: payload of " + std::to_string(message.header.payload_bytes) + " bytes",
            ""};
    }
    message.payload.resize(message.header.payload_bytes);
    if (auto done = read_exactly(message.payload, &message.fds, deadline); !done) {
        return done.error();
    }
    return message;
}

Result<Fd> listen_unix(const std::string& path) {
    auto address = unix_address(path);
    if (!address) { return address.error(); }
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener.valid()) { return io_error("socket"); }
    ::unlink(path.c_str());
    if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address.value()),
               sizeof(sockaddr_un)) != 0) {
        return io_error("bind " + path);
    }
    if (::listen(listener.get(), 4) != 0) { return io_error("listen " + path); }
    return listener;
}

Result<Fd> accept_unix(int listener, const std::string& path, Deadline deadline) {
    if (!readable(listener, deadline)) {
        return Error{Errc::kIo, "socket " + path + ": nobody connected in time", path};
    }
    Fd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid()) { return io_error("accept " + path); }
    return socket;
}

Result<Fd> connect_unix(const std::string& path, Deadline deadline) {
    auto address = unix_address(path);
    if (!address) { return address.error(); }
    for (;;) {
        Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!socket.valid()) { return io_error("socket"); }
        const auto* target = reinterpret_cast<const sockaddr*>(&address.value());
        if (::connect(socket.get(), target, sizeof(sockaddr_un)) == 0) { return socket; }
        if (Clock::now() >= deadline) { return io_error("connect " + path); }
        std::this_thread::sleep_for(kConnectRetry);
    }
}

}  // namespace sluice::frontend
