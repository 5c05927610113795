// SPDX-License-Identifier: Apache-2.0
// ArenaService: see arena_service.h.
#include "src/sluiced/arena_service.h"

#include <spdlog/spdlog.h>

#include <chrono>

namespace sluice::daemon {
namespace {

// The workers' clock (datapath/thread.cc): the same in all processes of one boot.
std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

}  // namespace

Status ArenaService::adopt() {
    Result<datapath::AdoptReport> adopted = dataplane_.adopt(now_ns());
    if (!adopted) { return adopted.error(); }
    report_ = adopted.value();
    if (!dataplane_.arena().is_found()) { return Ok{}; }
    spdlog::info("arena: {}: {} connections, {} learned rows in {} ms; {} expired, {} damaged",
                 dataplane_.arena().folder(), report_.connections.adopted, report_.learned.adopted,
                 report_.took_ns / 1'000'000U,
                 report_.connections.expired + report_.learned.expired,
                 report_.connections.damaged + report_.learned.damaged);
    return Ok{};
}

void ArenaService::tend() {
    if (!dataplane_.arena().is_kept()) { return; }
    if (const Status room = dataplane_.tend_arena(); !room) {
        spdlog::warn("{}; further connections will not survive a restart", room.error().message);
    }
    timer_.expires_after(std::chrono::milliseconds(datapath::kArenaTendMs));
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) { tend(); }
    });
}

nlohmann::json ArenaService::status() const {
    const datapath::Arena& arena = dataplane_.arena();
    return {{"dir", arena.is_kept() ? arena.folder() : "none"},
            {"connections", report_.connections.adopted},
            {"lenient", report_.connections.lenient},
            {"learned", report_.learned.adopted},
            {"bindings", report_.learned.bindings},
            {"expired", report_.connections.expired + report_.learned.expired},
            {"dropped", report_.connections.damaged + report_.learned.damaged},
            {"took_ms", static_cast<double>(report_.took_ns / 1000U) / 1000.0},
            {"why", arena.why()}};
}

}  // namespace sluice::daemon
