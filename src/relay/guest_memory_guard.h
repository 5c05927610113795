// SPDX-License-Identifier: Apache-2.0
// Guest memory that disappears: a guest's memory file may be truncated after attach, and the next
// read of it is a SIGBUS in whichever thread reads. The handler looks the address up in a fixed
// lock-free table of guest regions, maps zero pages over the rest of the region, marks the port
// poisoned and returns; the reader goes on with zeros.
//
// Between SET_MEM_TABLE and the device's callbacks the library maps and reads regions that nobody
// has added yet, and a running device's table may change without any callback. So the relay
// registers the files first (expect): a fault outside of the table is looked up in /proc/self/maps,
// and if what is mapped there is such a file, that mapping is treated as a region.
//
// Threads: add, remove, expect and forget by one or more control threads; the handler in any
// thread, at any instruction (it takes no lock and allocates nothing); poisoned by anyone. A region
// must be removed before its pages are unmapped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::relay::guest_memory {

/// Adds the mapping [address, address + bytes) of a port's guest.
/// @return false if the table is full (kGuardRegionMax), the range is empty, or port >=
/// kGuardPortMax
[[nodiscard]] bool add(void* address, std::size_t bytes, std::uint16_t port);

/// Forgets the mapping that starts at `address`. @return false if there is none
bool remove(void* address);

/// Forgets all mappings of a port and clears its mark: call when its device is gone.
void remove_port(std::uint16_t port);

/// The library is about to map these files for a port: registers them and takes the port's mark
/// away. Up to kGuardFilesPerPort a port, the oldest go first. A descriptor that can't be examined
/// is left out.
void expect(std::span<const int> files, std::uint16_t port);

/// Forgets the files of a port: call before its number is used for another.
void forget_files(std::uint16_t port);

/// Was memory of this port replaced by zeros? Its worker should stop using the port. Relaxed load,
/// any thread.
[[nodiscard]] bool poisoned(std::uint16_t port) noexcept;

/// As poisoned, and takes the mark away: for the one who cuts the guest off for it.
[[nodiscard]] bool take_poison(std::uint16_t port) noexcept;

/// The mark itself, for a worker that keeps a pointer; valid for the life of the process.
[[nodiscard]] const std::atomic<bool>& poison_flag(std::uint16_t port) noexcept;

/// Takes over SIGBUS for the process. An address outside the table gets the default action (core
/// dump).
/// @return false if sigaction failed
[[nodiscard]] bool install_handler();

}  // namespace sluice::relay::guest_memory
