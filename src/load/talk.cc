// SPDX-License-Identifier: Apache-2.0
// Talk: the loop of connections. One cache line is read of each frame that comes (addresses to
// flags lie in a buffer's first 64 bytes) and one written of each that goes (frames begin on a
// line, the virtio header before it never changes).
#include "talk.h"

#include <algorithm>

#include "sluice/base/assert.h"
#include "tsc.h"

namespace sluice::load {
namespace {

constexpr double kStaleSeconds = 3e-6;
constexpr std::uint64_t kNever = ~std::uint64_t{0};

Tuple tuple_of(const std::uint8_t* frame) {
    return {get32(frame + kSourceIpAt), get32(frame + kDestinationIpAt), get16(frame + kL4At),
            get16(frame + kL4At + 2)};
}

bool is_tcp(const std::uint8_t* frame) {
    return get16(frame + 12) == 0x0800 && frame[kIpAt] == 0x45 && frame[kIpAt + 9] == 6;
}

}  // namespace

std::uint8_t* Talk::Side::next() {
    const unsigned slot = end->tx().slot(written++);
    if (end->has_tunnel()) { set(slot); }  // It may have carried ARP.
    return frames + std::size_t{kFrameStride} * slot;
}

void Talk::Side::set(unsigned slot) const {
    end->tx().set(slot, guest_frames + std::size_t{kFrameStride} * slot - header_bytes,
                  static_cast<std::uint32_t>(header_bytes + kSegmentBytes));
}

const std::uint8_t* Talk::Side::received(unsigned index) const {
    const std::uint32_t id = end->rx().used(index).id;
    return end->rx().buffer(id & (end->rx().size() - 1)) + header_bytes;
}

void Talk::Side::publish() {
    if (written == 0) { return; }
    end->tx().publish(written);
    written = 0;
}

Talk::Talk(Ends& ends, const TalkOptions& options, std::size_t offset)
    : options_(options),
      slots_(options.parallel),
      tuple_count_(options.tuples.count()),
      limit_(options.count == 0 ? kNever : options.first + options.count),
      reuse_from_(tsc() + static_cast<std::uint64_t>(kTupleRestSeconds * tsc_hz())),
      retry_cycles_(static_cast<std::uint64_t>(kRetrySeconds * tsc_hz())),
      stale_cycles_(static_cast<std::uint64_t>(kStaleSeconds * tsc_hz())),
      next_slot_count_(options.parallel) {
    const Link forth = ends.link();
    const Link back = ends.back_link();
    syn_ = Segment(forth, kSyn, 0, options.scale);
    syn_ack_ = Segment(back, kSyn | kAck, 0, options.scale);
    ack_ = Segment(forth, kAck, 0);
    request_ = Segment(forth, kPsh | kAck, kTalkPayloadBytes);
    response_ = Segment(back, kPsh | kAck, kTalkPayloadBytes);
    fin_a_ = Segment(forth, kFin | kAck, 0);
    fin_b_ = Segment(back, kFin | kAck, 0);
    prepare(a_, *ends.a, offset);
    prepare(b_, *ends.b, offset);
}

void Talk::prepare(Side& side, End& end, std::size_t offset) {
    side.end = &end;
    side.header_bytes = end.header_bytes();
    const frontend::GuestSpan area = end.frames();
    const std::uint64_t first =
        (area.guest + offset + kFrameStride - 1) / kFrameStride * kFrameStride + kFrameStride / 2;
    side.frames = area.host + (first - area.guest);
    side.guest_frames = first;
    for (unsigned i = 0; i < end.tx().size(); ++i) {
        const std::size_t at = std::size_t{kFrameStride} * i;
        end.write_header(side.frames + at - side.header_bytes, {}, kSegmentBytes);
        side.set(i);
    }
}

bool Talk::turn(std::uint64_t now) {
    const unsigned a_room = a_.end->tx().size() - a_.end->tx().outstanding();
    const unsigned b_room = b_.end->tx().size() - b_.end->tx().outstanding();
    bool moved = take(b_, now, b_room);
    moved = take(a_, now, a_room / 2) || moved;
    if (a_room >= a_.written + kBurst + 2) {
        moved = open_some(now) || moved;
        moved = retry(now) || moved;
    }
    a_.publish();
    b_.publish();
    return moved;
}

// Whole bursts, or all after a while: small bursts cost a switch more than they gain in time.
bool Talk::take(Side& side, std::uint64_t now, unsigned room) {
    ReceiveRing& rx = side.end->rx();
    const unsigned pending = rx.pending();
    if (pending != side.last_pending) { side.moved_at = now; }
    side.last_pending = pending;
    if (pending == 0 || (pending < kBurst && now - side.moved_at < stale_cycles_)) { return false; }
    const unsigned count = std::min({pending, room, 2 * kBurst});
    for (unsigned i = 0; i < count; ++i) { __builtin_prefetch(side.received(i)); }
    for (unsigned i = 0; i < count; ++i) {
        if (side.end->has_tunnel() && side.end->answer(i, side.end->tx().slot(side.written))) {
            ++side.written;
            continue;
        }
        const std::uint8_t* frame = side.received(i);
        if (!is_tcp(frame)) { continue; }
        if (&side == &b_) {
            answer(frame);
        } else {
            advance(frame, now);
        }
    }
    rx.recycle(count);
    side.last_pending = pending - count;
    return count != 0;
}

void Talk::answer(const std::uint8_t* frame) {
    const std::uint8_t flags = frame[kTcpFlagsAt];
    const std::uint32_t sequence = get32(frame + kTcpSequenceAt);
    const std::uint32_t own = sequence_b();
    if ((flags & (kSyn | kPsh | kFin)) == 0 || (flags & kRst) != 0) { return; }
    const Tuple back = tuple_of(frame).back();
    if ((flags & kSyn) != 0) {
        syn_ack_.write(b_.next(), back, own, sequence + 1);
    } else if ((flags & kPsh) != 0) {
        response_.write(b_.next(), back, own + 1, sequence + kTalkPayloadBytes);
    } else {
        fin_b_.write(b_.next(), back, own + 1 + kTalkPayloadBytes, sequence + 1);
    }
}

void Talk::advance(const std::uint8_t* frame, std::uint64_t now) {
    const Tuple tuple = tuple_of(frame).back();
    const unsigned offset = static_cast<unsigned>(tuple.source_port) - kSourcePortFirst;
    Slot& slot = slots_[offset % options_.parallel];
    const std::uint8_t flags = frame[kTcpFlagsAt];
    if (slot.tuple != tuple || slot.state == State::kIdle || slot.state == State::kOver) {
        ++counts_.stray;
    } else if ((flags & kRst) != 0) {
        ++counts_.failed;
        next(slot, now);
    } else if (!step(slot, flags, get32(frame + kTcpAckAt), now)) {
        ++counts_.stray;
    }
}

// The answer that the slot waits for? Then its next segments.
bool Talk::step(Slot& slot, std::uint8_t flags, std::uint32_t ack, std::uint64_t now) {
    const std::uint32_t own = sequence_a();
    const std::uint32_t peer = sequence_b();
    switch (slot.state) {
        case State::kOpening:
            if ((flags & kSyn) == 0 || ack != own + 1) { return false; }
            ++counts_.opened;
            ack_.write(a_.next(), slot.tuple, own + 1, peer + 1);
            if (options_.handshake_only) {
                ++counts_.completed;
                next(slot, now);
                return true;
            }
            slot.state = State::kAsking;
            break;
        case State::kAsking:
            if ((flags & kPsh) == 0 || ack != own + 1 + kTalkPayloadBytes) { return false; }
            slot.state = State::kClosing;
            break;
        case State::kClosing:
            if ((flags & kFin) == 0 || ack != own + 2 + kTalkPayloadBytes) { return false; }
            ack_.write(a_.next(), slot.tuple, own + 2 + kTalkPayloadBytes,
                       peer + 2 + kTalkPayloadBytes);
            ++counts_.completed;
            next(slot, now);
            return true;
        default: return false;
    }
    slot.retries = 0;
    slot.sent_at = now;
    send_step(slot);
    return true;
}

// What the slot's state sends, first or again.
void Talk::send_step(Slot& slot) {
    const std::uint32_t own = sequence_a();
    const std::uint32_t peer = sequence_b();
    switch (slot.state) {
        case State::kOpening: return syn_.write(a_.next(), slot.tuple, own, 0);
        case State::kAsking: return request_.write(a_.next(), slot.tuple, own + 1, peer + 1);
        case State::kClosing:
            return fin_a_.write(a_.next(), slot.tuple, own + 1 + kTalkPayloadBytes,
                                peer + 1 + kTalkPayloadBytes);
        default: return;
    }
}

void Talk::start(Slot& slot, std::uint64_t now) {
    if (slot.number - options_.first >= tuple_count_ && now < reuse_from_) { exhausted_ = true; }
    if (!opens_ || exhausted_ || slot.number >= limit_) {
        slot.state = State::kOver;
        return;
    }
    slot.tuple = options_.tuples.at(slot.number);
    slot.state = State::kOpening;
    slot.retries = 0;
    slot.sent_at = now;
    ++active_;
    send_step(slot);
}

void Talk::next(Slot& slot, std::uint64_t now) {
    --active_;
    slot.number += options_.parallel;
    start(slot, now);
}

// Slots start a burst a turn.
bool Talk::open_some(std::uint64_t now) {
    const unsigned count = std::min(next_slot_count_, kBurst);
    for (unsigned i = 0; i < count; ++i) {
        const std::size_t index = slots_.size() - next_slot_count_--;
        slots_[index].number = options_.first + index;
        start(slots_[index], now);
    }
    return count != 0;
}

// Looks at one slot a turn, so at each once in a fraction of a millisecond.
bool Talk::retry(std::uint64_t now) {
    Slot& slot = slots_[retry_cursor_];
    retry_cursor_ = retry_cursor_ + 1 == slots_.size() ? 0 : retry_cursor_ + 1;
    const bool waits = slot.state != State::kIdle && slot.state != State::kOver;
    if (!waits || now < slot.sent_at + retry_cycles_) { return false; }
    if (slot.retries == kRetryMax) {
        ++counts_.failed;
        next(slot, now);
        return true;
    }
    ++slot.retries;
    ++counts_.retried;
    slot.sent_at = now;
    send_step(slot);
    return true;
}

}  // namespace sluice::load
