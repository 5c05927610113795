// SPDX-License-Identifier: Apache-2.0
// Announce: what a guest says before anything else, ARP, so that the switch learns where both MACs
// are. Its frame lies at the start of an end's memory for frames. One thread.
#pragma once

#include "end.h"

namespace sluice::load {

/// Sends one ARP request of `end` for `peer`'s first address.
void announce(End& end, const End& peer);
/// Takes back all that is there, and answers ARP for a tunnel. True if one of them was an IPv4
/// frame to the end's own MAC.
bool take_any(End& end);
/// Waits until the switch has used all that `end` handed over. kIo after `timeout`.
[[nodiscard]] Status settle(End& end, std::chrono::milliseconds timeout);
/// Announces both ends and waits until the switch has taken it.
[[nodiscard]] Status announce_both(const Ends& ends, std::chrono::milliseconds timeout);

}  // namespace sluice::load
