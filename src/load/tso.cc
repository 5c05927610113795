// SPDX-License-Identifier: Apache-2.0
// tso: segments of tens of kilobytes with a virtio GSO header and a partial checksum, on TCP
// connections that were opened properly; b acknowledges each, once. Payload is never touched: of a
// segment the loop writes sequence number and source port, of a received one it reads the first
// line; where b takes packets, only that of a segment's last, which is shorter than the others.
//
// What is under way is limited to what b's receive buffers hold: either whole segments over merged
// or large buffers, or, where b does not take them, packets of an ordinary MTU.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "announce.h"
#include "frame_set.h"
#include "modes.h"
#include "opening.h"

namespace sluice::load {
namespace {

constexpr std::size_t kMergedBufferBytes = 4096;  // As Linux posts them.
constexpr std::size_t kLargeBufferBytes = (65536 + 63) / 64 * 64 + 64;
constexpr unsigned kParallel = 64;
constexpr unsigned kSegmentsMax = 32;  // Under way; more gains nothing and costs cache.
constexpr double kLostSeconds = 0.05;
constexpr int kScale = 10;  // A window of 64 MB.
constexpr std::size_t kLine = 64;
constexpr std::size_t kAckStride = 128;

struct Counts {
    std::uint64_t segments = 0;  ///< Handed over by a.
    std::uint64_t frames = 0;    ///< Received by b.
    std::uint64_t payload = 0;   ///< Bytes of TCP payload in these.
    std::uint64_t bytes = 0;     ///< Ethernet without FCS.
};

class Tso {
public:
    Tso(const Options& options, Ends& ends, const std::atomic<bool>& stop)
        : options_(options),
          ends_(ends),
          turns_(ends, stop),
          tuples_(options.a.ips, options.b.ips, options.port, 65536U - options.port) {}

    [[nodiscard]] static std::size_t stride(const Options& options) {
        return (sizeof(frontend::NetHeader) + kTcpPayloadAt + options.bytes + kLine - 1) / kLine *
                   kLine +
               kLine;
    }
    [[nodiscard]] static std::size_t frames_at(const Options& options) {
        return kAnnounceBytes + Talk::frame_bytes(options.queue_size);
    }

    [[nodiscard]] Result<Report> run() {
        if (!ends_.a->has(frontend::Feature::kHostTso4)) {
            return Error{Errc::kUnsupported,
                         "socket " + options_.a.path + ": the switch does not offer TSO",
                         options_.a.path};
        }
        if (auto opened = open_way(); !opened) { return opened.error(); }
        prepare();
        if (auto done = open_windows(); !done) { return done.error(); }
        if (auto done = loop(options_.warmup); !done) { return done.error(); }
        if (auto done = drain(); !done) { return done.error(); }
        const Counts before = counts_;
        const std::uint64_t start = tsc();
        if (auto done = loop(options_.seconds); !done) { return done.error(); }
        seconds_ = seconds_of(tsc() - start);
        costs_ = turns_.costs();
        in_time_ = minus(counts_, before);
        if (auto done = drain(); !done) { return done.error(); }
        all_ = minus(counts_, before);
        if (auto done = close_all(
                ends_, tuples_, options_.flows, [this](std::uint64_t n) { return next_[n]; },
                peer_sequence(sequence_) + 1, options_.start_timeout, kAnnounceBytes);
            !done) {
            return done.error();
        }
        if (in_time_.frames == 0) { return Error{Errc::kIo, "no frame arrived at b", ""}; }
        return report();
    }

private:
    static Counts minus(const Counts& a, const Counts& b) {
        return {a.segments - b.segments, a.frames - b.frames, a.payload - b.payload,
                a.bytes - b.bytes};
    }

    [[nodiscard]] Status open_way() {
        if (auto told = announce_both(ends_, start_timeout(options_)); !told) { return told; }
        TalkOptions talk{.tuples = tuples_};
        talk.parallel = kParallel;
        talk.handshake_only = true;
        talk.count = options_.flows;
        talk.sequence = sequence_;
        talk.scale = kScale;
        const auto opened = open_all(ends_, turns_, talk, options_.start_timeout, kAnnounceBytes);
        if (!opened) { return opened.error(); }
        return Ok{};
    }

