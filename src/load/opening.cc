// SPDX-License-Identifier: Apache-2.0
// Opening connections before the part of a run that is measured.
#include "opening.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "announce.h"

namespace sluice::load {
namespace {

constexpr std::uint64_t kResetsMax = 64;
constexpr std::size_t kResetStride = 128;  // Within Talk::frame_bytes().
constexpr auto kIgnoreStall = [](std::uint64_t) {};

Error not_opened(const Talk& talk, double timeout_seconds) {
    if (talk.counts().failed >= kResetsMax) {
        return Error{Errc::kDenied, "the switch resets the connections that a opens to b", ""};
    }
    return Error{Errc::kIo,
                 "no connection that a opened to b was answered within " +
                     std::to_string(std::lround(timeout_seconds * 1000)) +
                     " ms: is a policy in the way, or are MAC and IP not the vNIC's?",
                 ""};
}

}  // namespace

std::uint32_t run_sequence() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto ticks = std::chrono::duration_cast<std::chrono::microseconds>(now).count() / 4;
    return static_cast<std::uint32_t>(ticks);  // RFC 9293 §3.4.1: a tick every 4 us.
}

Status open_first(Talk& talk, Turns& turns, double timeout_seconds) {
    const std::uint64_t end = tsc() + cycles_of(timeout_seconds);
    const Ended ended = turns.run([&](std::uint64_t now) { return talk.turn(now); },
                                  [&](std::uint64_t now) {
                                      return talk.counts().opened != 0 || now >= end ||
                                             talk.counts().failed >= kResetsMax;
                                  },
                                  kIgnoreStall);
    if (ended != Ended::kInTime) { return turns.error(ended); }
    if (talk.counts().opened == 0) { return not_opened(talk, timeout_seconds); }
    return Ok{};
}

Result<std::uint64_t> open_all(Ends& ends, Turns& turns, const TalkOptions& options,
                               double timeout_seconds, std::size_t offset) {
    const auto timeout = std::chrono::milliseconds(std::lround(timeout_seconds * 1000));
    Talk talk(ends, options, offset);
    if (auto first = open_first(talk, turns, timeout_seconds); !first) { return first.error(); }
    const std::uint64_t end = tsc() + cycles_of(kWarmUpMax);
    const Ended ended =
        turns.run([&](std::uint64_t now) { return talk.turn(now); },
                  [&](std::uint64_t now) { return talk.is_done() || now >= end; }, kIgnoreStall);
    if (ended != Ended::kInTime) { return turns.error(ended); }
    if (talk.counts().opened != options.count) {
        return Error{Errc::kIo,
                     std::to_string(talk.counts().opened) + " of " + std::to_string(options.count) +
                         " connections could be opened",
                     ""};
    }
    for (End* used : {ends.a.get(), ends.b.get()}) {
        if (auto settled = settle(*used, timeout); !settled) { return settled.error(); }
    }
    return talk.counts().opened;
}

Status close_all(Ends& ends, const Tuples& tuples, std::uint64_t count,
                 const std::function<std::uint32_t(std::uint64_t)>& sequence_of, std::uint32_t ack,
                 double timeout_seconds, std::size_t offset) {
    SendRing& tx = ends.a->tx();
    const std::size_t header_bytes = ends.a->header_bytes();
    const frontend::GuestSpan area = ends.a->frames();
    const Segment reset(ends.link(), kRst | kAck, 0);
    std::uint64_t deadline = tsc() + cycles_of(timeout_seconds);
    for (std::uint64_t n = 0; n < count;) {
        (void)take_any(*ends.b);
        (void)take_any(*ends.a);
        const std::uint64_t room = tx.size() - tx.outstanding();
        const auto burst =
            static_cast<unsigned>(std::min<std::uint64_t>({room, count - n, kBurst}));
        if (room < kBurst && burst < count - n) {
            if (!ends.connected() || tsc() > deadline) { return ends.gone(); }
            step_aside();
            continue;
        }
        for (unsigned i = 0; i < burst; ++i, ++n) {
            const unsigned slot = tx.slot(i);
            const std::size_t at = offset + slot * kResetStride;
            ends.a->write_header(area.host + at, {}, kSegmentBytes);
            reset.write(area.host + at + header_bytes, tuples.at(n), sequence_of(n), ack);
            tx.set(slot, area.guest + at, static_cast<std::uint32_t>(header_bytes + kSegmentBytes));
        }
        tx.publish(burst);
        deadline = tsc() + cycles_of(timeout_seconds);
    }
    return settle(*ends.a, std::chrono::milliseconds(std::lround(timeout_seconds * 1000)));
}

}  // namespace sluice::load
