// SPDX-License-Identifier: Apache-2.0
// Hurry: see hurry.h. Niceness is a thread's on Linux: each one is told.
#include "src/sluiced/hurry.h"

#include <sys/resource.h>

#include <charconv>
#include <filesystem>
#include <string>

namespace sluice::daemon {
namespace {

constexpr int kFirst = -20;

void set_nice(int nice) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
        const std::string name = entry.path().filename().string();
        id_t thread = 0;
        std::from_chars(name.data(), name.data() + name.size(), thread);
        static_cast<void>(setpriority(PRIO_PROCESS, thread, nice));
    }
}

}  // namespace

Hurry::Hurry() noexcept : former_nice_(getpriority(PRIO_PROCESS, 0)) { set_nice(kFirst); }

Hurry::~Hurry() { set_nice(former_nice_); }

}  // namespace sluice::daemon
