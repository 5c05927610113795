// SPDX-License-Identifier: Apache-2.0
// The vhost-user wire: messages of a 12-byte header, a payload and descriptors passed beside it,
// over a Unix stream socket (QEMU's docs/interop/vhost-user.rst, protocol version 1). Channel
// serves both ends: the front-end asks, the self-test's back-end answers. One thread at a time per
// channel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "fd.h"

namespace sluice::frontend {

enum class Request : std::uint32_t {
    kGetFeatures = 1,
    kSetFeatures = 2,
    kSetOwner = 3,
    kResetOwner = 4,
    kSetMemTable = 5,
    kSetLogBase = 6,
    kSetVringNum = 8,
    kSetVringAddr = 9,
    kSetVringBase = 10,
    kGetVringBase = 11,
    kSetVringKick = 12,
    kSetVringCall = 13,
    kSetVringErr = 14,
    kGetProtocolFeatures = 15,
    kSetProtocolFeatures = 16,
    kGetQueueNum = 17,
    kSetVringEnable = 18,
    kSendRarp = 19,
    kNetSetMtu = 20,
};

inline constexpr std::uint32_t kMessageVersion = 1;
inline constexpr std::uint32_t kMessageReply = 4;
inline constexpr std::uint32_t kMessageNeedReply = 8;
inline constexpr std::uint32_t kPayloadBytesMax = 4096;
inline constexpr std::size_t kMessageFdsMax = 8;

inline constexpr std::uint64_t kProtocolMq = 1U << 0U;
inline constexpr std::uint64_t kProtocolLogShmfd = 1U << 1U;
inline constexpr std::uint64_t kProtocolRarp = 1U << 2U;
inline constexpr std::uint64_t kProtocolReplyAck = 1U << 3U;
inline constexpr std::uint64_t kProtocolNetMtu = 1U << 4U;

struct MessageHeader {
    std::uint32_t request = 0;
    std::uint32_t flags = kMessageVersion;
    std::uint32_t payload_bytes = 0;
};
static_assert(sizeof(MessageHeader) == 12);

struct VringState {
    std::uint32_t index = 0;
    std::uint32_t value = 0;
};

/// Ring addresses are the front-end's own virtual addresses, found again through
/// MemoryRegion::user_address.
struct VringAddress {
    std::uint32_t index = 0;
    std::uint32_t flags = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t used = 0;
    std::uint64_t avail = 0;
    std::uint64_t log = 0;
};

struct MemoryRegion {
    std::uint64_t guest_address = 0;
    std::uint64_t size_bytes = 0;
    std::uint64_t user_address = 0;
    std::uint64_t mmap_offset = 0;
};

struct MemoryTable {
    std::uint32_t region_count = 0;
    std::uint32_t padding = 0;
    MemoryRegion regions[kMessageFdsMax]{};
    [[nodiscard]] std::size_t wire_bytes() const { return 8 + sizeof(MemoryRegion) * region_count; }
};

/// One message as read: payload bytes and the descriptors that came with it.
struct Message {
    MessageHeader header;
    std::vector<std::uint8_t> payload;
    std::vector<Fd> fds;

    [[nodiscard]] Request request() const { return static_cast<Request>(header.request); }
    /// The payload as T, zero-filled if it is shorter.
    template <typename T>
    [[nodiscard]] T as() const {
        T value{};
        const std::size_t size = std::min(payload.size(), sizeof(T));
        if (size != 0) { std::memcpy(&value, payload.data(), size); }
        return value;
    }
};

/// One end of a connected vhost-user socket.
class Channel {
public:
    Channel() = default;
    explicit Channel(Fd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }
    [[nodiscard]] bool open() const { return socket_.valid(); }
    void close() { socket_.reset(); }
    /// True if the peer has closed its end or the socket is broken.
    [[nodiscard]] bool hung_up() const;

    /// Sends header and payload as given, right or wrong; `fds` stay the caller's.
    [[nodiscard]] Status send(const MessageHeader& header, std::span<const std::uint8_t> payload,
                              std::span<const int> fds = {});
    /// Reads one whole message. kIo on hang-up, on time out, or if a payload is larger than
    /// kPayloadBytesMax.
    [[nodiscard]] Result<Message> receive(Deadline deadline);

private:
    [[nodiscard]] Status read_exactly(std::span<std::uint8_t> into, std::vector<Fd>* fds,
                                      Deadline deadline);
    Fd socket_;
};

/// Bytes of a plain struct, for Channel::send.
template <typename T>
[[nodiscard]] std::span<const std::uint8_t> bytes_of(const T& value) {
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(T)};
}

/// Binds and listens on a Unix stream socket; an old socket file there is removed. kIo with the
/// path on failure.
[[nodiscard]] Result<Fd> listen_unix(const std::string& path);
/// Accepts one connection before `deadline`.
[[nodiscard]] Result<Fd> accept_unix(int listener, const std::string& path, Deadline deadline);
/// Connects, trying again until the socket is there or `deadline` has passed.
[[nodiscard]] Result<Fd> connect_unix(const std::string& path, Deadline deadline);

}  // namespace sluice::frontend
