// SPDX-License-Identifier: Apache-2.0
// Opening connections before the part of a run that is measured.
#include "opening.h"

#include <chrono>
#include <cmath>

#include "announce.h"

namespace sluice::load {
namespace {

constexpr std::uint64_t kResetsMax = 64;
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

}  // namespace sluice::load
