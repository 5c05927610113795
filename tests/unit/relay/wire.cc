// SPDX-License-Identifier: Apache-2.0
// Plain system calls behind wire.h.
#include "wire.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

namespace sluice::relay::test {
namespace {

bool readable(int fd, milliseconds timeout) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, static_cast<int>(timeout.count())) > 0;
}

bool receive_bytes(int socket, void* target, std::size_t size, std::vector<Fd>& fds,
                   milliseconds timeout) {
    auto* at = static_cast<char*>(target);
    while (size > 0) {
        if (!readable(socket, timeout)) { return false; }
        alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control;
        iovec part{at, size};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        const ssize_t got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
        if (got <= 0) { return false; }
        for (auto* item = CMSG_FIRSTHDR(&header); item != nullptr;
             item = CMSG_NXTHDR(&header, item)) {
            for (std::size_t i = 0; i < (item->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
                fds.emplace_back(fd);
            }
        }
        at += got;
        size -= static_cast<std::size_t>(got);
    }
    return true;
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
    std::string name = "/tmp/relay-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) { std::abort(); }
    path_ = name;
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

Message request(Request number) {
    Message message;
    message.header = {static_cast<std::uint32_t>(number), kFlagVersion, 0};
    return message;
}

Fd memory_file(std::uint64_t size) {
    Fd file{::memfd_create("guest", MFD_CLOEXEC)};
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) { std::abort(); }
    return file;
}

Fd event_file() { return Fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}; }

Message memory_table(const std::vector<MemoryRegion>& regions, std::uint64_t file_size) {
    Message message = request(Request::kSetMemTable);
    const MemoryTableHead head{static_cast<std::uint32_t>(regions.size()), 0};
    message.payload.resize(sizeof head + regions.size() * sizeof(MemoryRegion));
    std::memcpy(message.payload.data(), &head, sizeof head);
    std::memcpy(message.payload.data() + sizeof head, regions.data(),
                regions.size() * sizeof(MemoryRegion));
    message.header.size = static_cast<std::uint32_t>(message.payload.size());
    for (std::size_t i = 0; i < regions.size(); ++i) {
        message.fds.push_back(memory_file(file_size));
    }
    return message;
}

Message vring_fd(Request number, std::uint64_t index) {
    Message message = request(number, index);
    message.fds.push_back(event_file());
    return message;
}

std::string bytes_of(const Message& message) {
    std::string bytes(reinterpret_cast<const char*>(&message.header), sizeof message.header);
    bytes.append(reinterpret_cast<const char*>(message.payload.data()), message.payload.size());
    return bytes;
}

bool send_bytes(int socket, std::string_view bytes, const std::vector<Fd>& fds) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
    bool first = true;
    while (!bytes.empty()) {
        iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (std::exchange(first, false) && !fds.empty()) {
            header.msg_control = control.data();
            header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
            cmsghdr* rights = CMSG_FIRSTHDR(&header);
            *rights = {CMSG_LEN(fds.size() * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
            for (std::size_t i = 0; i < fds.size(); ++i) {
                const int fd = fds[i].get();
                std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof fd);
            }
        }
        const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
        if (sent < 0) { return false; }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool send_message(int socket, const Message& message) {
    return send_bytes(socket, bytes_of(message), message.fds);
}

std::optional<Message> receive_message(int socket, milliseconds timeout) {
    Message message;
    if (!receive_bytes(socket, &message.header, sizeof message.header, message.fds, timeout)) {
        return std::nullopt;
    }
    message.payload.resize(message.header.size);
    if (!receive_bytes(socket, message.payload.data(), message.payload.size(), message.fds,
                       timeout)) {
        return std::nullopt;
    }
    return message;
}

bool wait_closed(int socket, milliseconds timeout) {
    char scratch[4096];
    while (readable(socket, timeout)) {
        if (::recv(socket, scratch, sizeof scratch, 0) <= 0) { return true; }
    }
    return false;
}

Fd listen_at(const std::string& path, bool listening) {
    Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const sockaddr_un address = address_of(path);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return Fd{};
    }
    if (listening && ::listen(socket.get(), 8) != 0) { return Fd{}; }
    return socket;
}

Fd accept_from(const Fd& listener, milliseconds timeout) {
    if (!readable(listener.get(), timeout)) { return Fd{}; }
    return Fd{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
}

Fd connect_to(const std::string& path) {
    Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const sockaddr_un address = address_of(path);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return Fd{};
    }
    return socket;
}

bool eventually(const std::function<bool()>& condition, milliseconds timeout) {
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) { return false; }
        std::this_thread::sleep_for(milliseconds{2});
    }
    return true;
}

std::size_t open_fd_count() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

}  // namespace sluice::relay::test