    // One segment a connection, until each is acknowledged: only that acknowledgement opens a
    // window of more than the 64 kB that a SYN can offer (RFC 7323 §2.2).
    [[nodiscard]] Status open_windows() {
        const std::uint64_t end = tsc() + cycles_of(options_.start_timeout);
        const std::uint64_t most = std::exchange(under_way_max_, options_.bytes);
        const Ended ended = turns_.run(
            [&](std::uint64_t now) { return turn(now, counts_.segments < options_.flows); },
            [&](std::uint64_t now) { return acks_ >= options_.flows || now >= end; },
            [](std::uint64_t) {});
        under_way_max_ = most;
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        if (acks_ >= options_.flows) { return Ok{}; }
        return Error{Errc::kIo,
                     std::to_string(counts_.frames) + " large segments arrived at b, " +
                         std::to_string(acks_) + " acknowledgements at a, of " +
                         std::to_string(options_.flows) + " connections",
                     ""};
    }

    // One buffer for each segment under way and one more, as few as in a flood: they stay in the
    // switch's cache, as a flood's frames do. One frame of acknowledgement a ring slot of b.
    void prepare() {
        header_bytes_ = ends_.b->header_bytes();
        under_way_max_ = segments_that_fit();
        const auto count = static_cast<unsigned>(under_way_max_ / options_.bytes) + 1;
        const Tuple tuple = tuples_.at(0);
        const frontend::GuestSpan area = ends_.a->frames();
        const std::size_t header_bytes = ends_.a->header_bytes();
        for (unsigned i = 0; i < std::min(count, kSegmentsMax); ++i) {
            const std::size_t at = frames_at(options_) + i * stride(options_);
            const std::span<std::uint8_t> frame(area.host + at + header_bytes,
                                                kTcpPayloadAt + options_.bytes);
            const frontend::NetHeader header =
                with_gso(write_tcp(frame, ends_.link(), tuple,
                                   {0, peer_sequence(sequence_) + 1, kAck | kPsh}, options_.bytes,
                                   Checksum::kPartial),
                         static_cast<std::uint16_t>(options_.segment));
            ends_.a->write_header(area.host + at, header, frame.size());
            buffers_.push_back(
                {area.guest + at, static_cast<std::uint32_t>(header_bytes + frame.size())});
        }
        next_.assign(options_.flows, sequence_ + 1);
        ack_ = Segment(ends_.back_link(), kAck, 0);
        if (!ends_.b->has(frontend::Feature::kGuestTso4) &&
            options_.bytes % options_.segment != 0) {
            full_length_ = header_bytes_ + kTcpPayloadAt + options_.segment;
        }
    }

    [[nodiscard]] std::uint64_t segments_that_fit() const {
        const std::size_t buffer = ends_.b->rx().buffer_bytes();
        const bool whole = ends_.b->has(frontend::Feature::kGuestTso4);
        const std::size_t packets =
            whole ? (header_bytes_ + kTcpPayloadAt + options_.bytes + buffer - 1) / buffer
                  : (options_.bytes + options_.segment - 1) / options_.segment;
        const std::size_t fit = (ends_.b->rx().size() - 1) / packets;
        return std::clamp<std::size_t>(fit, 1, kSegmentsMax) * options_.bytes;
    }

    [[nodiscard]] std::uint64_t under_way() const {
        const std::uint64_t gone = handed_bytes_ - lost_bytes_;
        return gone > counts_.payload ? gone - counts_.payload : 0;
    }

    bool turn(std::uint64_t now, bool sends) {
        const unsigned a_out = ends_.a->tx().outstanding();
        const unsigned b_out = ends_.b->tx().outstanding();
        bool moved = receive(now, ends_.b->tx().size() - b_out);
        if (const unsigned acks = ends_.a->rx().pending(); acks != 0) {
            ends_.a->rx().recycle(acks);
            acks_ += acks;
            moved = true;
        }
        if (sends) { moved = send(now, a_out) || moved; }
        if (under_way() != 0 && now - moved_at_ > cycles_of(kLostSeconds)) {
            lost_bytes_ += under_way();  // What has not come by now does not come.
            moved_at_ = now;
        }
        return moved;
    }

