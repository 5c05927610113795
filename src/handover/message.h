// SPDX-License-Identifier: Apache-2.0
// Messages of a handover, over a SOCK_SEQPACKET pair: a fixed head, a JSON object, descriptors by
// SCM_RIGHTS. One message a packet; both ends check sizes and counts. The head never changes, the
// object may gain keys: whoever does not know one leaves it. Any thread, one at a time on an end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "relay/fd.h"
#include "sluice/base/result.h"

namespace sluice::handover {

enum class Kind : std::uint32_t {
    kHello = 1,      ///< old: which schemas it speaks, its generation.
    kPrepared = 2,   ///< new: all is loaded, nothing was touched.
    kGuest = 3,      ///< old: a vhost port with what was said to it, its sockets.
    kInterface = 4,  ///< old: a kernel port's TAP.
    kListener = 5,   ///< old: the admin's or the metrics' listening socket.
    kGo = 6,         ///< old: that was all, workers have stopped.
    kHealthy = 7,    ///< new: packets move.
    kFailed = 8,     ///< new: it can't, and why.
    kCommit = 9,     ///< old: it will not come back.
};
inline constexpr std::uint32_t kKindLast = static_cast<std::uint32_t>(Kind::kCommit);

/// Word of a kind, for sentences.
[[nodiscard]] const char* to_string(Kind kind) noexcept;

struct Message {
    Kind kind = Kind::kHello;
    nlohmann::json body = nlohmann::json::object();
    std::vector<relay::Fd> fds;
};

/// The sixteen bytes in front of the object, in the host's byte order.
struct Head {
    std::uint32_t magic = 0;
    std::uint32_t kind = 0;
    std::uint32_t size = 0;      ///< Bytes of the object that follows.
    std::uint32_t fd_count = 0;  ///< Descriptors beside it.
};
static_assert(sizeof(Head) == 16);
inline constexpr std::uint32_t kMagic = 0x53766f48;  // "HovS"

/// The packet of a message, without its descriptors. kLimit if it is too large.
[[nodiscard]] Result<std::vector<std::byte>> pack(const Message& message);
/// A message of a packet that came with `fds`. kInvalid, in a sentence, if it is none.
[[nodiscard]] Result<Message> unpack(std::span<const std::byte> packet, std::vector<relay::Fd> fds);

/// Sends one message; waits until `deadline` while the other end does not read. kIo: it is gone.
[[nodiscard]] Status send(int socket, const Message& message,
                          std::chrono::steady_clock::time_point deadline);

/// Takes one message. kNotFound: none came before `deadline` (the past: does not wait); kIo: the
/// other end is gone; kInvalid: it is no message.
[[nodiscard]] Result<Message> receive(int socket, std::chrono::steady_clock::time_point deadline);

}  // namespace sluice::handover
