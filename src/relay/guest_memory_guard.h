// SPDX-License-Identifier: Apache-2.0
// Guest memory that disappears: a guest's memory file may be truncated after attach, and the next
// read of it is a SIGBUS in whichever thread reads. The handler looks the address up in a fixed
// lock-free table of guest regions, maps zero pages over the rest of the region, marks the port
// poisoned and returns; the reader goes on with zeros.
//
// Threads: add and remove by one or more control threads; the handler in any thread, at any
// instruction (it takes no lock and allocates nothing); poisoned by anyone. A region must be
// removed before its pages are unmapped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sluice::relay::guest_memory {

/// Adds the mapping [address, address + bytes) of a port's guest.
/// @return false if the table is full (kGuardRegionMax), the range is empty, or port >=
/// kGuardPortMax
[[nodiscard]] bool add(void* address, std::size_t bytes, std::uint16_t port);

/// Forgets the mapping that starts at `address`. @return false if there is none
bool remove(void* address);

/// Forgets all mappings of a port and clears its mark: call when its device is gone.
void remove_port(std::uint16_t port);

/// Was memory of this port replaced by zeros? Its worker should stop using the port. Relaxed load,
/// any thread.
[[nodiscard]] bool poisoned(std::uint16_t port) noexcept;

/// The mark itself, for a worker that keeps a pointer; valid for the life of the process.
[[nodiscard]] const std::atomic<bool>& poison_flag(std::uint16_t port) noexcept;

/// Takes over SIGBUS for the process. An address outside the table gets the default action (core
/// dump).
/// @return false if sigaction failed
[[nodiscard]] bool install_handler();

}  // namespace sluice::relay::guest_memory
