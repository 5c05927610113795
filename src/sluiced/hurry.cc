// SPDX-License-Identifier: Apache-2.0
// Hurry: see hurry.h. A scheduling class is a thread's on Linux: each one is told.
#include "src/sluiced/hurry.h"

#include <sched.h>

#include <charconv>
#include <filesystem>
#include <string>

namespace sluice::daemon {
namespace {

// A high niceness would do as well, if it did not move the whole group's share of all cores to this
// one (sched(7), "The autogroup feature"): workers elsewhere would starve.
void set_class(int policy, int priority) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
        const std::string name = entry.path().filename().string();
        pid_t thread = 0;
        std::from_chars(name.data(), name.data() + name.size(), thread);
        const sched_param parameters{priority};
        static_cast<void>(sched_setscheduler(thread, policy, &parameters));
    }
}

}  // namespace

Hurry::Hurry() noexcept : is_normal_(sched_getscheduler(0) == SCHED_OTHER) {
    if (is_normal_) { set_class(SCHED_RR | SCHED_RESET_ON_FORK, sched_get_priority_min(SCHED_RR)); }
}

Hurry::~Hurry() {
    if (is_normal_) { set_class(SCHED_OTHER, 0); }
}

}  // namespace sluice::daemon
