// SPDX-License-Identifier: Apache-2.0
// The host's books from those of its workers. Control thread.
#pragma once

#include <memory>
#include <vector>

#include "datapath/command.h"
#include "sluice/telemetry/counters.h"

namespace sluice::daemon {

/// Each worker copied its own books between two bursts; what one handed over and another has not
/// taken yet is held, and so are fragments that wait for the rest of their datagram, and
/// frames that wait for the MAC of their next hop.
[[nodiscard]] inline Books sum_books(
    const std::vector<std::unique_ptr<datapath::FoldCommand>>& of_workers) {
    Books books;
    std::uint64_t handed_over = 0;
    std::uint64_t taken_over = 0;
    for (const auto& worker : of_workers) {
        books.received += worker->received;
        books.created += worker->created;
        books.sent += worker->sent;
        books.consumed += worker->consumed;
        books.dropped += worker->dropped;
        handed_over += worker->handed_over;
        taken_over += worker->taken_over;
        books.held += worker->waiting;
    }
    books.held += handed_over - taken_over;
    return books;
}

}  // namespace sluice::daemon
