// SPDX-License-Identifier: Apache-2.0
// Attacks: what a hostile guest or a broken QEMU can do to a device through shared memory and the
// socket. Each leaves the front-end connected or cut off by the device; FrontEnd::reset or
// reconnect brings it back (where Attack::destroys_memory only a new front-end does). The device
// must survive, count, and serve its other ports. One table a kind, in attack_KIND.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "front_end.h"

namespace sluice::frontend {

struct AttackScene;

/// One way to misbehave.
struct Attack {
    std::string_view name;         ///< "chain_loop".
    std::string_view what;         ///< What it does, one sentence.
    void (*run)(AttackScene&);     ///< Does it, kick included.
    bool destroys_memory = false;  ///< The front-end's memory is cut: only closing it helps.
};

/// The attack of that name; nullptr: there is none.
[[nodiscard]] const Attack* find_attack(std::string_view name);
/// Every attack, kind by kind.
[[nodiscard]] std::vector<const Attack*> all_attacks();

struct AttackResult {
    unsigned used = 0;      ///< Transmit elements that the device gave back within the wait.
    bool connected = true;  ///< The device still holds the connection.
    bool sent = true;       ///< False: the device had closed the socket before all was sent.
};

/// Does it on queue pair 0 and waits up to `wait` for a reaction. `frame` is the well-formed frame
/// to be misused; `seed` feeds the random ones. The front-end must be running with nothing in
/// flight.
[[nodiscard]] AttackResult attack(FrontEnd& front_end, const Attack& attack,
                                  std::span<const std::uint8_t> frame, std::uint64_t seed,
                                  Milliseconds wait);

}  // namespace sluice::frontend
