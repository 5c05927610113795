// SPDX-License-Identifier: Apache-2.0
// crr: connections a second, in a closed loop: each slot opens, asks, is answered, closes, and goes
// on with a 5-tuple that was not used before. Where in the walk over all 5-tuples a run begins
// comes from the wall clock, one microsecond a tuple, so that a run does not meet the remains of
// the last.
#include <algorithm>
#include <cmath>

#include "announce.h"
#include "modes.h"
#include "opening.h"

namespace sluice::load {
namespace {

constexpr double kFailedShareMax = 0.01;
constexpr auto kIgnoreStall = [](std::uint64_t) {};

std::uint32_t source_ports(unsigned parallel) { return kSourcePortCount / parallel * parallel; }

TalkOptions talk_options(const Options& options) {
    TalkOptions talk{.tuples = Tuples(options.a.ips, options.b.ips, options.port, options.ports,
                                      source_ports(options.parallel))};
    talk.parallel = options.parallel;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    const std::uint64_t first = static_cast<std::uint64_t>(us) % talk.tuples.count();
    talk.first = first / options.parallel * options.parallel;
    talk.sequence = run_sequence();
    return talk;
}

class Crr {
public:
    Crr(const Options& options, Ends& ends, const std::atomic<bool>& stop)
        : options_(options),
          ends_(ends),
          turns_(ends, stop),
          talk_options_(talk_options(options)),
          talk_(ends, talk_options_, kAnnounceBytes) {}

    [[nodiscard]] Result<Report> run() {
        sent_before_ = used();
        received_before_ = taken();
        if (auto first = open_first(talk_, turns_, options_.start_timeout); !first) {
            return first.error();
        }
        if (auto done = loop(options_.warmup); !done) { return done.error(); }
        before_ = talk_.counts();
        const std::uint64_t taken_before = taken();
        const std::uint64_t start = tsc();
        if (auto done = loop(options_.seconds); !done) { return done.error(); }
        seconds_ = seconds_of(tsc() - start);
        costs_ = turns_.costs();
        taken_in_time_ = taken() - taken_before;
        in_time_ = talk_.counts();
        talk_.stop_opening();
        if (auto done = finish(); !done) { return done.error(); }
        sent_ = used() - sent_before_;
        received_ = taken() - received_before_;
        return judge();
    }

private:
    [[nodiscard]] std::uint64_t used() const { return ends_.a->tx().used() + ends_.b->tx().used(); }
    [[nodiscard]] std::uint64_t taken() const {
        return ends_.a->rx().received() + ends_.b->rx().received();
    }

    [[nodiscard]] Status loop(double seconds) {
        const std::uint64_t end = tsc() + cycles_of(seconds);
        const Ended ended = turns_.run(
            [&](std::uint64_t now) { return talk_.turn(now); },
            [&](std::uint64_t now) { return now >= end || talk_.is_exhausted(); }, kIgnoreStall);
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        if (!talk_.is_exhausted()) { return Ok{}; }
        return Error{Errc::kLimit,
                     "all " + std::to_string(talk_options_.tuples.count()) +
                         " 5-tuples were used in less than " +
                         std::to_string(std::lround(kTupleRestSeconds)) +
                         " s: give the ends more addresses (ip=) or destination ports (--port)",
                     ""};
    }

    [[nodiscard]] bool has_all_arrived() {
        return ends_.a->tx().outstanding() + ends_.b->tx().outstanding() == 0 &&
               taken() - received_before_ >= used() - sent_before_;
    }

    // What is under way comes to its end, and the last frames arrive.
    [[nodiscard]] Status finish() {
        const std::uint64_t end = tsc() + cycles_of(kDrainSeconds);
        std::uint64_t quiet_from = tsc();
        const Ended ended = turns_.run(
            [&](std::uint64_t now) {
                const bool moved = talk_.turn(now);
                if (moved || !talk_.is_idle() || !has_all_arrived()) { quiet_from = now; }
                return moved;
            },
            [&](std::uint64_t now) {
                return now >= end || now - quiet_from > cycles_of(kQuietSeconds);
            },
            kIgnoreStall);
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        return Ok{};
    }

    [[nodiscard]] Result<Report> judge() const {
        const TalkCounts& all = talk_.counts();
        const std::uint64_t completed = in_time_.completed - before_.completed;
        const std::uint64_t failed = all.failed - before_.failed;
        if (completed == 0) { return Error{Errc::kIo, "no connection came to its end", ""}; }
        if (static_cast<double>(failed) > kFailedShareMax * static_cast<double>(completed)) {
            return Error{Errc::kIo,
                         std::to_string(failed) + " connections failed, " +
                             std::to_string(completed) + " came to their end",
                         ""};
        }
        if (costs_.idle_share() < kIdleShareMin) {
            return Error{Errc::kState,
                         "the load itself was the bottleneck: it was idle for " +
                             std::to_string(std::lround(100 * costs_.idle_share())) +
                             " % of its time",
                         ""};
        }
        if (!ends_.a->rx().is_in_order() || !ends_.b->rx().is_in_order()) {
            return Error{Errc::kState, "the switch uses receive buffers out of order", ""};
        }
        return report(completed, failed);
    }

    [[nodiscard]] Report report(std::uint64_t completed, std::uint64_t failed) const {
        const auto connections = static_cast<double>(completed);
        const auto packets = static_cast<double>(taken_in_time_);
        const double all = connections / seconds_;
        Report report("crr");
        report.set("seconds", seconds_, "s", 3);
        report.set("tsc_hz", tsc_hz(), "Hz", 0);
        report.set("parallel", std::uint64_t{options_.parallel});
        report.set("connections_per_second", all, "connections/s", 0);
        report.set("opened", in_time_.opened - before_.opened, "connections");
        report.set("closed", completed, "connections");
        report.set("failed", failed, "connections");
        report.set("retried", talk_.counts().retried - before_.retried, "segments");
        report.set("stray", talk_.counts().stray - before_.stray, "segments");
        report.set("sent", sent_, "packets");
        report.set("received", received_, "packets");
        report.set("lost", sent_ > received_ ? sent_ - received_ : 0, "packets");
        report.set("sent_total", used(), "packets");
        report.set("received_total", taken(), "packets");
        report.set("tuples", talk_options_.tuples.count());
        report.set("load_cycles_per_packet",
                   static_cast<double>(costs_.busy) / std::max(1.0, packets), "cycles", 1);
        report.set("load_cycles_per_connection", static_cast<double>(costs_.busy) / connections,
                   "cycles", 0);
        report_shares(report, costs_, seconds_);
        report.set("huge_pages", ends_.in_huge_pages());
        return report;
    }

    const Options& options_;
    Ends& ends_;
    Turns turns_;
    TalkOptions talk_options_;
    Talk talk_;
    TalkCounts before_, in_time_;
    TurnCosts costs_;
    std::uint64_t sent_before_ = 0;
    std::uint64_t received_before_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t taken_in_time_ = 0;
    double seconds_ = 0;
};

}  // namespace

Result<Report> run_crr(const Options& options, const std::atomic<bool>& stop) {
    const std::size_t bytes = kAnnounceBytes + Talk::frame_bytes(options.queue_size);
    auto ends = open_ends(options, kRxBufferBytes, bytes, bytes);
    if (!ends) { return ends.error(); }
    if (auto told = announce_both(ends.value(), start_timeout(options)); !told) {
        return told.error();
    }
    return Crr(options, ends.value(), stop).run();
}

}  // namespace sluice::load
