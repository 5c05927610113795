// SPDX-License-Identifier: Apache-2.0
// The flood loop: one Sender and one Receiver a queue pair.
#include "flood.h"

#include <algorithm>
#include <cstring>

namespace sluice::frontend {
namespace {

constexpr std::size_t kSampleMax = 1U << 20U;
constexpr std::chrono::milliseconds kLost{200};  ///< No longer is waited for an offer.
constexpr std::chrono::microseconds kStall{20};  ///< A turn of the loop takes a few at most.

/// Keeps one transmit ring filled from frames that lie in the flood area.
class Sender {
public:
    struct Buffer {
        std::uint64_t address;
        std::uint32_t length;
    };

    Sender(TxQueue& queue, const std::vector<Buffer>& buffers)
        : queue_(&queue), ring_(&queue.ring()), buffers_(&buffers) {
        queue.lend();
        fixed_ = buffers.size() == ring_->size();
        for (unsigned i = 0; i < ring_->size(); ++i) {
            ring_->avail().entries[i] = static_cast<std::uint16_t>(i);
            write(i, buffers[i % buffers.size()]);
        }
        cursor_ = 0;
    }

    /// Makes up to `want` frames available, if half a burst or more fits. Returns how many.
    unsigned fill(unsigned want, unsigned least) {
        const unsigned room = ring_->size() - ring_->outstanding();
        const unsigned count = std::min(room, want);
        if (count < std::min(least, want) || count == 0) { return 0; }
        if (!fixed_) { rewrite(count); }
        ring_->put_same(count);
        ring_->publish();
        return count;
    }
    [[nodiscard]] unsigned outstanding() const { return ring_->outstanding(); }
    void finish() {
        if (ring_->outstanding() == 0) { queue_->give_back(); }
    }

private:
    void write(unsigned slot, Buffer buffer) {
        ring_->descriptors()[slot] = {buffer.address, buffer.length, 0, 0};
    }
    void rewrite(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            write((ring_->next_avail() + i) & ring_->mask(), (*buffers_)[cursor_]);
            cursor_ = cursor_ + 1 == buffers_->size() ? 0 : cursor_ + 1;
        }
    }

    TxQueue* queue_;
    SplitRing* ring_;
    const std::vector<Buffer>* buffers_;
    bool fixed_ = false;
    std::size_t cursor_ = 0;
};

/// Gives receive buffers back as fast as the device fills them.
class Receiver {
public:
    explicit Receiver(RxQueue& queue) : queue_(&queue), ring_(&queue.ring()) {}

    void drain(bool read_lengths, std::size_t header_bytes, FloodResult& result) {
        const unsigned count = ring_->pending();
        if (count == 0) { return; }
        if (read_lengths || !queue_->ring_is_full()) {
            drain_reading(count, header_bytes, result);
        } else {
            ring_->skip(count);
            ring_->put_same(count);
            result.received += count;
        }
        ring_->publish();
    }

private:
    // A buffer that is exactly full goes on in the next one; the header is in a frame's first
    // buffer only.
    void drain_reading(unsigned count, std::size_t header_bytes, FloodResult& result) {
        for (unsigned i = 0; i < count; ++i) {
            const UsedElement used = ring_->take();
            ring_->put(static_cast<std::uint16_t>(used.id));
            result.received_bytes += used.length;
            if (used.length == queue_->buffer_bytes()) { continue; }
            ++result.received;
            result.received_bytes -= std::min<std::uint64_t>(header_bytes, result.received_bytes);
        }
    }

    RxQueue* queue_;
    SplitRing* ring_;
};

/// One front-end's share of the loop.
class Runner {
public:
    Runner(const FloodPort& port, const FloodOptions& options) : port_(&port), options_(&options) {}

    [[nodiscard]] Status prepare() {
        FrontEnd& front_end = *port_->front_end;
        header_bytes_ = front_end.pair(0).tx.header_bytes();
        for (std::size_t i = 0; i < front_end.pair_count(); ++i) {
            front_end.pair(i).tx.collect();
            if (front_end.pair(i).tx.in_flight() != 0) {
                return Error{Errc::kState,
                             "flood: frames of an earlier send are still with the device", ""};
            }
            receivers_.emplace_back(front_end.pair(i).rx);
        }
        if (port_->frames.empty()) { return Ok{}; }
        if (auto written = write_frames(); !written) { return written; }
        for (std::size_t i = 0; i < front_end.pair_count(); ++i) {
            senders_.emplace_back(front_end.pair(i).tx, buffers_);
        }
        return Ok{};
    }

