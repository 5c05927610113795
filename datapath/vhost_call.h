// SPDX-License-Identifier: Apache-2.0
// Calls of guests, made safe. librte_vhost tells a guest of used buffers by eventfd_write() on a
// descriptor that the guest's QEMU made: if that one is blocking and counts no further, the write
// waits for ever, and the worker with it. So the product has an eventfd_write() of its own, which
// the library finds first: it notes the begin and the end of each write. Whoever calls
// interrupt_blocked_calls() every few milliseconds sees a write that does not end, and interrupts
// it by a signal. The worker then finds the call marked, breaks the guest's ring, and tells
// control, which cuts the guest off.
//
// Threads: eventfd_write by workers and the library's thread; take_blocked_call by a worker, of
// its own calls; interrupt_blocked_calls by one control thread.
#pragma once

#include "sluice/base/result.h"

namespace sluice::datapath {

/// Takes over SIGURG, whose handler does nothing. Once, before workers start.
[[nodiscard]] Status install_call_interrupts();
/// Signals each thread whose write to a guest has not ended since the last time.
/// @return how many it signalled
unsigned interrupt_blocked_calls() noexcept;
/// Was a write of this thread interrupted since it was last asked?
[[nodiscard]] bool take_blocked_call() noexcept;
/// Tells control of a port whose guest blocks. Forgotten if control has not asked for long. Worker.
void tell_blocking(const void* port) noexcept;
/// A port that was told of, nullptr: none is left. Only to be compared: it may be gone. Control.
[[nodiscard]] const void* take_blocking() noexcept;

}  // namespace sluice::datapath
