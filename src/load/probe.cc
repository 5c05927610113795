// SPDX-License-Identifier: Apache-2.0
// Probe: is the way from a to b open?
#include "probe.h"

#include <cmath>

#include "announce.h"

namespace sluice::load {
namespace {

constexpr double kProbeSeconds = 0.05;  // Twenty a second: below any limit on a guest's ARP.

void send_probe(Ends& ends, Prepared frame) {
    SendRing& tx = ends.a->tx();
    if (tx.outstanding() + kBurst > tx.size()) { return; }
    announce(*ends.b, *ends.a);
    announce(*ends.a, *ends.b);
    tx.set(tx.slot(), frame.address, frame.length);
    tx.publish(1);
}

}  // namespace

Status probe(Ends& ends, Turns& turns, const Options& options, Prepared frame) {
    const std::uint64_t end = tsc() + cycles_of(options.start_timeout);
    std::uint64_t next = 0;
    bool arrived = false;
    const Ended ended = turns.run(
        [&](std::uint64_t now) {
            arrived = take_any(*ends.b) || arrived;
            (void)take_any(*ends.a);
            (void)ends.b->tx().outstanding();  // A switch that sleeps is kicked.
            (void)ends.a->tx().outstanding();
            if (now < next) { return false; }
            next = now + cycles_of(kProbeSeconds);
            send_probe(ends, frame);
            return true;
        },
        [&](std::uint64_t now) { return arrived || now >= end; }, [](std::uint64_t) {});
    if (ended != Ended::kInTime) { return turns.error(ended); }
    if (!arrived) {
        return Error{Errc::kIo,
                     "no frame that a sent arrived at b within " +
                         std::to_string(std::lround(options.start_timeout * 1000)) +
                         " ms: is a policy in the way, or are MAC and IP not the vNIC's?",
                     options.b.path};
    }
    if (auto settled = settle(*ends.a, start_timeout(options)); !settled) { return settled; }
    return settle(*ends.b, start_timeout(options));
}

}  // namespace sluice::load
