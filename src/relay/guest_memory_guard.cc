// SPDX-License-Identifier: Apache-2.0
// The table and the SIGBUS handler. Each entry has a version: odd while it is being written, so
// that the handler never pairs one region's start with another's size.
#include "relay/guest_memory_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "relay/limits.h"
#include "sluice/base/assert.h"

namespace sluice::relay::guest_memory {
namespace {

struct Entry {
    std::atomic<std::uint32_t> version{0};  // control: rw, handler: ro; odd = being written
    std::atomic<std::uintptr_t> begin{0};   // control: rw, handler: ro; 0 = free
    std::atomic<std::size_t> bytes{0};      // control: rw, handler: ro
    std::atomic<std::uint16_t> port{0};     // control: rw, handler: ro
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free &&
              std::atomic<bool>::is_always_lock_free);

std::array<Entry, kGuardRegionMax> g_entries;
std::atomic<std::size_t> g_entries_used{0};               // highest index ever used + 1
std::array<std::atomic<bool>, kGuardPortMax> g_poisoned;  // handler: w, workers and control: r
std::uintptr_t g_page_bytes = 4096;

struct Region {
    std::uintptr_t begin;
    std::size_t bytes;
    std::uint16_t port;
};

/// Takes an entry for writing; false if another thread has it.
bool lock(Entry& entry) {
    auto version = entry.version.load(std::memory_order_relaxed);
    return (version & 1U) == 0 &&
           entry.version.compare_exchange_strong(version, version + 1, std::memory_order_acquire);
}

void unlock(Entry& entry) { entry.version.fetch_add(1, std::memory_order_release); }

bool fill(Entry& entry, const Region& region) {
    if (entry.begin.load(std::memory_order_relaxed) != 0 || !lock(entry)) { return false; }
    const bool is_free = entry.begin.load(std::memory_order_relaxed) == 0;
    if (is_free) {
        entry.bytes.store(region.bytes, std::memory_order_relaxed);
        entry.port.store(region.port, std::memory_order_relaxed);
        entry.begin.store(region.begin, std::memory_order_relaxed);
    }
    unlock(entry);
    return is_free;
}

void clear(Entry& entry) {
    while (!lock(entry)) {}
    entry.begin.store(0, std::memory_order_relaxed);
    unlock(entry);
}

// Async-signal-safe. An entry that changes while it is read is not the one that was hit: it is
// skipped.
bool find(std::uintptr_t address, Region& found) {
    const std::size_t used = g_entries_used.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < used; ++i) {
        const Entry& entry = g_entries[i];
        const auto before = entry.version.load(std::memory_order_acquire);
        found.begin = entry.begin.load(std::memory_order_relaxed);
        found.bytes = entry.bytes.load(std::memory_order_relaxed);
        found.port = entry.port.load(std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_acquire);
        const bool whole =
            (before & 1U) == 0 && entry.version.load(std::memory_order_relaxed) == before;
        if (whole && found.begin != 0 && address >= found.begin &&
            address - found.begin < found.bytes) {
            return true;
        }
    }
    return false;
}

bool map_zeros(std::uintptr_t begin, std::uintptr_t end) {
    void* const at = reinterpret_cast<void*>(begin);
    return ::mmap(at, end - begin, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                  -1, 0) == at;
}

// From the faulting page on. A mapping of huge pages can only be cut at their borders: 2 MiB, 1
// GiB, or the start.
bool cover(const Region& region, std::uintptr_t address) {
    const std::uintptr_t end = region.begin + region.bytes;
    for (const std::uintptr_t unit :
         {g_page_bytes, std::uintptr_t{1} << 21U, std::uintptr_t{1} << 30U}) {
        const std::uintptr_t begin = address & ~(unit - 1);
        if (begin >= region.begin && map_zeros(begin, end)) { return true; }
    }
    return map_zeros(region.begin, end);
}

void default_action(int signal_number, bool by_kill) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal_number, &action, nullptr);
    if (by_kill) {
        ::raise(signal_number);
    }  // A fault repeats by itself, with the right registers in the core.
}

void on_sigbus(int signal_number, siginfo_t* info, void* /*context*/) {
    const int saved_errno = errno;
    Region region{};
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const bool fault = info->si_code > 0;
    if (fault && find(address, region) && cover(region, address)) {
        g_poisoned[region.port].store(true, std::memory_order_release);
    } else {
        default_action(signal_number, !fault);
    }
    errno = saved_errno;
}

}  // namespace

bool add(void* address, std::size_t bytes, std::uint16_t port) {
    if (address == nullptr || bytes == 0 || port >= kGuardPortMax) { return false; }
    const Region region{reinterpret_cast<std::uintptr_t>(address), bytes, port};
    for (std::size_t i = 0; i < g_entries.size(); ++i) {
        if (!fill(g_entries[i], region)) { continue; }
        auto used = g_entries_used.load(std::memory_order_relaxed);
        while (used < i + 1 &&
               !g_entries_used.compare_exchange_weak(used, i + 1, std::memory_order_release)) {}
        return true;
    }
    return false;
}

bool remove(void* address) {
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    for (Entry& entry : g_entries) {
        if (begin == 0 || entry.begin.load(std::memory_order_relaxed) != begin) { continue; }
        clear(entry);
        return true;
    }
    return false;
}

void remove_port(std::uint16_t port) {
    for (Entry& entry : g_entries) {
        const bool used = entry.begin.load(std::memory_order_relaxed) != 0;
        if (used && entry.port.load(std::memory_order_relaxed) == port) { clear(entry); }
    }
    if (port < kGuardPortMax) { g_poisoned[port].store(false, std::memory_order_release); }
}

bool poisoned(std::uint16_t port) noexcept {
    return port < kGuardPortMax && g_poisoned[port].load(std::memory_order_relaxed);
}

const std::atomic<bool>& poison_flag(std::uint16_t port) noexcept {
    SLUICE_ASSERT(port < kGuardPortMax);
    return g_poisoned[port];
}

bool install_handler() {
    g_page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, nullptr) == 0;
}

}  // namespace sluice::relay::guest_memory