    /// Whose arrivals are waited for; null: none. Before the loop.
    void time_by(const std::vector<Runner>& runners) {
        for (const Runner& runner : runners) {
            if (runner.port_->front_end == port_->timed_to) { target_ = &runner; }
        }
        if (target_ != nullptr) { result_.latencies_ns.reserve(kSampleMax); }
    }
    /// Has the last frame arrived? Once a turn of the loop, behind everyone's receive().
    void look(Clock::time_point now) {
        if (target_ == nullptr) { return; }
        is_tainted_ = is_tainted_ || now - looked_ > kStall;
        looked_ = now;
        const bool is_lost = now - offered_ > kLost;
        if (!is_waiting_ || (target_->received() < arrival_ && !is_lost)) { return; }
        is_waiting_ = false;
        is_tainted_ = is_tainted_ || is_lost;
        if (is_tainted_) {
            ++result_.discarded;
        } else if (result_.latencies_ns.size() < kSampleMax) {
            result_.latencies_ns.push_back(static_cast<std::uint32_t>(
                std::chrono::duration_cast<std::chrono::nanoseconds>(now - offered_).count()));
        }
    }
    void send(double elapsed_s) {
        if (target_ != nullptr) { return send_timed(elapsed_s); }
        std::uint64_t left = port_->count_max == 0 ? UINT64_MAX : port_->count_max - available_;
        if (port_->pps != 0) {
            const auto due =
                static_cast<std::uint64_t>(elapsed_s * static_cast<double>(port_->pps));
            left = std::min(left, due > available_ ? due - available_ : 0);
        }
        for (Sender& sender : senders_) {
            const auto want = static_cast<unsigned>(std::min<std::uint64_t>(left, options_->burst));
            const unsigned sent = want == 0 ? 0 : sender.fill(want, options_->burst / 2);
            available_ += sent;
            left -= sent;
        }
    }
    void receive() {
        for (Receiver& receiver : receivers_) {
            receiver.drain(options_->read_lengths, header_bytes_, result_);
        }
    }
    // After receive(): how long nothing had come.
    void note_gap(double elapsed_s) {
        result_.stall_ms = std::max(result_.stall_ms, (elapsed_s - looked_s_) * 1000);
        looked_s_ = elapsed_s;
        if (result_.received == seen_) { return; }
        if (seen_ != 0) { result_.gap_ms = std::max(result_.gap_ms, (elapsed_s - came_s_) * 1000); }
        seen_ = result_.received;
        came_s_ = elapsed_s;
    }
    [[nodiscard]] bool has_more_to_send() const {
        return !senders_.empty() && (port_->count_max == 0 || available_ < port_->count_max);
    }
    [[nodiscard]] bool has_senders() const { return !senders_.empty(); }
    [[nodiscard]] unsigned outstanding() const {
        unsigned sum = 0;
        for (const Sender& sender : senders_) { sum += sender.outstanding(); }
        return sum;
    }
    void mark_time(double seconds) {
        result_.seconds = seconds;
        result_.sent_pps = static_cast<double>(available_ - outstanding()) / seconds;
        result_.received_pps = static_cast<double>(result_.received) / seconds;
    }
    [[nodiscard]] FloodResult finish() {
        result_.unsent = outstanding();
        result_.sent = available_ - result_.unsent;
        for (Sender& sender : senders_) { sender.finish(); }
        port_->front_end->count_flood(result_.sent, result_.received);
        return result_;
    }
    [[nodiscard]] std::uint64_t received() const { return result_.received; }
    [[nodiscard]] bool connected() const { return port_->front_end->connected(); }

private:
    // Late offers are not made up for: each has the device to itself.
    void send_timed(double elapsed_s) {
        const double gap_s = port_->pps == 0 ? 0 : 1.0 / static_cast<double>(port_->pps);
        if (is_waiting_ || elapsed_s < due_s_) { return; }
        if (port_->count_max != 0 && available_ >= port_->count_max) { return; }
        due_s_ = elapsed_s + gap_s;
        arrival_ = target_->received() + port_->timed_count;
        is_tainted_ = false;
        offered_ = looked_ = Clock::now();
        const unsigned offered = senders_.front().fill(port_->timed_count, port_->timed_count);
        is_waiting_ = offered == port_->timed_count;
        available_ += offered;
    }