    bool send(std::uint64_t now, unsigned outstanding) {
        SendRing& tx = ends_.a->tx();
        const frontend::GuestSpan area = ends_.a->frames();
        const std::uint64_t room = under_way_max_ - std::min(under_way_max_, under_way());
        const auto count = static_cast<unsigned>(std::min<std::uint64_t>(
            room / options_.bytes,
            buffers_.size() - std::min<std::size_t>(outstanding, buffers_.size())));
        if (count == 0) { return false; }
        for (unsigned i = 0; i < count; ++i) {
            const Prepared& buffer = buffers_[cursor_];
            std::uint8_t* frame =
                area.host + (buffer.address - area.guest) + ends_.a->header_bytes();
            put16(frame + kL4At, static_cast<std::uint16_t>(kSourcePortFirst + flow_));
            put32(frame + kTcpSequenceAt, next_[flow_]);
            next_[flow_] += options_.bytes;
            tx.set(tx.slot(i), buffer.address, buffer.length);
            cursor_ = cursor_ + 1 == buffers_.size() ? 0 : cursor_ + 1;
            flow_ = flow_ + 1 == next_.size() ? 0 : flow_ + 1;
        }
        if (under_way() == 0) { moved_at_ = now; }
        tx.publish(count);
        handed_bytes_ += std::uint64_t{count} * options_.bytes;
        counts_.segments += count;
        return true;
    }

    // Takes whole frames: a frame's first buffer says how many carry it.
    bool receive(std::uint64_t now, unsigned ack_room) {
        ReceiveRing& rx = ends_.b->rx();
        const unsigned pending = rx.pending();
        unsigned taken = 0;
        unsigned acks = 0;
        while (taken < pending && acks < ack_room) {
            if (rx.used(taken).length == full_length_) {
                count_frame(taken++, 1);
                counts_.payload += options_.segment;
                continue;
            }
            const std::uint8_t* buffer = rx.buffer(rx.used(taken).id & (rx.size() - 1));
            const unsigned parts = part_count(buffer);
            if (taken + parts > pending) { break; }
            if (rx.used(taken).length < header_bytes_ + kArpFrameBytes) {  // No part of this.
                acks += ends_.b->answer(taken++, ends_.b->tx().slot(acks)) ? 1U : 0U;
                continue;
            }
            count_frame(taken, parts);
            taken += parts;
            acks += write_ack(buffer + header_bytes_, acks) ? 1U : 0U;
        }
        if (taken == 0) { return false; }
        moved_at_ = now;
        rx.recycle(taken);
        if (acks != 0) { ends_.b->tx().publish(acks); }
        return true;
    }

    [[nodiscard]] unsigned part_count(const std::uint8_t* buffer) const {
        if (!ends_.b->has(frontend::Feature::kMrgRxbuf)) { return 1; }
        frontend::NetHeader header;
        std::memcpy(&header, buffer, sizeof header);
        return std::max<unsigned>(header.num_buffers, 1);
    }

    void count_frame(unsigned first, unsigned parts) {
        std::uint64_t bytes = 0;
        for (unsigned i = 0; i < parts; ++i) { bytes += ends_.b->rx().used(first + i).length; }
        counts_.bytes += bytes - header_bytes_;
        ++counts_.frames;
    }

    // Counts a TCP segment with payload. Acknowledges the one that ends what a sent: of packets
    // that a large segment was cut into the last, as a receiver does that merges them (GRO).
    bool write_ack(const std::uint8_t* frame, unsigned ahead) {
        if (get16(frame + 12) != 0x0800 || frame[kIpAt + 9] != 6) { return false; }
        const std::size_t header = 20 + (frame[kTcpFlagsAt - 1] >> 4U) * 4U;
        const std::size_t total = get16(frame + kIpAt + 2);
        if (total <= header) { return false; }
        counts_.payload += total - header;
        if ((frame[kTcpFlagsAt] & kPsh) == 0) { return false; }
        const Tuple back{get32(frame + kDestinationIpAt), get32(frame + kSourceIpAt),
                         get16(frame + kL4At + 2), get16(frame + kL4At)};
        const auto end = static_cast<std::uint32_t>(get32(frame + kTcpSequenceAt) + total - header);
        SendRing& tx = ends_.b->tx();
        const frontend::GuestSpan area = ends_.b->frames();
        const unsigned slot = tx.slot(ahead);
        const std::size_t at = frames_at(options_) + slot * kAckStride;
        ends_.b->write_header(area.host + at, {}, kSegmentBytes);
        ack_.write(area.host + at + header_bytes_, back, peer_sequence(sequence_) + 1, end);
        tx.set(slot, area.guest + at, static_cast<std::uint32_t>(header_bytes_ + kSegmentBytes));
        return true;
    }

