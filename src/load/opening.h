// SPDX-License-Identifier: Apache-2.0
// Opening: the first part of every run that talks TCP, until the switch has let one connection
// through, or all of those that a flood needs. The loop's thread.
#pragma once

#include <functional>

#include "talk.h"
#include "turns.h"

namespace sluice::load {

/// Runs `talk` until its first connection is open. kIo after `timeout_seconds`, kDenied if the
/// switch resets them.
[[nodiscard]] Status open_first(Talk& talk, Turns& turns, double timeout_seconds);

/// Opens `count` connections by handshakes alone and leaves them open: tuple 0 to `count` - 1. They
/// use the first Talk::frame_bytes() of the ends' memory behind `offset`; all is used up
/// afterwards.
[[nodiscard]] Result<std::uint64_t> open_all(Ends& ends, Turns& turns, const TalkOptions& options,
                                             double timeout_seconds, std::size_t offset);

/// Resets connections 0 to `count` - 1 from a, so that a switch forgets them: connection n with
/// sequence number `sequence_of(n)`. Uses the memory that open_all() used.
[[nodiscard]] Status close_all(Ends& ends, const Tuples& tuples, std::uint64_t count,
                               const std::function<std::uint32_t(std::uint64_t)>& sequence_of,
                               std::uint32_t ack, double timeout_seconds, std::size_t offset);

/// Sequence number for a's side of this run: connections of a later run begin higher, so that a
/// switch that remembers the earlier ones takes them for new.
[[nodiscard]] std::uint32_t run_sequence();

}  // namespace sluice::load
