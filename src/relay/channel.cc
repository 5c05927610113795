// SPDX-License-Identifier: Apache-2.0
// Whole messages over a stream socket. Descriptors may come with any byte of a message (the kernel
// ends a read at each batch of them); they go out with its first byte.
#include "relay/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::relay {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(kMessageFdMax * sizeof(int));

/// Moves the descriptors of a received control message into `fds`.
void take_fds(msghdr& header, std::vector<Fd>& fds) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) { continue; }
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

/// One recvmsg. @return bytes, 0 at the end of the stream, -1 with errno (EMSGSIZE: too many
/// descriptors)
ssize_t receive_some(int socket, std::span<std::byte> bytes, std::vector<Fd>& fds) {
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, kControlBytes> control;
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) { return size; }
    take_fds(header, fds);
    if ((header.msg_flags & MSG_CTRUNC) != 0 || fds.size() > kMessageFdMax) {
        errno = EMSGSIZE;
        return -1;
    }
    return size;
}

ssize_t send_some(int socket, std::span<const std::byte> bytes, std::span<const Fd> fds) {
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, kControlBytes> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        for (std::size_t i = 0; i < fds.size(); ++i) {
            const int fd = fds[i].get();
            std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof fd);
        }
    }
    return ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::vector<std::byte> wire_of(const Message& message) {
    std::vector<std::byte> wire(sizeof(Header) + message.payload.size());
    std::memcpy(wire.data(), &message.header, sizeof(Header));
    std::copy(message.payload.begin(), message.payload.end(), wire.begin() + sizeof(Header));
    return wire;
}

int pid_of_peer(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Channel::Channel(const asio::any_io_executor& executor, Fd socket, HeaderCheck check)
    : socket_(executor), timer_(executor), check_(check), peer_pid_(pid_of_peer(socket.get())) {
    error_code ec;
    socket_.assign(asio::local::stream_protocol(), socket.get(), ec);
    if (!ec) { (void)socket.release(); }
}

Channel::~Channel() = default;

std::shared_ptr<Channel> Channel::open(const asio::any_io_executor& executor, Fd socket,
                                       HeaderCheck check) {
    std::shared_ptr<Channel> channel{new Channel(executor, std::move(socket), check)};
    spawn(executor, [](std::shared_ptr<Channel> self) -> asio::awaitable<void> {
        co_await self->watchdog();
    }(channel));
    return channel;
}

void Channel::close() {
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
}

void Channel::interrupt() {
    interrupted_ = true;
    error_code ignored;
    socket_.cancel(ignored);
}

bool Channel::was_interrupted(const error_code& error) const {
    return error == asio::error::operation_aborted && interrupted_ && socket_.is_open();
}

Fd Channel::duplicate() {
    return Fd{socket_.is_open() ? ::fcntl(socket_.native_handle(), F_DUPFD_CLOEXEC, 3) : -1};
}

bool Channel::hung_up() {
    pollfd entry{socket_.is_open() ? socket_.native_handle() : -1, 0, 0};
    return entry.fd < 0 || (::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR)) != 0);
}

asio::awaitable<void> Channel::watchdog() {
    while (socket_.is_open()) {
        error_code ignored;
        timer_.expires_at(std::min(read_deadline_, write_deadline_));
        co_await timer_.async_wait(into(ignored));
        if (socket_.is_open() && Clock::now() >= std::min(read_deadline_, write_deadline_)) {
            expired_ = Clock::now() >= read_deadline_
                           ? "a message was not whole within 2 s"
                           : "the peer did not take a message within 2 s";
            close();
        }
    }
}

void Channel::arm(Clock::time_point& deadline, milliseconds timeout) {
    deadline = Clock::now() + timeout;
    timer_.cancel();  // The watchdog reads the new deadline. A later one it finds by itself.
}

// The socket failed or was closed: by the watchdog, by the peer, or by us.
ChannelEnd Channel::ended() {
    close();
    if (expired_ == nullptr) { return {ChannelEnd::Kind::kGone, {}}; }
    return {ChannelEnd::Kind::kRefused, {RefuseReason::kTimeout, expired_}};
}

asio::awaitable<ChannelEnd> Channel::receive(std::span<std::byte> bytes, std::vector<Fd>& fds,
                                             bool begun) {
    std::size_t done = 0;
    bool wait =
        !begun;  // Always between messages, so that a talkative peer leaves the others their turn.
    while (done < bytes.size()) {
        if (wait) {
            error_code ec;
            co_await socket_.async_wait(Socket::wait_read, into(ec));
            if (was_interrupted(ec)) {
                if (begun) { continue; }
                interrupted_ = false;
                co_return ChannelEnd{ChannelEnd::Kind::kInterrupted, {}};
            }
            if (ec || !socket_.is_open()) { co_return ended(); }
        }
        const ssize_t size = receive_some(socket_.native_handle(), bytes.subspan(done), fds);
        if (size < 0 && errno == EMSGSIZE) {
            close();
            co_return ChannelEnd{
                ChannelEnd::Kind::kRefused,
                {RefuseReason::kBadFds, "more descriptors came than a message may carry"}};
        }
        wait = size < 0 && would_block(errno);
        if (size == 0 || (size < 0 && !wait && errno != EINTR)) { co_return ended(); }
        if (size <= 0) { continue; }
        if (!std::exchange(begun, true)) { arm(read_deadline_, kMessageTimeout); }
        done += static_cast<std::size_t>(size);
    }
    co_return ChannelEnd{};
}

asio::awaitable<ChannelEnd> Channel::read(Message& message) {
    std::array<std::byte, sizeof(Header)> head;
    message.payload.clear();
    message.fds.clear();
    if (!socket_.is_open()) { co_return ended(); }
    auto end = co_await receive(head, message.fds, false);
    if (!end.done()) { co_return end; }
    std::memcpy(&message.header, head.data(), head.size());
    if (auto refusal = check_(message.header)) {
        close();
        co_return ChannelEnd{ChannelEnd::Kind::kRefused, std::move(*refusal)};
    }
    message.payload.resize(message.header.size);
    end = co_await receive(message.payload, message.fds, true);
    read_deadline_ = kNever;
    co_return end;
}

asio::awaitable<ChannelEnd> Channel::write(const Message& message) {
    const auto wire = wire_of(message);
    std::size_t done = 0;
    if (!socket_.is_open()) { co_return ended(); }
    while (done < wire.size()) {
        const auto fds = done == 0 ? std::span<const Fd>{message.fds} : std::span<const Fd>{};
        const ssize_t size = send_some(socket_.native_handle(), std::span{wire}.subspan(done), fds);
        if (size >= 0) {
            done += static_cast<std::size_t>(size);
            continue;
        }
        if (errno == EINTR) { continue; }
        if (!would_block(errno)) { co_return ended(); }
        if (write_deadline_ == kNever) { arm(write_deadline_, kWriteTimeout); }
        error_code ec;
        co_await socket_.async_wait(Socket::wait_write, into(ec));
        if (was_interrupted(ec)) { continue; }
        if (ec || !socket_.is_open()) { co_return ended(); }
    }
    write_deadline_ = kNever;
    co_return ChannelEnd{};
}

}  // namespace sluice::relay
