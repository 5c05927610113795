// SPDX-License-Identifier: Apache-2.0
// The modes: each opens both ends, runs, and says what it found, or why that is no result. They run
// on the calling thread and return early when `stop` is set. Main thread.
#pragma once

#include <atomic>

#include "options.h"
#include "report.h"
#include "sluice/base/result.h"

namespace sluice::load {

[[nodiscard]] Result<Report> run_flood(const Options& options, const std::atomic<bool>& stop);
[[nodiscard]] Result<Report> run_crr(const Options& options, const std::atomic<bool>& stop);
[[nodiscard]] Result<Report> run_latency(const Options& options, const std::atomic<bool>& stop);
[[nodiscard]] Result<Report> run_tso(const Options& options, const std::atomic<bool>& stop);

/// Pins the thread where wanted, then the mode's own.
[[nodiscard]] Result<Report> run(const Options& options, const std::atomic<bool>& stop);

}  // namespace sluice::load
