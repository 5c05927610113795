// SPDX-License-Identifier: Apache-2.0
// What QEMU may say: every message is judged here before the library sees it. Headers are judged
// before their payload is awaited. Stateless; fstat, readlink, fcntl and mmap of the message's
// descriptors are the only system calls. The control thread.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/protocol.h"
#include "relay/refusal.h"

namespace sluice::relay {

/// Judges QEMU's header alone: version, flags, number, size. nullopt = go on.
[[nodiscard]] std::optional<Refusal> check_request_header(const Header& header);

/// Judges the library's header alone.
[[nodiscard]] std::optional<Refusal> check_reply_header(const Header& header);

/// Judges a whole message of QEMU whose header has passed: descriptors, memory table, rings,
/// features.
/// @param queue_pair_max  ring indices are below twice this
[[nodiscard]] std::optional<Refusal> check_request(const Message& message,
                                                   std::uint16_t queue_pair_max);

/// Judges a reply of the library and narrows what it offers: feature masks, number of queue pairs.
[[nodiscard]] std::optional<Refusal> narrow_reply(Message& message, std::uint16_t queue_pair_max);

}  // namespace sluice::relay
