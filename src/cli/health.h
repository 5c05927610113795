// SPDX-License-Identifier: Apache-2.0
// `health` and `show alarms`: whether packets move, for people and for whoever watches the host.
// One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "command.h"

namespace sluice::cli {

/// Code of the failure that `health` ends with when nobody answered in time: exit status 2.
inline constexpr const char* kUnreachable = "unreachable";

[[nodiscard]] Command health_command();
[[nodiscard]] Command alarms_command();

/// "worker_stalled: worker 0: has not polled for 1200 ms (since 2026-01-01T00:00:00Z)"
[[nodiscard]] std::string alarm_text(const nlohmann::json& alarm);

}  // namespace sluice::cli
