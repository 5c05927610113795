// SPDX-License-Identifier: Apache-2.0
// A library for LD_PRELOAD that cuts a program short at its Nth call on files of one folder: killed
// before the call, killed in the middle of a write, or refused with an error. What to do stands in
// a control file that the test maps, too (SLUICE_CUT names it; part_config.py writes it), so that a
// running daemon can be told. Calls of any thread count.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

enum Action : std::int32_t { kKill = 1, kKillInMiddle = 2, kFail = 3, kFailFromHere = 4 };

/// The control file. The same layout as CONTROL in part_config.py.
struct Control {
    std::atomic<std::int64_t> left;  ///< Calls that pass before one is cut; negative: all pass.
    std::int32_t action;
    std::int32_t error;               ///< errno of kFail and kFailFromHere.
    std::atomic<std::uint64_t> seen;  ///< Calls on files of the folder so far.
    char folder[232];
};
static_assert(sizeof(Control) == 256);

constexpr int kFdMax = 65536;
std::atomic<bool> watched[kFdMax];

Control* control() {
    static Control* const mapped = [] {
        const char* path = std::getenv("SLUICE_CUT");
        const int fd = path != nullptr ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void* memory =
            fd < 0 ? MAP_FAILED
                   : mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd >= 0) { close(fd); }
        return memory == MAP_FAILED ? nullptr : static_cast<Control*>(memory);
    }();
    return mapped;
}

bool concerns(const char* path) {
    static thread_local bool is_asking = false;  // control() opens a file itself.
    if (is_asking) { return false; }
    is_asking = true;
    const Control* by = control();
    is_asking = false;
    return by != nullptr && by->folder[0] != 0 &&
           std::strncmp(path, by->folder, std::strlen(by->folder)) == 0;
}

bool concerns(int fd) { return fd >= 0 && fd < kFdMax && watched[fd].load(); }

[[noreturn]] void die() {
    kill(getpid(), SIGKILL);
    for (;;) { pause(); }
}

/// What becomes of a call: 0 it is made, else the action.
std::int32_t judge() {
    Control& by = *control();
    by.seen.fetch_add(1);
    if (by.left.load() < 0) { return 0; }
    if (by.action == kFailFromHere && by.left.load() == 0) { return kFail; }
    if (by.left.fetch_sub(1) != 0) { return 0; }
    if (by.action == kKill) { die(); }
    if (by.action == kFailFromHere) { by.left.store(0); }
    return by.action == kFailFromHere ? kFail : by.action;
}

/// False: the call fails with errno set. Calls that have no middle die before.
bool may_call() {
    const std::int32_t action = judge();
    if (action == kKillInMiddle) { die(); }
    if (action == 0) { return true; }
    errno = control()->error;
    return false;
}

template <typename Function>
Function real(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int open_file(const char* name, const char* path, int flags, mode_t mode) {
    using Open = int (*)(const char*, int, ...);
    static const Open plain = real<Open>("open");
    static const Open large = real<Open>("open64");
    const bool is_ours = concerns(path);
    if (is_ours && !may_call()) { return -1; }
    const int fd = (std::strcmp(name, "open") == 0 ? plain : large)(path, flags, mode);
    if (fd >= 0 && fd < kFdMax) { watched[fd].store(is_ours); }
    return fd;
}

mode_t mode_of(int flags, va_list arguments) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : mode_t{0};
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file("open64", path, flags, mode);
}

int close(int fd) {
    static const auto call = real<int (*)(int)>("close");
    if (fd >= 0 && fd < kFdMax) { watched[fd].store(false); }
    return call(fd);
}

ssize_t write(int fd, const void* bytes, size_t size) {
    static const auto call = real<ssize_t (*)(int, const void*, size_t)>("write");
    if (!concerns(fd)) { return call(fd, bytes, size); }
    switch (judge()) {
        case 0: return call(fd, bytes, size);
        case kKillInMiddle: {
            [[maybe_unused]] const ssize_t half = call(fd, bytes, size / 2);
            die();
        }
        default: break;
    }
    errno = control()->error;
    return -1;
}

int fsync(int fd) {
    static const auto call = real<int (*)(int)>("fsync");
    return concerns(fd) && !may_call() ? -1 : call(fd);
}

int rename(const char* from, const char* to) {
    static const auto call = real<int (*)(const char*, const char*)>("rename");
    return concerns(to) && !may_call() ? -1 : call(from, to);
}

int link(const char* from, const char* to) {
    static const auto call = real<int (*)(const char*, const char*)>("link");
    return concerns(to) && !may_call() ? -1 : call(from, to);
}

int unlink(const char* path) {
    static const auto call = real<int (*)(const char*)>("unlink");
    return concerns(path) && !may_call() ? -1 : call(path);
}

}  // extern "C"
