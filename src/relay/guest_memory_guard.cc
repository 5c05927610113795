// SPDX-License-Identifier: Apache-2.0
// The table and the SIGBUS handler. Each entry has a version: odd while it is being written, so
// that the handler never pairs one region's start with another's size.
#include "relay/guest_memory_guard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
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

/// A file that the library may have mapped for a port.
struct File {
    std::atomic<std::uint64_t> device{0};  // control: rw, handler: ro
    std::atomic<std::uint64_t> inode{0};   // control: rw, handler: ro; 0 = free
};
struct PortFiles {
    std::array<File, kGuardFilesPerPort> files;
    std::atomic<std::uint32_t> next{0};  // control
};
std::array<PortFiles, kGuardPortMax> g_files;
int g_maps = -1;  // /proc/self/maps, opened once: the handler may have no right to.

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

/// A line of /proc/self/maps, read digit by digit: sscanf is not async-signal-safe.
class MapsLine {
public:
    MapsLine(const char* begin, const char* end) : at_(begin), end_(end) {}
    std::uint64_t number(unsigned base) {
        std::uint64_t value = 0;
        for (; at_ < end_ && digit(*at_) < base; ++at_) { value = value * base + digit(*at_); }
        return value;
    }
    /// Passes `count` fields that end with a space.
    void skip_fields(unsigned count) {
        for (; count > 0; --count) {
            at_ = std::find(at_, end_, ' ');
            skip(1);
        }
    }
    void skip(std::ptrdiff_t count) { at_ += std::min(count, end_ - at_); }

private:
    static unsigned digit(char c) {
        if (c >= '0' && c <= '9') { return static_cast<unsigned>(c - '0'); }
        return c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10U : 99U;
    }
    const char* at_;
    const char* end_;
};

bool port_of_file(std::uint64_t device, std::uint64_t inode, std::uint16_t& port) {
    for (std::size_t i = 0; inode != 0 && i < g_files.size(); ++i) {
        for (const File& file : g_files[i].files) {
            if (file.inode.load(std::memory_order_acquire) == inode &&
                file.device.load(std::memory_order_relaxed) == device) {
                port = static_cast<std::uint16_t>(i);
                return true;
            }
        }
    }
    return false;
}

enum class Mapped : std::uint8_t { kElsewhere, kForeign, kExpected, kCovered };

// "7f00-7f10 rw-s 00000000 00:01 1042 /memfd:ram": what is `address` to this line?
Mapped read_mapping(MapsLine line, std::uintptr_t address, Region& found) {
    found.begin = line.number(16);
    line.skip(1);
    found.bytes = line.number(16) - found.begin;
    if (address < found.begin || address - found.begin >= found.bytes) {
        return Mapped::kElsewhere;
    }
    line.skip(1);
    line.skip_fields(2);
    const auto major = static_cast<unsigned>(line.number(16));
    line.skip(1);
    const auto minor = static_cast<unsigned>(line.number(16));
    line.skip(1);
    const std::uint64_t inode = line.number(10);
    if (inode == 0) { return Mapped::kCovered; }  // Another thread was faster.
    return port_of_file(makedev(major, minor), inode, found.port) ? Mapped::kExpected
                                                                  : Mapped::kForeign;
}

// Async-signal-safe: pread and a buffer on the stack. A line longer than it ends the search.
Mapped find_mapping(std::uintptr_t address, Region& found) {
    std::array<char, 4096> text;
    off_t offset = 0;
    std::size_t kept = 0;
    for (;;) {
        const ssize_t size = ::pread(g_maps, text.data() + kept, text.size() - kept, offset);
        if (size <= 0) { return Mapped::kForeign; }
        offset += size;
        const char* line = text.data();
        const char* const end = text.data() + kept + static_cast<std::size_t>(size);
        for (const char* stop; (stop = std::find(line, end, '\n')) != end; line = stop + 1) {
            const Mapped what = read_mapping({line, stop}, address, found);
            if (what != Mapped::kElsewhere) { return what; }
        }
        kept = static_cast<std::size_t>(end - line);
        if (kept == text.size()) { return Mapped::kForeign; }
        std::copy(line, end, text.data());
    }
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

// True: the fault is mended, and its reader goes on with zeros.
bool mend(std::uintptr_t address, bool is_beyond_file) {
    Region region{};
    if (!find(address, region)) {
        if (!is_beyond_file) { return false; }
        const Mapped what = find_mapping(address, region);
        if (what == Mapped::kCovered) { return true; }
        if (what != Mapped::kExpected) { return false; }
    }
    if (!cover(region, address)) { return false; }
    g_poisoned[region.port].store(true, std::memory_order_release);
    return true;
}

void on_sigbus(int signal_number, siginfo_t* info, void* /*context*/) {
    const int saved_errno = errno;
    const bool fault = info->si_code > 0;
    const bool is_beyond_file = info->si_code == BUS_ADRERR;  // Else: broken hardware.
    if (!fault || !mend(reinterpret_cast<std::uintptr_t>(info->si_addr), is_beyond_file)) {
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

void expect(std::span<const int> files, std::uint16_t port) {
    if (port >= kGuardPortMax) { return; }
    PortFiles& known = g_files[port];
    for (const int fd : files) {
        struct stat status {};
        if (::fstat(fd, &status) != 0) { continue; }
        const auto index = known.next.fetch_add(1, std::memory_order_relaxed) % kGuardFilesPerPort;
        File& file = known.files[index];
        file.inode.store(0, std::memory_order_release);
        file.device.store(status.st_dev, std::memory_order_relaxed);
        file.inode.store(status.st_ino, std::memory_order_release);
    }
    g_poisoned[port].store(false, std::memory_order_release);
}

void forget_files(std::uint16_t port) {
    if (port >= kGuardPortMax) { return; }
    for (File& file : g_files[port].files) { file.inode.store(0, std::memory_order_release); }
}

bool poisoned(std::uint16_t port) noexcept {
    return port < kGuardPortMax && g_poisoned[port].load(std::memory_order_relaxed);
}

bool take_poison(std::uint16_t port) noexcept {
    return port < kGuardPortMax && g_poisoned[port].exchange(false, std::memory_order_acq_rel);
}

const std::atomic<bool>& poison_flag(std::uint16_t port) noexcept {
    SLUICE_ASSERT(port < kGuardPortMax);
    return g_poisoned[port];
}

bool install_handler() {
    g_page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    if (g_maps < 0) { g_maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC); }
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, nullptr) == 0;
}

}  // namespace sluice::relay::guest_memory
