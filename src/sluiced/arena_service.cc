// SPDX-License-Identifier: Apache-2.0
// ArenaService: see arena_service.h.
#include "src/sluiced/arena_service.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "src/sluiced/books.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kSave{1};
constexpr std::chrono::seconds kSaveOfMany{10};
constexpr std::uint64_t kManyFlows = 100000;  // Folding so many would be felt each second.

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
    const std::size_t ready =
        std::size_t{dataplane_.connections().ready_count()} * sizeof(Connection);
    if (dataplane_.arena().is_kept() && ready > dataplane_.arena().connections().file_bytes()) {
        spdlog::warn("arena: {}: is full; further connections will not survive a restart",
                     dataplane_.arena().folder());
    }
    if (!dataplane_.arena().is_kept()) { return Ok{}; }
    const std::string figures = dataplane_.arena().folder() + "/" + datapath::kArenaCountersFile;
    if (Status loaded = counters_.load(figures, dataplane_); !loaded) { return loaded; }
    const std::string guests = dataplane_.arena().folder() + "/" + datapath::kArenaGuestsFile;
    if (Status loaded = guests_.load(guests); !loaded) { return loaded; }
    if (!dataplane_.arena().is_found()) { return Ok{}; }
    spdlog::info("arena: {}: {} connections, {} learned rows in {} ms; {} expired, {} damaged",
                 dataplane_.arena().folder(), report_.connections.adopted, report_.learned.adopted,
                 report_.took_ns / 1'000'000U,
                 report_.connections.expired + report_.learned.expired,
                 report_.connections.damaged + report_.learned.damaged);
    return Ok{};
}

Status ArenaService::adopt_again() {
    Result<datapath::AdoptReport> adopted = dataplane_.adopt(now_ns());
    if (!adopted) { return adopted.error(); }
    report_ = adopted.value();
    return Ok{};
}

void ArenaService::start() {
    if (!dataplane_.arena().is_kept()) { return; }
    tend();
    auto task = save_often();
    asio::co_spawn(io_, std::move(task), asio::detached);
}

void ArenaService::stop() {
    is_stopped_ = true;
    timer_.cancel();
    save_timer_.cancel();
}

asio::awaitable<void> ArenaService::save_often() {
    while (!is_stopped_) {
        std::uint64_t flows = 0;
        for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
            flows += dataplane_.worker(w).context().flows.size();
        }
        save_timer_.expires_after(flows > kManyFlows ? kSaveOfMany : kSave);
        boost::system::error_code error;
        co_await save_timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
        if (error || is_stopped_) { co_return; }
        const auto folded = co_await run_on_workers<datapath::FoldCommand>(dataplane_);
        save(sum_books(folded));
    }
}

void ArenaService::save(const Books& books) {
    if (const Status saved = counters_.save(dataplane_, books); !saved) {
        spdlog::warn("{}; figures will begin from zero at the next start", saved.error().message);
    }
}

void ArenaService::finish() {
    if (!dataplane_.arena().is_kept()) { return; }
    std::vector<std::unique_ptr<datapath::FoldCommand>> folded;
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        folded.push_back(std::make_unique<datapath::FoldCommand>());
        while (!folded.back()->step(dataplane_.worker(w).context())) {}
    }
    save(sum_books(folded));
}

void ArenaService::tend() {
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
