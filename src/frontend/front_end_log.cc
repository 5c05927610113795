// SPDX-License-Identifier: Apache-2.0
// FrontEnd's part in live migration, in the order in which QEMU does it (hw/virtio/vhost.c): a
// dirty log that the device marks, and a look at whether it marked all that it wrote.
#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>

#include "front_end.h"

namespace sluice::frontend {
namespace {

constexpr std::size_t kLogPageBytes = 4096;
constexpr std::size_t kPagesAWord = 64;
constexpr std::uint32_t kVringLogged = 1;
constexpr std::uint64_t kLogAll = std::uint64_t{1} << 26U;

struct LogArea {
    std::uint64_t mmap_size;
    std::uint64_t mmap_offset;
};

}  // namespace

DirtyLog::~DirtyLog() {
    if (words_ != nullptr) { ::munmap(words_, bytes_); }
}

Status DirtyLog::create(std::uint64_t guest_end) {
    bytes_ = (guest_end / kLogPageBytes / kPagesAWord + 1) * sizeof(std::uint64_t);
    file_.reset(::memfd_create("dirty-log", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file_.valid() || ::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0 ||
        ::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        return io_error("dirty log");
    }
    void* at = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (at == MAP_FAILED) { return io_error("mmap dirty log"); }
    words_ = static_cast<std::uint64_t*>(at);
    return Ok{};
}

bool DirtyLog::is_marked(std::uint64_t guest_address) const {
    const std::uint64_t page = guest_address / kLogPageBytes;
    const std::uint64_t word =
        std::atomic_ref(words_[page / kPagesAWord]).load(std::memory_order_acquire);
    return (word >> page % kPagesAWord & 1U) != 0;
}

Status FrontEnd::share_logged_rings(bool on) {
    for (unsigned vring = 0; vring < 2 * pairs_.size(); ++vring) {
        SplitRing& ring =
            vring % 2 == 0 ? pairs_[vring / 2]->rx.ring() : pairs_[vring / 2]->tx.ring();
        VringAddress address = ring.addresses(vring);
        if (on) {
            address.flags = kVringLogged;
            address.log = memory_.guest_address_of(&ring.used());
        }
        if (auto done = request(Request::kSetVringAddr, bytes_of(address), {}, true); !done) {
            return done;
        }
    }
    return Ok{};
}

Status FrontEnd::start_log() {
    log_ = std::make_unique<DirtyLog>();
    if (auto made = log_->create(memory_.end_of(memory_.region_count() - 1)); !made) {
        return made;
    }
    const LogArea area{log_->size_bytes(), 0};
    const int fd[] = {log_->fd()};
    auto answer = ask(Request::kSetLogBase, bytes_of(area), fd);
    if (!answer) { return answer.error(); }
    features_ |= kLogAll;
    if (auto done = request(Request::kSetFeatures, bytes_of(features_), {}, true); !done) {
        return done;
    }
    auto shared = share_logged_rings(true);
    before_ =
        memory_
            .copy();  // As QEMU: what was written before is copied, what is written now is logged.
    return shared;
}

Status FrontEnd::stop_log() {
    features_ &= ~kLogAll;
    if (auto done = request(Request::kSetFeatures, bytes_of(features_), {}, true); !done) {
        return done;
    }
    return share_logged_rings(false);
}

// What the device alone writes: receive buffers, and the used rings' index and elements. Their
// flags and the wish for kicks are the device's own affair, set anew by whichever has the ring.
LogCheck FrontEnd::check_log() const {
    LogCheck check;
    const auto compare = [&](const std::uint8_t* now, std::size_t size) {
        const std::uint64_t guest = memory_.guest_address_of(now);
        const std::uint8_t* old = before_.data() + memory_.copy_offset_of(now);
        for (std::size_t at = 0; at < size;) {
            const std::size_t to_end = kLogPageBytes - (guest + at) % kLogPageBytes;
            const std::size_t piece = std::min(size - at, to_end);
            if (std::memcmp(now + at, old + at, piece) != 0) {
                ++check.changed;
                if (!log_->is_marked(guest + at)) { ++check.unmarked; }
            } else if (log_->is_marked(guest + at)) {
                ++check.marked_alike;
            }
            at += piece;
        }
    };
    for (const auto& pair : pairs_) {
        const RxQueue& rx = pair->rx;
        for (const GuestSpan& buffer : rx.buffers()) { compare(buffer.host, rx.buffer_bytes()); }
        for (SplitRing* ring : {&pair->rx.ring(), &pair->tx.ring()}) {
            const auto* index = reinterpret_cast<const std::uint8_t*>(&ring->used().index);
            compare(index, sizeof ring->used().index);
            const auto* elements = reinterpret_cast<const std::uint8_t*>(&ring->used().entries[0]);
            compare(elements, sizeof(UsedElement) * ring->size());
        }
    }
    return check;
}

Status FrontEnd::send_rarp(std::uint64_t mac) {
    return request(Request::kSendRarp, bytes_of(mac), {}, true);
}

Status FrontEnd::move_to(const std::string& socket, Milliseconds timeout) {
    channel_.close();
    if (listener_.valid()) {
        ::unlink(options_.socket.c_str());
        auto listener = listen_unix(socket);
        if (!listener) { return listener.error(); }
        listener_ = std::move(listener).value();
    }
    options_.socket = socket;
    return reconnect(timeout, false);
}

}  // namespace sluice::frontend
