// SPDX-License-Identifier: Apache-2.0
// Refused: frames that found the queue of their egress full. The drop itself is charged to the port
// where the frame entered (`tx_queue_full`); this says which receiver did not take it. One table a
// process, a row a worker, one writer a row; only growth means anything. Any thread reads.
#pragma once

#include <cstdint>

#include "sluice/base/ids.h"

namespace sluice::datapath {

/// worker: `count` frames for `egress` were not taken.
void note_refused(unsigned worker, PortIndex egress, std::uint64_t count) noexcept;
/// Of all workers. Any thread.
[[nodiscard]] std::uint64_t refused_by(PortIndex egress) noexcept;

}  // namespace sluice::datapath
