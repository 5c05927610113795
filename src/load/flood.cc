// SPDX-License-Identifier: Apache-2.0
// flood: fixed flows, a to b or both ways. Prepare the frames, wait until the first arrives, send
// every flow once, then measure between a quiet start and a quiet end, so that every frame sent is
// either received or lost.
#include <algorithm>
#include <cmath>

#include "announce.h"
#include "modes.h"
#include "opening.h"
#include "probe.h"
#include "stream.h"
#include "turns.h"

namespace sluice::load {
namespace {

constexpr unsigned kParallel = 256;
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

// Where an end's frames begin: behind those of the announcement and of the handshakes.
std::size_t frames_at(const Options& options) {
    return kAnnounceBytes + (options.handshake ? Talk::frame_bytes(options.queue_size) : 0);
}

class Flood {
public:
    Flood(const Options& options, Ends& ends, const std::atomic<bool>& stop)
        : options_(options),
          ends_(ends),
          turns_(ends, stop),
          tuples_(options.a.ips, options.b.ips, options.port, 65536U - options.port) {}

    [[nodiscard]] Result<Report> run() {
        prepare();
        using Stage = Status (Flood::*)();
        for (const Stage stage : {&Flood::open_way, &Flood::warm_up, &Flood::drain, &Flood::measure,
                                  &Flood::drain, &Flood::close_way}) {
            if (auto done = (this->*stage)(); !done) { return done.error(); }
        }
        return judge();
    }

private:
    void prepare() {
        FrameShape shape{
            ends_.link(),      false,
            options_.tcp,      options_.size,
            options_.checksum, {sequence_ + 1, peer_sequence(sequence_) + 1, kAck | kPsh}};
        forward_ = write_frames(*ends_.a, frames_at(options_), tuples_, options_.flows, shape);
        if (!options_.both) { return; }
        shape.link = ends_.back_link();
        shape.reversed = true;
        shape.fields = {peer_sequence(sequence_) + 1, sequence_ + 1, kAck | kPsh};
        back_ = write_frames(*ends_.b, frames_at(options_), tuples_, options_.flows, shape);
    }

    // The way is open, by a first frame or by every connection's handshake.
    [[nodiscard]] Status open_way() {
        if (!options_.handshake) {
            if (auto open = probe(ends_, turns_, options_, forward_[0]); !open) { return open; }
            make_streams();
            return Ok{};
        }
        TalkOptions talk{.tuples = tuples_};
        talk.parallel = options_.queue_size / 2 < kParallel ? options_.queue_size / 2 : kParallel;
        talk.handshake_only = true;
        talk.count = options_.flows;
        talk.sequence = sequence_;
        if (auto told = announce_both(ends_, start_timeout(options_)); !told) { return told; }
        const auto opened = open_all(ends_, turns_, talk, options_.start_timeout, kAnnounceBytes);
        if (!opened) { return opened.error(); }
        connections_ = opened.value();
        make_streams();
        return Ok{};
    }

    void make_streams() {
        const bool reads_lengths =
            options_.size == 0 || ends_.a->has_tunnel() || ends_.b->has_tunnel();
        streams_.reserve(2);
        streams_.emplace_back(*ends_.a, *ends_.b, std::move(forward_), reads_lengths);
        streams_.emplace_back(*ends_.b, *ends_.a, std::move(back_), reads_lengths);
        if (ends_.legs.empty()) { return; }
        for (Stream& stream : streams_) { stream.close_loop(tsc()); }
    }

    // Frames that a paced stream may send now.
    [[nodiscard]] std::uint64_t due(std::size_t i, std::uint64_t cycles) const {
        if (options_.pps == 0) { return kNoLimit; }
        const double due = seconds_of(cycles) * static_cast<double>(options_.pps);
        const auto all = static_cast<std::uint64_t>(due);
        const std::uint64_t given = streams_[i].handed_over() - given_before_[i];
        const std::uint64_t left = all > given ? all - given : 0;
        const std::uint64_t batch = std::clamp<std::uint64_t>(options_.pps / 20000, 1, kBurst);
        return left >= batch ? left : 0;
    }

