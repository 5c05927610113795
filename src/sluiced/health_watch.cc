// SPDX-License-Identifier: Apache-2.0
// HealthWatch: see health_watch.h. Here are the looks at workers; what is looked at once a second
// is in health_looks.cc.
#include "src/sluiced/health_watch.h"

#include <rte_cycles.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "sluice/base/limits.h"
#include "src/sluiced/books.h"
#include "src/sluiced/worker_clock.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using nlohmann::json;

constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::milliseconds kFirstLook{5};  // Until a probe has passed: somebody may wait.
constexpr std::uint64_t kLookNsMax = 200'000'000;   // More passed: control itself stood still.
constexpr std::uint64_t kSlowLookNs = 1'000'000'000;
constexpr std::uint64_t kProbePeriodNs = 1'000'000'000;
constexpr std::chrono::seconds kAudit{5};
constexpr std::uint64_t kMillisecondNs = 1'000'000;

std::int64_t unix_now_s() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string name_of(unsigned worker) { return "worker " + std::to_string(worker); }

// Two indices that no port has, the highest ones: ports get theirs from below.
std::pair<PortIndex, PortIndex> free_indices(const datapath::Snapshot& snapshot) {
    std::vector<PortIndex> found;
    for (std::uint16_t i = kPortMax; i > 0 && found.size() < 2; --i) {
        const PortIndex index{static_cast<std::uint16_t>(i - 1U)};
        if (snapshot.port(index) == nullptr) { found.push_back(index); }
    }
    return found.size() == 2 ? std::pair{found[0], found[1]} : std::pair{kNoPort, kNoPort};
}

}  // namespace

HealthWatch::HealthWatch(asio::io_context& io, datapath::Dataplane& dataplane,
                         HealthSources sources)
    : io_(io),
      timer_(io),
      audit_timer_(io),
      dataplane_(dataplane),
      sources_(std::move(sources)),
      alarms_([this](const Alarm& alarm, bool is_raised) { tell(alarm, is_raised); }),
      workers_(dataplane.worker_count()) {}

HealthWatch::~HealthWatch() { control_.stop(); }

void HealthWatch::start() {
    began_ns_ = looked_ns_ = worker_now_ns();
    control_.start();
    auto looks = run();
    asio::co_spawn(io_, std::move(looks), asio::detached);
    auto audits = audit();
    asio::co_spawn(io_, std::move(audits), asio::detached);
}

void HealthWatch::stop() {
    is_stopped_ = true;
    timer_.cancel();
    audit_timer_.cancel();
    control_.stop();
}

void HealthWatch::tell(const Alarm& alarm, bool is_raised) const {
    const AlarmRule& rule = rule_of(alarm.kind);
    if (!is_raised) {
        spdlog::info("alarm {} is over: {}: {}", rule.name, alarm.object, alarm.detail);
    } else if (alarm.kind != AlarmKind::kControlStalled) {  // Its own thread said so in time.
        spdlog::warn("alarm {}: {}: {}", rule.name, alarm.object, alarm.detail);
    }
}

