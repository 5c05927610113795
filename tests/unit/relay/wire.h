// SPDX-License-Identifier: Apache-2.0
// Blocking vhost-user over plain sockets, for the fakes: messages, descriptors, temporary folders.
// Test threads.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/protocol.h"

namespace sluice::relay::test {

using std::chrono::milliseconds;

/// A folder of its own, removed with all that is in it.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// A message of QEMU: version 1, no reply asked for.
Message request(Request number);
template <typename T>
Message request(Request number, const T& payload) {
    Message message = request(number);
    message.set(payload);
    return message;
}
/// SET_MEM_TABLE over `regions`, with one new memfd of `file_size` bytes for each.
Message memory_table(const std::vector<MemoryRegion>& regions, std::uint64_t file_size);
/// SET_VRING_KICK or CALL with an eventfd.
Message vring_fd(Request number, std::uint64_t index);

Fd memory_file(std::uint64_t size);
Fd event_file();

/// The bytes of a message as they travel.
std::string bytes_of(const Message& message);
/// Sends bytes, and descriptors with the first of them. False if the peer is gone.
bool send_bytes(int socket, std::string_view bytes, const std::vector<Fd>& fds = {});
bool send_message(int socket, const Message& message);
/// Reads one message; nullopt at the end of the stream or after the timeout.
std::optional<Message> receive_message(int socket, milliseconds timeout = milliseconds{5000});
/// Waits for the end of the stream, dropping what comes before it.
bool wait_closed(int socket, milliseconds timeout = milliseconds{5000});

Fd listen_at(const std::string& path, bool listening = true);
/// The next connection; invalid after the timeout.
Fd accept_from(const Fd& listener, milliseconds timeout = milliseconds{5000});
/// A blocking connection; invalid if refused.
Fd connect_to(const std::string& path);

/// Polls until the condition holds. False after the timeout.
bool eventually(const std::function<bool()>& condition, milliseconds timeout = milliseconds{5000});
/// Open descriptors of this process.
std::size_t open_fd_count();

}  // namespace sluice::relay::test
