// SPDX-License-Identifier: Apache-2.0
// Announce: what a guest says before anything else, ARP, so that the switch learns where both MACs
// are. Its frame lies at the start of an end's memory for frames. One thread.
#pragma once

#include "end.h"

namespace sluice::load {

/// Bytes at the start of an end's frame memory that announcements use.
inline constexpr std::size_t kAnnounceBytes = 128;

/// Sends one ARP request of `end` for `peer`'s first address.
void announce(End& end, const End& peer);
/// Takes back all that is there. True if one of them was an IPv4 frame to the end's own MAC.
bool take_any(End& end);
/// Waits until `end`'s transmit ring is used up, at most `timeout`.
void settle(End& end, std::chrono::milliseconds timeout);

}  // namespace sluice::load
