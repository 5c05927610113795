// SPDX-License-Identifier: Apache-2.0
// A blocking peer of the admin socket for tests: sends bytes as they are, receives lines with a
// deadline.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::admin::test {

class RawClient {
public:
    explicit RawClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size());
        connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
        const timeval deadline{20, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
        ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
    }
    RawClient(RawClient&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)),
          connected_(other.connected_),
          received_(std::move(other.received_)) {}
    RawClient& operator=(RawClient&&) = delete;
    ~RawClient() {
        if (fd_ >= 0) { ::close(fd_); }
    }

    [[nodiscard]] bool connected() const { return connected_; }

    /// False once the other end has closed.
    bool send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) { return false; }
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    /// The next line without its newline; empty at the end of the stream.
    std::string line() {
        while (true) {
            if (const auto end = received_.find('\n'); end != std::string::npos) {
                std::string text = received_.substr(0, end);
                received_.erase(0, end + 1);
                return text;
            }
            char chunk[65536];
            const auto size = ::recv(fd_, chunk, sizeof(chunk), 0);
            if (size <= 0) { return ""; }
            received_.append(chunk, static_cast<std::size_t>(size));
        }
    }

    nlohmann::json ask(const std::string& method,
                       const nlohmann::json& params = nlohmann::json::object()) {
        const nlohmann::json request{
            {"jsonrpc", "2.0"}, {"method", method}, {"params", params}, {"id", 1}};
        send(request.dump() + "\n");
        return nlohmann::json::parse(line(), nullptr, false);
    }

    /// True if the stream ends (before the receive deadline).
    bool closed_by_peer() {
        char byte = 0;
        const auto size = ::recv(fd_, &byte, 1, 0);
        return size == 0 || (size < 0 && errno == ECONNRESET);
    }

private:
    int fd_;
    bool connected_ = false;
    std::string received_;
};

}  // namespace sluice::admin::test