asio::awaitable<void> HealthWatch::run() {
    while (!is_stopped_) {
        control_.beat();
        look();
        boost::system::error_code ignored;
        const bool is_new = looked_ns_ - began_ns_ < kProbeLateNs &&
                            std::any_of(workers_.begin(), workers_.end(),
                                        [](const auto& one) { return one.passed_ns == 0; });
        timer_.expires_after(is_new ? kFirstLook : kLook);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

// Every worker's books balance by themselves whenever they are folded, so that a difference is
// none of the moment. A worker that does not answer is another alarm's matter.
asio::awaitable<void> HealthWatch::audit() {
    while (!is_stopped_) {
        const bool all_poll = std::none_of(workers_.begin(), workers_.end(),
                                           [this](const auto& one) { return is_stalled(one); });
        if (all_poll) {
            const auto folded = co_await run_on_workers<datapath::FoldCommand>(dataplane_);
            unaccounted_ = sum_books(folded).unaccounted();
        }
        boost::system::error_code ignored;
        audit_timer_.expires_after(kAudit);
        co_await audit_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

std::uint64_t HealthWatch::mark_of(unsigned worker) const {
    const WorkerCounters& counters = std::as_const(dataplane_).worker(worker).context().counters;
    return counters.busy_cycles.get() + counters.idle_cycles.get();
}

bool HealthWatch::is_stalled(const WorkerState& worker) const noexcept {
    return worker.silent_ns >= kWorkerStalledNs;
}

// Since when nothing came out counts, not how often something did not.
bool HealthWatch::is_stuck(const WorkerState& worker) const noexcept {
    return looked_ns_ - std::max(worker.passed_ns, began_ns_) >= kProbeLateNs;
}

void HealthWatch::end_probe(WorkerState& worker, std::uint64_t now_ns) {
    worker.probe_ns = 0;
    const datapath::ProbeCommand& probe = *worker.probe;
    if (probe.result != datapath::ProbeResult::kPassed) {
        worker.trouble = datapath::to_text(probe.result);
        return;
    }
    worker.trouble.clear();
    worker.passed_ns = now_ns;
    worker.took_us = probe.cycles * 1'000'000U / rte_get_tsc_hz();
}

// Ports may take all the indices there are: then the worker only has to answer.
void HealthWatch::start_probe(unsigned index, std::uint64_t now_ns) {
    WorkerState& worker = workers_[index];
    const auto [from, to] = free_indices(dataplane_.snapshot());
    worker.probe = std::make_unique<datapath::ProbeCommand>(index, from, to);
    if (dataplane_.submit(index, *worker.probe)) {
        worker.probe_ns = now_ns;
    } else {
        worker.trouble = "could not be handed over: the queue of commands is full";
    }
}

void HealthWatch::look_at_worker(unsigned index, std::uint64_t now_ns, std::uint64_t passed_ns) {
    WorkerState& worker = workers_[index];
    const std::uint64_t mark = mark_of(index);
    worker.silent_ns = mark == worker.mark ? worker.silent_ns + passed_ns : 0;
    worker.mark = mark;
    if (worker.probe_ns != 0 && worker.probe->is_finished()) { end_probe(worker, now_ns); }
    const std::uint64_t last_ns = std::max(worker.passed_ns, worker.probe_ns);
    if (worker.probe_ns == 0 && (last_ns == 0 || now_ns - last_ns >= kProbePeriodNs)) {
        start_probe(index, now_ns);
    }
}

void HealthWatch::look() {
    const std::uint64_t now_ns = worker_now_ns();
    const std::uint64_t passed_ns = std::min(now_ns - looked_ns_, kLookNsMax);
    // What control slept through is nobody's fault but its own.
    const std::uint64_t slept_ns = now_ns - looked_ns_ - passed_ns;
    for (WorkerState& worker : workers_) {
        if (worker.passed_ns != 0) { worker.passed_ns += slept_ns; }
    }
    began_ns_ += slept_ns;
    looked_ns_ = now_ns;
    for (unsigned i = 0; i < workers_.size(); ++i) { look_at_worker(i, now_ns, passed_ns); }
    if (now_ns - slowly_ns_ >= kSlowLookNs) {
        slowly_ns_ = now_ns;
        look_slowly();
    }
    std::vector<Finding> findings = slow_;
    for (unsigned i = 0; i < workers_.size(); ++i) {
        if (is_stalled(workers_[i])) {
            findings.push_back({AlarmKind::kWorkerStalled, name_of(i),
                                "has not polled for " +
                                    std::to_string(workers_[i].silent_ns / kMillisecondNs) +
                                    " ms"});
        }
        if (is_stuck(workers_[i])) {
            findings.push_back({AlarmKind::kPacketsStuck, name_of(i), probe_text(workers_[i])});
        }
    }
    if (const std::uint64_t stall_ns = control_.take_stall_ns(); stall_ns != 0) {
        findings.push_back({AlarmKind::kControlStalled, "host",
                            "the control thread stood still for " +
                                std::to_string(stall_ns / kMillisecondNs) + " ms"});
    }
    alarms_.look(now_ns, unix_now_s(), findings);
}

std::string HealthWatch::probe_text(const WorkerState& worker) const {
    if (!is_stuck(worker)) {
        return worker.passed_ns == 0
                   ? "no probe has passed yet"
                   : "the last probe passed in " + std::to_string(worker.took_us) + " us";
    }
    const std::uint64_t late_ns = looked_ns_ - std::max(worker.passed_ns, began_ns_);
    return "no probe has passed for " + std::to_string(late_ns / kMillisecondNs) + " ms" +
           (worker.trouble.empty() ? "" : ": the last one " + worker.trouble);
}

bool HealthWatch::packets_move() const noexcept {
    return std::none_of(workers_.begin(), workers_.end(), [this](const WorkerState& worker) {
        return is_stalled(worker) || is_stuck(worker);
    });
}

json HealthWatch::check_workers() const {
    json checks = json::array();
    for (unsigned i = 0; i < workers_.size(); ++i) {
        const WorkerState& worker = workers_[i];
        const bool is_well = !is_stalled(worker) && !is_stuck(worker) && worker.passed_ns != 0;
        const std::string detail =
            is_stalled(worker) ? name_of(i) + " has not polled for " +
                                     std::to_string(worker.silent_ns / kMillisecondNs) + " ms"
                               : name_of(i) + ": " + probe_text(worker);
        checks.push_back(
            {{"name", "worker_" + std::to_string(i)}, {"ok", is_well}, {"detail", detail}});
    }
    return checks;
}

json HealthWatch::check(AlarmKind kind, const char* name, const std::string& well) const {
    std::string wrong;
    for (const Alarm& alarm : alarms_.raised()) {
        if (alarm.kind != kind) { continue; }
        wrong += (wrong.empty() ? "" : "; ") + alarm.object + ": " + alarm.detail;
    }
    return {{"name", name}, {"ok", wrong.empty()}, {"detail", wrong.empty() ? well : wrong}};
}

json HealthWatch::answer() const {
    json checks = check_workers();
    checks.push_back(check(AlarmKind::kControlStalled, "control", "the control thread turns"));
    checks.push_back(check(AlarmKind::kBooksUnbalanced, "books", "every frame is accounted for"));
    checks.push_back(check(AlarmKind::kRingFull, "rings", "no ring is full"));
    checks.push_back(check(AlarmKind::kMempoolLow, "buffers", "there are packet buffers"));
    checks.push_back(
        check(AlarmKind::kConnectionsFull, "connections", "there is room for connections"));
    const bool is_healthy = std::all_of(checks.begin(), checks.end(),
                                        [](const json& one) { return one["ok"].get<bool>(); });
    return {{"healthy", is_healthy}, {"packets_move", packets_move()}, {"checks", checks}};
}

}  // namespace sluice::daemon
