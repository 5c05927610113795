// SPDX-License-Identifier: Apache-2.0
// vhost_call: see vhost_call.h. A slot a thread; its turn is odd while a write is on its way.
#include "datapath/vhost_call.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace sluice::datapath {
namespace {

constexpr std::size_t kThreadMax = 256;  // RTE_MAX_LCORE and some more.

struct alignas(64) Slot {
    std::atomic<bool> is_taken{false};   // its thread: rw, control: ro
    std::atomic<std::uint32_t> turn{0};  // its thread: rw, control: ro; odd in a write
    std::atomic<pthread_t> thread{};     // its thread: w, control: r
    std::uint32_t seen_turn = 0;         // control
};
std::array<Slot, kThreadMax> g_slots;
std::array<std::atomic<const void*>, 16> g_blocking{};  // workers: w, control: rw

/// The calling thread's slot, from its first write to its end.
class Caller {
public:
    Caller() noexcept {
        for (Slot& slot : g_slots) {
            if (slot.is_taken.exchange(true, std::memory_order_acq_rel)) { continue; }
            slot.thread.store(::pthread_self(), std::memory_order_release);
            slot_ = &slot;
            return;
        }
    }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;
    ~Caller() {
        if (slot_ != nullptr) { slot_->is_taken.store(false, std::memory_order_release); }
    }
    void step() noexcept {
        if (slot_ == nullptr) { return; }
        slot_->turn.store(slot_->turn.load(std::memory_order_relaxed) + 1,
                          std::memory_order_release);
    }

private:
    Slot* slot_ = nullptr;
};

thread_local bool t_was_interrupted = false;

void on_interrupt(int /*signal*/) {}

bool is_stuck(Slot& slot) noexcept {
    const std::uint32_t turn = slot.turn.load(std::memory_order_acquire);
    const bool is_same = turn == slot.seen_turn;
    slot.seen_turn = turn;
    return is_same && (turn & 1U) != 0 && slot.is_taken.load(std::memory_order_acquire);
}

int write_call(int fd, std::uint64_t value) noexcept {
    thread_local Caller caller;
    caller.step();
    const ssize_t written = ::write(fd, &value, sizeof value);
    caller.step();
    if (written < 0 && errno == EINTR) { t_was_interrupted = true; }
    return written == sizeof value ? 0 : -1;
}

}  // namespace

Status install_call_interrupts() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;  // Without SA_RESTART: a blocked write ends with EINTR.
    ::sigemptyset(&action.sa_mask);
    if (::sigaction(SIGURG, &action, nullptr) != 0) {
        return Error{Errc::kIo, std::string("vhost: SIGURG: ") + std::strerror(errno), ""};
    }
    return Ok{};
}

unsigned interrupt_blocked_calls() noexcept {
    unsigned count = 0;
    for (Slot& slot : g_slots) {
        if (!is_stuck(slot)) { continue; }
        ::pthread_kill(slot.thread.load(std::memory_order_acquire), SIGURG);
        ++count;
    }
    return count;
}

bool take_blocked_call() noexcept {
    if (!t_was_interrupted) [[likely]] { return false; }
    t_was_interrupted = false;
    return true;
}

void tell_blocking(const void* port) noexcept {
    for (auto& told : g_blocking) {
        const void* free = nullptr;
        if (told.compare_exchange_strong(free, port, std::memory_order_release) || free == port) {
            return;
        }
    }
}

const void* take_blocking() noexcept {
    for (auto& told : g_blocking) {
        if (told.load(std::memory_order_relaxed) == nullptr) { continue; }
        if (const void* port = told.exchange(nullptr, std::memory_order_acquire)) { return port; }
    }
    return nullptr;
}

}  // namespace sluice::datapath

// Instead of the C library's, for every caller in the process.
extern "C" int eventfd_write(int fd, eventfd_t value) {
    return sluice::datapath::write_call(fd, value);
}
