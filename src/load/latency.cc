// SPDX-License-Identifier: Apache-2.0
// latency: one packet in flight. The clock runs from the available index of the one ring to the
// used index of the other, both on this core. A sample during which this thread did not run is
// discarded.
#include <algorithm>
#include <cmath>

#include "announce.h"
#include "modes.h"
#include "probe.h"

namespace sluice::load {
namespace {

constexpr double kLostSeconds = 0.1;
constexpr unsigned kKickLook = 256;
constexpr unsigned kLookEvery = 4096;

class Latency {
public:
    Latency(const Options& options, Ends& ends, const std::atomic<bool>& stop)
        : options_(options),
          ends_(ends),
          turns_(ends, stop),
          stop_(stop),
          stall_(cycles_of(kStallSeconds)),
          lost_after_(cycles_of(kLostSeconds)) {}

    [[nodiscard]] Result<Report> run() {
        if (auto ready = prepare(); !ready) { return ready.error(); }
        for (const double seconds : {options_.warmup, options_.seconds}) {
            samples_.clear();
            lost_ = discarded_ = sent_ = 0;
            const std::uint64_t start = tsc();
            if (auto done = loop(start + cycles_of(seconds)); !done) { return done.error(); }
            seconds_ = seconds_of(tsc() - start);
        }
        if (samples_.empty()) { return Error{Errc::kIo, "no packet arrived", ""}; }
        return report();
    }

private:
    [[nodiscard]] Status prepare() {
        const Tuples tuples(options_.a.ips, options_.b.ips, options_.port, 1);
        FrameShape shape{ends_.link(), false, false, options_.size, options_.checksum, {}};
        const auto forward = write_frames(*ends_.a, kAnnounceBytes, tuples, 1, shape);
        shape.link = ends_.back_link();
        shape.reversed = true;
        const auto back = write_frames(*ends_.b, kAnnounceBytes, tuples, 1, shape);
        if (auto open = probe(ends_, turns_, options_, forward[0]); !open) { return open; }
        for (unsigned i = 0; i < ends_.a->tx().size(); ++i) {
            ends_.a->tx().set(i, forward[i].address, forward[i].length);
            ends_.b->tx().set(i, back[i].address, back[i].length);
        }
        samples_.reserve(std::min(kSampleMax, static_cast<std::size_t>(options_.seconds * 4e6)));
        return Ok{};
    }

    [[nodiscard]] Status loop(std::uint64_t end) {
        for (std::uint64_t now = tsc(); now < end;) {
            if (sent_ % kLookEvery == 0) {
                if (auto fine = look_around(); !fine) { return fine; }
            }
            const std::uint64_t from = now = tsc();
            bool is_tainted = false;
            ++sent_;
            bool came = send(*ends_.a, *ends_.b, now, is_tainted);
            if (came && options_.round_trip) { came = send(*ends_.b, *ends_.a, now, is_tainted); }
            if (!came) {
                if (auto fine = miss(); !fine) { return fine; }
            } else if (is_tainted) {
                ++discarded_;
            } else if (samples_.size() < samples_.capacity()) {
                samples_.push_back(static_cast<std::uint32_t>(now - from));
            }
        }
        return Ok{};
    }

    // One packet over one way; `now` is when it was seen.
    [[nodiscard]] bool send(End& from, End& to, std::uint64_t& now, bool& is_tainted) {
        const std::uint64_t start = now;
        from.tx().publish(1);
        for (unsigned look = 1; to.rx().pending() == 0; ++look) {
            const std::uint64_t then = now;
            now = tsc();
            if (now - then > stall_) { is_tainted = true; }
            if (now - start > lost_after_) { return false; }
            if (look % kKickLook == 0) { (void)from.tx().outstanding(); }
        }
        now = tsc();
        to.rx().recycle(to.rx().pending());
        return true;
    }

    [[nodiscard]] Status look_around() const {
        if (stop_.load(std::memory_order_relaxed)) { return turns_.error(Ended::kStopped); }
        if (!ends_.connected()) { return turns_.error(Ended::kGone); }
        return Ok{};
    }

    [[nodiscard]] Status miss() {
        ++lost_;
        if (auto fine = look_around(); !fine) { return fine; }
        if (samples_.empty() &&
            static_cast<double>(lost_) * kLostSeconds > options_.start_timeout) {
            return Error{Errc::kIo, "no packet arrived; " + std::to_string(lost_) + " were sent",
                         ""};
        }
        return Ok{};
    }

    [[nodiscard]] double percentile_ns(double share) {
        const auto at = static_cast<std::size_t>(share * static_cast<double>(samples_.size() - 1));
        std::nth_element(samples_.begin(), samples_.begin() + static_cast<std::ptrdiff_t>(at),
                         samples_.end());
        return seconds_of(samples_[at]) * 1e9;
    }

    [[nodiscard]] Report report() {
        const std::uint64_t received = sent_ - lost_;
        Report report("latency");
        report.set("seconds", seconds_, "s", 3);
        report.set("tsc_hz", tsc_hz(), "Hz", 0);
        report.set("way", options_.round_trip ? "a to b and back" : "a to b");
        report.set("size", std::uint64_t{options_.size}, "bytes");
        report.set("min_ns", percentile_ns(0), "ns", 0);
        report.set("p50_ns", percentile_ns(0.5), "ns", 0);
        report.set("p90_ns", percentile_ns(0.9), "ns", 0);
        report.set("p99_ns", percentile_ns(0.99), "ns", 0);
        report.set("p999_ns", percentile_ns(0.999), "ns", 0);
        report.set("max_ns", percentile_ns(1), "ns", 0);
        report.set("samples", std::uint64_t{samples_.size()});
        report.set("discarded", discarded_, "samples");
        report.set("sent", sent_, "packets");
        report.set("received", received, "packets");
        report.set("lost", lost_, "packets");
        report.set("sent_total", ends_.a->tx().used() + ends_.b->tx().used(), "packets");
        report.set("received_total", ends_.a->rx().received() + ends_.b->rx().received(),
                   "packets");
        // All of the load's time is waiting for the one packet.
        report.set("load_cycles_per_packet", 0.0, "cycles", 1);
        report.set("load_idle_share", 1.0, "", 3);
        report.set("huge_pages", ends_.in_huge_pages());
        return report;
    }

    const Options& options_;
    Ends& ends_;
    Turns turns_;
    const std::atomic<bool>& stop_;
    const std::uint64_t stall_, lost_after_;
    std::vector<std::uint32_t> samples_;
    std::uint64_t sent_ = 0, lost_ = 0, discarded_ = 0;
    double seconds_ = 0;
};

}  // namespace

Result<Report> run_latency(const Options& options, const std::atomic<bool>& stop) {
    const auto bytes = frame_memory(1, options.queue_size, options.size);
    if (!bytes) { return bytes.error(); }
    const std::size_t room = kAnnounceBytes + bytes.value();
    auto ends = open_ends(options, kRxBufferBytes, room, room);
    if (!ends) { return ends.error(); }
    return Latency(options, ends.value(), stop).run();
}

}  // namespace sluice::load