    [[nodiscard]] Status loop(double seconds) {
        const std::uint64_t end = tsc() + cycles_of(seconds);
        moved_at_ = tsc();
        const Ended ended = turns_.run([&](std::uint64_t now) { return turn(now, true); },
                                       [&](std::uint64_t now) { return now >= end; },
                                       [&](std::uint64_t cycles) { moved_at_ += cycles; });
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        return Ok{};
    }

    [[nodiscard]] Status drain() {
        const std::uint64_t end = tsc() + cycles_of(kDrainSeconds);
        const Ended ended =
            turns_.run([&](std::uint64_t now) { return turn(now, false); },
                       [&](std::uint64_t now) {
                           return now >= end ||
                                  (under_way() == 0 && now - moved_at_ > cycles_of(kQuietSeconds));
                       },
                       [&](std::uint64_t cycles) { moved_at_ += cycles; });
        if (ended != Ended::kInTime) { return turns_.error(ended); }
        return Ok{};
    }

    [[nodiscard]] Report report() const {
        const auto frames = static_cast<double>(in_time_.frames);
        // In whole segments: b may have got them as packets.
        const std::uint64_t lost_payload =
            all_.segments * options_.bytes - std::min(all_.segments * options_.bytes, all_.payload);
        Report report("tso");
        report.set("seconds", seconds_, "s", 3);
        report.set("tsc_hz", tsc_hz(), "Hz", 0);
        report.set("connections", options_.flows);
        report.set("bytes", std::uint64_t{options_.bytes}, "bytes");
        report.set("segment", std::uint64_t{options_.segment}, "bytes");
        report.set("pps", frames / seconds_, "frames/s", 0);
        report.set("gbps", static_cast<double>(in_time_.bytes) * 8e-9 / seconds_, "Gb/s", 3);
        report.set("payload_gbps", static_cast<double>(in_time_.payload) * 8e-9 / seconds_, "Gb/s",
                   3);
        report.set("sent", all_.segments, "segments");
        report.set("received", all_.frames, "frames");
        report.set("lost", (lost_payload + options_.bytes - 1) / options_.bytes, "segments");
        report.set("lost_bytes", lost_payload, "bytes");
        report.set("frame_bytes", static_cast<double>(in_time_.bytes) / frames, "bytes", 0);
        report.set("sent_total", ends_.a->tx().used() + ends_.b->tx().used(), "frames");
        report.set("load_cycles_per_packet", static_cast<double>(costs_.busy) / frames, "cycles",
                   1);
        report_shares(report, costs_, seconds_);
        report.set("huge_pages", ends_.in_huge_pages());
        return report;
    }

    const Options& options_;
    Ends& ends_;
    Turns turns_;
    Tuples tuples_;
    const std::uint32_t sequence_ = run_sequence();
    Segment ack_;
    std::vector<Prepared> buffers_;
    std::vector<std::uint32_t> next_;  // Sequence number of each connection's next segment.
    std::size_t cursor_ = 0;
    std::size_t flow_ = 0;
    std::size_t header_bytes_ = sizeof(frontend::NetHeader);
    std::size_t full_length_ = 0;  // Of a packet that is not its segment's last; 0 = look at all.
    std::uint64_t under_way_max_ = 0;  // Bytes of payload.
    std::uint64_t handed_bytes_ = 0;
    std::uint64_t lost_bytes_ = 0;
    std::uint64_t moved_at_ = 0;
    std::uint64_t acks_ = 0;
    Counts counts_, in_time_, all_;
    TurnCosts costs_;
    double seconds_ = 0;
};

}  // namespace

Result<Report> run_tso(const Options& options, const std::atomic<bool>& stop) {
    const std::size_t buffer = options.mergeable ? kMergedBufferBytes : kLargeBufferBytes;
    const std::size_t at = Tso::frames_at(options);
    auto ends = open_ends(options, buffer, at + kSegmentsMax * Tso::stride(options),
                          at + std::size_t{options.queue_size} * kAckStride);
    if (!ends) { return ends.error(); }
    return Tso(options, ends.value(), stop).run();
}

}  // namespace sluice::load
