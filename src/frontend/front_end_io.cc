// SPDX-License-Identifier: Apache-2.0
// FrontEnd's traffic: send and wait for completion, receive from any queue pair.
#include <poll.h>

#include <algorithm>

#include "front_end.h"

namespace sluice::frontend {

SendResult FrontEnd::send(std::span<const TxFrame> frames, Milliseconds timeout, unsigned pair) {
    const Deadline deadline = after(timeout);
    TxQueue& tx = pairs_.at(pair)->tx;
    SendResult result;
    tx.collect();
    const unsigned earlier = tx.in_flight();
    while (result.completed < result.submitted + earlier || result.submitted < frames.size()) {
        const unsigned before = result.submitted;
        while (result.submitted < frames.size() && tx.enqueue(frames[result.submitted])) {
            counters_.tx_bytes += frames[result.submitted++].frame.size();
        }
        if (result.submitted > before) { tx.publish(); }
        if (tx.in_flight() == 0 && result.submitted == before) {
            break;
        }  // A frame that can never fit.
        if (!tx.ring().wait(deadline, channel_.fd())) { break; }
        result.completed += tx.collect();
    }
    result.completed -= std::min(result.completed, earlier);
    counters_.tx_frames += result.submitted;
    return result;
}

bool FrontEnd::pending_anywhere() const {
    return std::ranges::any_of(pairs_,
                               [](const auto& pair) { return pair->rx.ring().pending() > 0; });
}

bool FrontEnd::wait_receive(Deadline deadline) {
    if (pairs_.size() == 1) { return pairs_[0]->rx.ring().wait(deadline, channel_.fd()); }
    // Several rings: look at each in turn, with a short sleep on the first, which carries what is
    // not spread.
    while (!pending_anywhere()) {
        const bool gone = channel_.hung_up();
        if (pairs_[0]->rx.ring().wait(std::min(deadline, after(Milliseconds(1))), channel_.fd())) {
            return true;
        }
        if (gone || Clock::now() >= deadline) { break; }
    }
    return pending_anywhere();
}

std::optional<RxFrame> FrontEnd::receive(Milliseconds timeout) {
    if (!pending_anywhere() && !wait_receive(after(timeout))) { return std::nullopt; }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        auto frame = pairs_[next_rx_pair_++ % pairs_.size()]->rx.take();
        if (!frame) { continue; }
        counters_.rx_broken += frame->broken ? 1U : 0U;
        ++counters_.rx_frames;
        counters_.rx_bytes += frame->frame.size();
        return frame;
    }
    return std::nullopt;
}

bool FrontEnd::wait_disconnected(Milliseconds timeout) {
    const Deadline deadline = after(timeout);
    while (channel_.open() && !channel_.hung_up() && Clock::now() < deadline) {
        pollfd state{channel_.fd(), POLLRDHUP, 0};
        ::poll(&state, 1, left_ms(deadline, 1000));
    }
    return !channel_.open() || channel_.hung_up();
}

RingCounters FrontEnd::ring_counters() const {
    RingCounters sum;
    const auto add = [&sum](const RingCounters& c) {
        sum.kicks += c.kicks;
        sum.kicks_saved += c.kicks_saved;
        sum.calls += c.calls;
        sum.missed_calls += c.missed_calls;
    };
    for (const auto& pair : pairs_) {
        add(pair->rx.ring().counters());
        add(pair->tx.ring().counters());
    }
    return sum;
}

void FrontEnd::count_flood(std::uint64_t tx_frames, std::uint64_t rx_frames) {
    counters_.tx_frames += tx_frames;
    counters_.rx_frames += rx_frames;
}

}  // namespace sluice::frontend
