// SPDX-License-Identifier: Apache-2.0
// Refused: see refused.h.
#include "datapath/refused.h"

#include <array>

#include "sluice/base/limits.h"
#include "sluice/telemetry/counters.h"

namespace sluice::datapath {
namespace {

using Row = std::array<Counter, kPortMax>;
std::array<Row, kWorkerMax> g_refused;  // worker: rw its row, control: ro

}  // namespace

void note_refused(unsigned worker, PortIndex egress, std::uint64_t count) noexcept {
    g_refused[worker][egress.value].add(count);
}

std::uint64_t refused_by(PortIndex egress) noexcept {
    std::uint64_t total = 0;
    for (const Row& row : g_refused) { total += row[egress.value].get(); }
    return total;
}

}  // namespace sluice::datapath