    // Every ring entry gets a buffer of its own, as in a guest, even if there is only one frame to
    // send.
    [[nodiscard]] Status write_frames() {
        const std::size_t ring_size = port_->front_end->options().queue_size;
        const std::size_t count = std::max(port_->frames.size(), ring_size);
        const GuestSpan area = port_->front_end->flood_area();
        std::size_t at = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const FloodFrame& frame = port_->frames[i % port_->frames.size()];
            const std::size_t bytes = header_bytes_ + frame.frame.size();
            if (at + bytes > port_->front_end->options().flood_bytes) {
                return Error{Errc::kLimit,
                             "flood: " + std::to_string(count) + " frames do not fit flood_bytes " +
                                 std::to_string(port_->front_end->options().flood_bytes),
                             ""};
            }
            std::memcpy(area.host + at, &frame.header, header_bytes_);
            std::memcpy(area.host + at + header_bytes_, frame.frame.data(), frame.frame.size());
            buffers_.push_back({area.guest + at, static_cast<std::uint32_t>(bytes)});
            at = (at + bytes + 63) / 64 * 64;
        }
        return Ok{};
    }

    const FloodPort* port_;
    const FloodOptions* options_;
    std::size_t header_bytes_ = sizeof(NetHeader);
    std::vector<Sender::Buffer> buffers_;
    std::vector<Sender> senders_;
    std::vector<Receiver> receivers_;
    std::uint64_t available_ = 0;
    std::uint64_t seen_ = 0;
    double came_s_ = 0;
    double looked_s_ = 0;
    FloodResult result_;
    const Runner* target_ = nullptr;  // Of a timed sender.
    std::uint64_t arrival_ = 0;       // Frames there, when all that were offered have arrived.
    Clock::time_point offered_, looked_;
    double due_s_ = 0;
    bool is_waiting_ = false;
    bool is_tainted_ = false;
};

[[nodiscard]] double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

[[nodiscard]] std::uint64_t total_received(const std::vector<Runner>& runners) {
    std::uint64_t sum = 0;
    for (const Runner& runner : runners) { sum += runner.received(); }
    return sum;
}

void run_loop(std::vector<Runner>& runners, const FloodOptions& options,
              const std::atomic<bool>& stop) {
    const auto start = Clock::now();
    const bool anyone_sends = std::ranges::any_of(runners, &Runner::has_senders);
    for (unsigned turn = 0; !stop.load(std::memory_order_relaxed); ++turn) {
        const double elapsed = seconds_since(start);
        if (elapsed >= options.seconds) { break; }
        for (Runner& runner : runners) {
            runner.receive();
            if (options.measure_gap) { runner.note_gap(elapsed); }
        }
        for (Runner& runner : runners) { runner.look(Clock::now()); }
        for (Runner& runner : runners) { runner.send(elapsed); }
        if (anyone_sends && std::ranges::none_of(runners, &Runner::has_more_to_send)) { break; }
        if (turn % 4096 == 0 && !std::ranges::all_of(runners, &Runner::connected)) { break; }
    }
    const double elapsed = std::max(seconds_since(start), 1e-9);
    for (Runner& runner : runners) { runner.mark_time(elapsed); }
}

// Until the device has used every frame and nothing has arrived for a tenth of the drain time.
void drain_loop(std::vector<Runner>& runners, Milliseconds drain) {
    const Deadline deadline = after(drain);
    Deadline quiet = after(drain / 10);
    while (Clock::now() < deadline) {
        const std::uint64_t before = total_received(runners);
        bool busy = false;
        for (Runner& runner : runners) {
            runner.receive();
            busy = busy || runner.outstanding() != 0;
        }
        if (busy || total_received(runners) != before) { quiet = after(drain / 10); }
        if (Clock::now() >= quiet) { break; }
    }
}

}  // namespace

Result<std::vector<FloodResult>> flood(std::span<const FloodPort> ports,
                                       const FloodOptions& options, const std::atomic<bool>& stop) {
    std::vector<Runner> runners;
    runners.reserve(ports.size());
    for (const FloodPort& port : ports) { runners.emplace_back(port, options); }
    for (Runner& runner : runners) {
        if (auto ready = runner.prepare(); !ready) { return ready.error(); }
        runner.time_by(runners);
    }
    run_loop(runners, options, stop);
    drain_loop(runners, options.drain);
    std::vector<FloodResult> results;
    for (Runner& runner : runners) { results.push_back(runner.finish()); }
    return results;
}

}  // namespace sluice::frontend
