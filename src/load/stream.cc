// SPDX-License-Identifier: Apache-2.0
// Stream: the hot loop of a flood.
#include "stream.h"

#include <algorithm>

#include "tsc.h"

namespace sluice::load {
namespace {

// Less than a burst is taken back after so long, in case no more comes.
constexpr double kStaleSeconds = 5e-6;

constexpr unsigned whole_bursts(unsigned count) { return count / kBurst * kBurst; }

}  // namespace

Stream::Stream(End& from, End& to, std::vector<Prepared> frames, bool reads_lengths)
    : tx_(&from.tx()),
      rx_(&to.rx()),
      to_(&to),
      frames_(std::move(frames)),
      is_fixed_(frames_.size() == tx_->size()),
      reads_lengths_(reads_lengths),
      under_way_max_(std::min(tx_->size(), rx_->size() - kInHandMax - kBurst)),
      header_bytes_(static_cast<std::uint32_t>(to.header_bytes())),
      stale_cycles_(static_cast<std::uint64_t>(kStaleSeconds * tsc_hz())),
      quiet_cycles_(static_cast<std::uint64_t>(kQuietSeconds * tsc_hz())),
      lost_cycles_(static_cast<std::uint64_t>(kGivenUpSeconds * tsc_hz())) {
    if (frames_.empty()) { return; }
    frame_bytes_ = frames_[0].length - static_cast<std::uint32_t>(from.header_bytes());
    for (unsigned i = 0; i < tx_->size(); ++i) {
        tx_->set(i, frames_[i].address, frames_[i].length);
    }
}

bool Stream::turn(std::uint64_t now, std::uint64_t limit) {
    const unsigned outstanding = frames_.empty() ? 0 : tx_->outstanding();
    const bool came = receive(now);
    return (limit != 0 && !frames_.empty() && send(now, outstanding, limit)) || came;
}

bool Stream::receive(std::uint64_t now) {
    const unsigned pending = rx_->pending();
    if (pending != last_pending_) {
        gap_max_ = std::max(gap_max_, now - moved_at_);
        moved_at_ = came_at_ = now;
    }
    const bool is_stale = pending != 0 && now - moved_at_ > stale_cycles_;
    const unsigned count = is_stale ? pending : whole_bursts(pending);
    last_pending_ = pending - count;
    if (count == 0) { return false; }
    if (reads_lengths_) {
        read(count);
    } else {
        bytes_ += std::uint64_t{count} * frame_bytes_;
    }
    rx_->recycle(count);
    return true;
}

// Short ones are no frames of a flood. An end behind the fabric that only receives answers those
// that ask for its VTEP; one that sends needs its ring for itself, and nobody has to find it.
void Stream::read(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        const std::uint32_t length = rx_->used(i).length;
        if (length >= header_bytes_ + kWireBytesMin - kFcsBytes) {
            bytes_ += length - header_bytes_;
            continue;
        }
        ++answered_;
        const bool is_free = sends() && to_->tx().outstanding() < to_->tx().size();
        if (is_free && to_->answer(i, to_->tx().slot())) { to_->tx().publish(1); }
    }
}

void Stream::close_loop(std::uint64_t now) {
    is_closed_ = true;
    came_at_ = now;
    lost_ = handed_over() - std::min(handed_over(), received());
}

// What was handed over and has not come. After a while without any it does not come any more.
unsigned Stream::under_way(std::uint64_t now) {
    const std::uint64_t come = received() + lost_;
    const std::uint64_t left = handed_over() > come ? handed_over() - come : 0;
    if (left == 0 || now < came_at_ + lost_cycles_) { return static_cast<unsigned>(left); }
    lost_ += left;
    came_at_ = now;
    return 0;
}

bool Stream::send(std::uint64_t now, unsigned outstanding, std::uint64_t limit) {
    if (is_closed_) { outstanding = std::max(outstanding, under_way(now)); }
    if (outstanding >= under_way_max_) { return false; }
    unsigned count = under_way_max_ - outstanding;
    if (count < limit) {
        count = whole_bursts(count);
        if (count == 0) { return false; }
    } else {
        count = static_cast<unsigned>(limit);
    }
    if (!is_late_) {
        ++giving_turns_;
        starved_turns_ += outstanding == 0 ? 1U : 0U;
    }
    is_late_ = false;
    if (!is_fixed_) { write(count); }
    tx_->publish(count);
    return true;
}

void Stream::write(unsigned count) {
    tx_->prepare(count);
    for (unsigned i = 0; i < count; ++i) {
        const Prepared& frame = frames_[cursor_];
        tx_->set(tx_->slot(i), frame.address, frame.length);
        cursor_ = cursor_ + 1 == frames_.size() ? 0 : cursor_ + 1;
    }
}

void Stream::mark(std::uint64_t now) {
    if (is_closed_) { close_loop(now); }  // All that will come has come.
    gap_max_ = 0;
    moved_at_ = now;
    giving_turns_ = 0;
    starved_turns_ = 0;
    marked_ = {tx_->used(), received(), bytes_, 0};
}

StreamCounts Stream::counts() const {
    return {tx_->used() - marked_.sent, received() - marked_.received, bytes_ - marked_.bytes,
            gap_max_};
}

bool Stream::is_quiet(std::uint64_t now) {
    const bool all_came = !is_closed_ || handed_over() <= received() + lost_;
    const bool all_used = frames_.empty() || (tx_->outstanding() == 0 && all_came);
    return all_used && last_pending_ == 0 && now - moved_at_ > quiet_cycles_;
}

}  // namespace sluice::load
