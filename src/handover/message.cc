// SPDX-License-Identifier: Apache-2.0
// Packing, checks, and the two system calls; message.h has the contract.
#include "handover/message.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "handover/limits.h"

namespace sluice::handover {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::array kKindNames = {"hello", "prepared", "guest",  "interface", "listener",
                                   "go",    "healthy",  "failed", "commit"};
static_assert(kKindNames.size() == kKindLast);

Error invalid(const std::string& what) {
    return Error{Errc::kInvalid, "handover: a message " + what, ""};
}

Error failed(const char* what) {
    return Error{Errc::kIo, std::string("handover: ") + what + ": " + std::strerror(errno), ""};
}

// Milliseconds for poll(2), rounded up.
int left_ms(Clock::time_point deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

bool wait_for(int socket, short events, Clock::time_point deadline) {
    pollfd entry{socket, events, 0};
    int ready = 0;
    do { ready = ::poll(&entry, 1, left_ms(deadline)); } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

using Control = std::array<char, CMSG_SPACE(kDescriptorMax * sizeof(int))>;

void put_fds(msghdr& header, Control& control, std::span<const relay::Fd> fds) {
    if (fds.empty()) { return; }
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

std::vector<relay::Fd> take_fds(msghdr& header) {
    std::vector<relay::Fd> fds;
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
    return fds;
}

}  // namespace

const char* to_string(Kind kind) noexcept {
    const auto number = static_cast<std::uint32_t>(kind);
    return number == 0 || number > kKindLast ? "unknown" : kKindNames[number - 1];
}

Result<std::vector<std::byte>> pack(const Message& message) {
    const std::string text = message.body.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() > kBodyBytesMax || message.fds.size() > kDescriptorMax) {
        return Error{Errc::kLimit,
                     std::string("handover: the message \"") + to_string(message.kind) + "\" has " +
                         std::to_string(text.size()) + " bytes and " +
                         std::to_string(message.fds.size()) + " descriptors, at most " +
                         std::to_string(kBodyBytesMax) + " and " + std::to_string(kDescriptorMax),
                     ""};
    }
    const Head head{kMagic, static_cast<std::uint32_t>(message.kind),
                    static_cast<std::uint32_t>(text.size()),
                    static_cast<std::uint32_t>(message.fds.size())};
    std::vector<std::byte> packet(sizeof head + text.size());
    std::memcpy(packet.data(), &head, sizeof head);
    std::memcpy(packet.data() + sizeof head, text.data(), text.size());
    return packet;
}

Result<Message> unpack(std::span<const std::byte> packet, std::vector<relay::Fd> fds) {
    Head head;
    if (packet.size() < sizeof head) { return invalid("is shorter than its head"); }
    std::memcpy(&head, packet.data(), sizeof head);
    if (head.magic != kMagic) { return invalid("does not begin as one"); }
    if (head.kind == 0 || head.kind > kKindLast) {
        return invalid("is of kind " + std::to_string(head.kind) + ", expected 1.." +
                       std::to_string(kKindLast));
    }
    if (head.size > kBodyBytesMax || head.size != packet.size() - sizeof head) {
        return invalid("has " + std::to_string(packet.size() - sizeof head) + " bytes and says " +
                       std::to_string(head.size));
    }
    if (head.fd_count != fds.size()) {
        return invalid("came with " + std::to_string(fds.size()) + " descriptors and says " +
                       std::to_string(head.fd_count));
    }
    const auto* text = reinterpret_cast<const char*>(packet.data() + sizeof head);
    json body = json::parse(text, text + head.size, nullptr, false);
    if (!body.is_object()) { return invalid("is no JSON object"); }
    return Message{static_cast<Kind>(head.kind), std::move(body), std::move(fds)};
}

Status send(int socket, const Message& message, Clock::time_point deadline) {
    Result<std::vector<std::byte>> packet = pack(message);
    if (!packet) { return packet.error(); }
    iovec part{packet.value().data(), packet.value().size()};
    alignas(cmsghdr) Control control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    put_fds(header, control, message.fds);
    for (;;) {
        const ssize_t sent = ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) { return Ok{}; }
        if (errno == EINTR) { continue; }
        if (errno != EAGAIN && errno != ETOOMANYREFS) { return failed("can't send"); }
        if (Clock::now() >= deadline || !wait_for(socket, POLLOUT, deadline)) {
            return Error{Errc::kIo, "handover: the other process does not read", ""};
        }
    }
}

Result<Message> receive(int socket, Clock::time_point deadline) {
    std::vector<std::byte> packet(sizeof(Head) + kBodyBytesMax);
    iovec part{packet.data(), packet.size()};
    alignas(cmsghdr) Control control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t size = -1;
    for (;;) {
        size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size >= 0) { break; }
        if (errno == EINTR) { continue; }
        if (errno != EAGAIN) { return failed("can't receive"); }
        if (!wait_for(socket, POLLIN, deadline)) {
            return Error{Errc::kNotFound, "handover: nothing came in time", ""};
        }
    }
    std::vector<relay::Fd> fds = take_fds(header);
    if (size == 0) { return Error{Errc::kIo, "handover: the other process is gone", ""}; }
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) { return invalid("is too large"); }
    packet.resize(static_cast<std::size_t>(size));
    return unpack(packet, std::move(fds));
}

}  // namespace sluice::handover
