// SPDX-License-Identifier: Apache-2.0
// TapPort: see tap_port.h. A frame is read into a row of buffers that are there before it comes:
// the largest segmentation request fits, what it does not use stays for the next one.
#include "datapath/tap_port.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <cerrno>
#include <utility>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kLooksPerSecond = 100000;  // At an empty queue: a look is a system call.
constexpr std::size_t kSendSegmentMax = 64;

}  // namespace

TapPort::~TapPort() {
    for (rte_mbuf* buffer : reserve_) {
        if (buffer != nullptr) { rte_pktmbuf_free(buffer); }
    }
}

void TapPort::set_fd(int fd) noexcept {
    state_.store(fd < 0 ? State::kNone : State::kUp, std::memory_order_relaxed);
    fd_.store(fd, std::memory_order_release);
    epoch_.fetch_add(1, std::memory_order_release);
}

void TapPort::try_again() noexcept {
    State expected = State::kDown;
    state_.compare_exchange_strong(expected, State::kUp, std::memory_order_relaxed);
}

// EBADFD: the TAP has no interface any more. EIO: it is set down.
void TapPort::note_error(int error) noexcept {
    if (error != EBADFD && error != EIO) { return; }
    State expected = State::kUp;
    state_.compare_exchange_strong(expected, error == EIO ? State::kDown : State::kGone,
                                   std::memory_order_relaxed);
}

bool TapPort::fill_reserve() noexcept {
    if (missing_ == 0) { return true; }
    if (rte_pktmbuf_alloc_bulk(pool_, reserve_.data(), missing_) != 0) {
        for (std::uint16_t i = 0; i < missing_; ++i) { reserve_[i] = nullptr; }
        return false;
    }
    parts_[0] = iovec{&header_, sizeof header_};
    for (std::uint16_t i = 0; i < missing_; ++i) {
        parts_[i + 1U] =
            iovec{rte_pktmbuf_mtod(reserve_[i], void*), rte_pktmbuf_tailroom(reserve_[i])};
    }
    missing_ = 0;
    return true;
}

// The first buffers of the reserve become one frame of `bytes`.
rte_mbuf* TapPort::take_frame(std::uint32_t bytes) noexcept {
    rte_mbuf* frame = reserve_[0];
    rte_mbuf* last = nullptr;
    frame->pkt_len = bytes;
    std::uint16_t count = 0;
    for (std::uint32_t left = bytes; left > 0 || count == 0; ++count) {
        rte_mbuf* part = std::exchange(reserve_[count], nullptr);
        const std::uint32_t room = rte_pktmbuf_tailroom(part);
        part->data_len = static_cast<std::uint16_t>(left < room ? left : room);
        left -= part->data_len;
        if (last != nullptr) { last->next = part; }
        last = part;
    }
    frame->nb_segs = count;
    missing_ = count;
    return frame;
}

ssize_t TapPort::read_frame(int fd) noexcept {
    return readv(fd, parts_.data(), static_cast<int>(parts_.size()));
}

ReceiveResult TapPort::receive(std::span<rte_mbuf*> frames) noexcept {
    ReceiveResult result;
    const int fd = fd_.load(std::memory_order_acquire);
    if (fd < 0) { return result; }
    const std::uint64_t now = rte_rdtsc();
    if (now < next_look_cycles_) { return result; }
    for (std::size_t tries = 0; tries < frames.size() && fill_reserve(); ++tries) {
        const ssize_t got = read_frame(fd);
        if (got < 0) {
            note_error(errno);
            next_look_cycles_ = now + rte_get_tsc_hz() / kLooksPerSecond;
            break;
        }
        if (static_cast<std::size_t>(got) <= sizeof header_) {
            ++result.broken_count;
            continue;
        }
        rte_mbuf* frame =
            take_frame(static_cast<std::uint32_t>(static_cast<std::size_t>(got) - sizeof header_));
        if (take_header(header_, *frame)) {
            frames[result.frame_count++] = frame;
        } else {
            ++result.broken_count;
            rte_pktmbuf_free(frame);
        }
    }
    return result;
}

bool TapPort::send_frame(int fd, const rte_mbuf& frame) noexcept {
    if (frame.nb_segs > kSendSegmentMax) {
        errno = EINVAL;
        return false;
    }
    VirtioHeader header = header_of(frame);
    std::array<iovec, kSendSegmentMax + 1U> parts;
    parts[0] = iovec{&header, sizeof header};
    int count = 1;
    for (const rte_mbuf* part = &frame; part != nullptr; part = part->next) {
        parts[static_cast<std::size_t>(count++)] =
            iovec{rte_pktmbuf_mtod(part, void*), part->data_len};
    }
    return writev(fd, parts.data(), count) >= 0;
}

// A frame that the stack refuses by itself (a header that it does not like) does not hold up those
// behind it.
std::uint16_t TapPort::send(std::span<rte_mbuf*> frames) noexcept {
    const int fd = fd_.load(std::memory_order_acquire);
    if (fd < 0) { return 0; }
    std::uint16_t taken = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (send_frame(fd, *frames[i])) {
            std::swap(frames[taken++], frames[i]);
            continue;
        }
        if (errno == EINVAL || errno == EINTR) { continue; }
        note_error(errno);
        break;
    }
    return taken;
}

std::size_t TapPort::kick_fds(std::span<int> room) noexcept {
    const int fd = fd_.load(std::memory_order_acquire);
    if (fd < 0 || room.empty()) { return 0; }
    room[0] = fd;
    return 1;
}

}  // namespace sluice::datapath
