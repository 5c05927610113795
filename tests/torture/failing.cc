// SPDX-License-Identifier: Apache-2.0
// A daemon that ends, or stands still, where it would say that it is healthy: it has taken
// everything over, and its workers run. SLUICE_HEALTHY_SIGNAL says which. The linker puts this in
// front of handover::send (CMakeLists.txt).
#include <csignal>

#include "handover/message.h"

#define SLUICE_SEND                                                                               \
    "_ZN6sluice8handover4sendEiRKNS0_7MessageENSt6chrono10time_pointINS4_3_V212steady_clockENS4_" \
    "8durationIlSt5ratioILl1ELl1000000000EEEEEE"

namespace sluice::handover {

using Deadline = std::chrono::steady_clock::time_point;

Status send_really(int socket, const Message& message,
                   Deadline deadline) asm("__real_" SLUICE_SEND);
Status send_or_fail(int socket, const Message& message,
                    Deadline deadline) asm("__wrap_" SLUICE_SEND);

Status send_or_fail(int socket, const Message& message, Deadline deadline) {
    if (message.kind == Kind::kHealthy) { raise(SLUICE_HEALTHY_SIGNAL); }
    return send_really(socket, message, deadline);
}

}  // namespace sluice::handover