    [[nodiscard]] Ended loop(std::uint64_t until, std::uint64_t least) {
        const std::uint64_t start = tsc();
        for (std::size_t i = 0; i < 2; ++i) { given_before_[i] = streams_[i].handed_over(); }
        return turns_.run(
            [&](std::uint64_t now) {
                const bool forth = streams_[0].turn(now, due(0, now - start));
                const bool back = streams_[1].turn(now, due(1, now - start));
                return forth || back;
            },
            [&](std::uint64_t now) {
                return now >= until && streams_[0].handed_over() - given_before_[0] >= least;
            },
            [&](std::uint64_t cycles) {
                for (Stream& stream : streams_) { stream.forgive(cycles); }
            });
    }

    [[nodiscard]] Status warm_up() {
        const std::uint64_t start = tsc();
        const std::uint64_t end = start + cycles_of(kWarmUpMax);
        const std::uint64_t flows = options_.warmup > 0 ? options_.flows : 0;
        std::uint64_t until = start + cycles_of(options_.warmup);
        Ended ended = loop(until, 0);
        // Every flow once, so that what is measured is not their first packets.
        while (ended == Ended::kInTime && streams_[0].handed_over() < flows) {
            until = tsc() + cycles_of(0.1);
            ended = loop(until, 0);
            if (tsc() > end) {
                return Error{Errc::kIo,
                             "the switch took " + std::to_string(streams_[0].handed_over()) +
                                 " of " + std::to_string(flows) + " flows' first frames in " +
                                 std::to_string(std::lround(kWarmUpMax)) + " s",
                             ""};
            }
        }
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        return Ok{};
    }

    // Until all has arrived that will.
    [[nodiscard]] Status drain() {
        const std::uint64_t end = tsc() + cycles_of(kDrainSeconds);
        bool quiet = false;
        const Ended ended = turns_.run(
            [&](std::uint64_t now) {
                const bool forth = streams_[0].turn(now, 0);
                const bool back = streams_[1].turn(now, 0);
                quiet = streams_[0].is_quiet(now) && streams_[1].is_quiet(now);
                return forth || back;
            },
            [&](std::uint64_t now) { return quiet || now >= end; }, [](std::uint64_t) {});
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        if (is_measured_) {
            for (std::size_t i = 0; i < 2; ++i) { all_[i] = streams_[i].counts(); }
            return Ok{};
        }
        for (Stream& stream : streams_) { stream.mark(tsc()); }
        return Ok{};
    }

    [[nodiscard]] Status measure() {
        const std::uint64_t start = tsc();
        for (Stream& stream : streams_) { stream.mark(start); }
        const Ended ended = loop(start + cycles_of(options_.seconds), 0);
        seconds_ = seconds_of(tsc() - start);
        for (std::size_t i = 0; i < 2; ++i) { in_time_[i] = streams_[i].counts(); }
        costs_ = turns_.costs();
        is_measured_ = true;
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        return Ok{};
    }

    [[nodiscard]] Status close_way() {
        if (!options_.handshake) { return Ok{}; }
        const auto payload = [this](std::uint64_t n) {
            return wire_bytes(options_.size, n) - kFcsBytes - static_cast<unsigned>(kTcpPayloadAt);
        };
        return close_all(
            ends_, tuples_, options_.flows,
            [&](std::uint64_t n) { return sequence_ + 1 + payload(n); },
            peer_sequence(sequence_) + 1, options_.start_timeout, kAnnounceBytes);
    }

    [[nodiscard]] double starved_share() const {
        std::uint64_t giving = 0;
        std::uint64_t starved = 0;
        for (const Stream& stream : streams_) {
            giving += stream.giving_turns();
            starved += stream.starved_turns();
        }
        return giving == 0 ? 0 : static_cast<double>(starved) / static_cast<double>(giving);
    }

