// SPDX-License-Identifier: Apache-2.0
// Handover: frames on their way from the worker that received them to the one that polls their
// egress port, by a ring a pair of workers. What a ring may hold is bounded in frames and in
// buffers, and while it is half full a turn gets a part of what is left only: the port that fills
// it meets its end, with kWorkerQueueFull; one that sends little does not. Thread: see each field.
#pragma once

#include "sluice/telemetry/counters.h"

struct rte_ring;

namespace sluice::datapath {

/// One way between two workers.
struct HandoverQueue {
    rte_ring* ring = nullptr;           ///< Single producer, single consumer; frames.
    alignas(64) Counter buffers_put;    ///< giver: rw, taker: ro
    alignas(64) Counter buffers_taken;  ///< taker: rw, giver: ro
};

}  // namespace sluice::datapath