    [[nodiscard]] Result<Report> judge() const {
        if (in_time_[0].received == 0) {
            return Error{Errc::kIo,
                         "no frame arrived at b; a sent " + std::to_string(in_time_[0].sent), ""};
        }
        if (!ends_.a->rx().is_in_order() || !ends_.b->rx().is_in_order()) {
            return Error{Errc::kState, "the switch uses receive buffers out of order", ""};
        }
        if (options_.pps == 0 && starved_share() > kStarvedShareMax &&
            costs_.idle_share() < kIdleShareMin) {
            return Error{Errc::kState,
                         "the load itself was the bottleneck: in " +
                             std::to_string(std::lround(100 * starved_share())) +
                             " % of its turns the switch had nothing left to do",
                         ""};
        }
        return report();
    }

    [[nodiscard]] Report report() const {
        const std::uint64_t sent = all_[0].sent + all_[1].sent;
        const std::uint64_t received = all_[0].received + all_[1].received;
        const auto in_time = static_cast<double>(in_time_[0].received + in_time_[1].received);
        const auto bytes = static_cast<double>(in_time_[0].bytes + in_time_[1].bytes);
        Report report("flood");
        report.set("seconds", seconds_, "s", 3);
        report.set("tsc_hz", tsc_hz(), "Hz", 0);
        report.set("flows", options_.flows);
        if (options_.size == 0) {
            report.set("size", "imix");
        } else {
            report.set("size", std::uint64_t{options_.size}, "bytes");
        }
        report.set("pps", in_time / seconds_, "packets/s", 0);
        report.set("gbps", bytes * 8e-9 / seconds_, "Gb/s", 3);
        report.set("sent", sent, "packets");
        report.set("received", received, "packets");
        report.set("lost", sent > received ? sent - received : 0, "packets");
        if (options_.both) {
            report.set("sent_by_b", all_[1].sent, "packets");
            report.set("received_by_a", all_[1].received, "packets");
        }
        report.set("sent_total", ends_.a->tx().used() + ends_.b->tx().used(), "packets");
        report.set("received_total", ends_.a->rx().received() + ends_.b->rx().received(),
                   "packets");
        if (options_.gaps) {
            const std::uint64_t gap = std::max(in_time_[0].gap_max, in_time_[1].gap_max);
            report.set("gap_max_us", seconds_of(options_.both ? gap : in_time_[0].gap_max) * 1e6,
                       "us", 1);
        }
        report.set("connections", connections_);
        report.set("load_cycles_per_packet",
                   static_cast<double>(costs_.busy) / std::max(1.0, in_time), "cycles", 1);
        report_shares(report, costs_, seconds_);
        report.set("switch_starved_share", starved_share(), "", 3);
        report.set("huge_pages", ends_.in_huge_pages());
        return report;
    }

    const Options& options_;
    Ends& ends_;
    Turns turns_;
    Tuples tuples_;
    std::vector<Prepared> forward_, back_;
    std::vector<Stream> streams_;
    std::uint64_t given_before_[2] = {};
    StreamCounts in_time_[2], all_[2];
    TurnCosts costs_;
    const std::uint32_t sequence_ = run_sequence();
    std::uint64_t connections_ = 0;
    double seconds_ = 0;
    bool is_measured_ = false;
};

}  // namespace

Result<Report> run_flood(const Options& options, const std::atomic<bool>& stop) {
    const Tuples tuples(options.a.ips, options.b.ips, options.port, 65536U - options.port);
    if (options.flows > tuples.count()) {
        return Error{Errc::kInvalid,
                     "--flows " + std::to_string(options.flows) +
                         ": these addresses and ports make " + std::to_string(tuples.count()),
                     "--flows"};
    }
    const auto bytes = frame_memory(options.flows, options.queue_size, options.size);
    if (!bytes) { return bytes.error(); }
    auto ends = open_ends(options, kRxBufferBytes, frames_at(options) + bytes.value(),
                          frames_at(options) + (options.both ? bytes.value() : 0));
    if (!ends) { return ends.error(); }
    return Flood(options, ends.value(), stop).run();
}

}  // namespace sluice::load
