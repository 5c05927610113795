// SPDX-License-Identifier: Apache-2.0
// inotify(7) behind socket_watch.h. Callbacks only notify events, so they may be called while
// folders_ is walked.
#include "relay/socket_watch.h"

#include <sys/inotify.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "relay/socket_path.h"

namespace sluice::relay {
namespace {

constexpr std::uint32_t kEvents =
    IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Result<std::shared_ptr<SocketWatch>> SocketWatch::open(const asio::any_io_executor& executor) {
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        return Error{
            Errc::kIo, std::string("relay: cannot watch folders: ") + std::strerror(errno), {}};
    }
    std::shared_ptr<SocketWatch> watch{new SocketWatch(executor, fd)};
    spawn(executor, [](std::shared_ptr<SocketWatch> self) -> asio::awaitable<void> {
        co_await self->read_events();
    }(watch));
    return watch;
}

void SocketWatch::watch(const std::string& path, Appeared appeared) {
    folders_[folder_of(path)].names[name_of(path)] = std::move(appeared);
    (void)refresh(path);
}

void SocketWatch::unwatch(const std::string& path) {
    const auto folder = folders_.find(folder_of(path));
    if (folder == folders_.end()) { return; }
    folder->second.names.erase(name_of(path));
    if (!folder->second.names.empty()) { return; }
    const int descriptor = folder->second.descriptor;
    folders_.erase(folder);
    release(descriptor);
}

bool SocketWatch::refresh(const std::string& path) {
    const auto folder = folders_.find(folder_of(path));
    if (folder == folders_.end() || !stream_.is_open()) { return false; }
    // Idempotent for the same folder; another descriptor if the name now leads to another folder.
    const int found = ::inotify_add_watch(stream_.native_handle(), folder->first.c_str(), kEvents);
    const int old = std::exchange(folder->second.descriptor, found);
    if (old != found) { release(old); }
    return found >= 0;
}

void SocketWatch::close() {
    error_code ignored;
    stream_.close(ignored);
    folders_.clear();
}

// Two names may lead to one folder (a link), so a watch is removed with its last user.
void SocketWatch::release(int descriptor) {
    const bool used = std::any_of(
        folders_.begin(), folders_.end(),
        [descriptor](const auto& entry) { return entry.second.descriptor == descriptor; });
    if (descriptor >= 0 && !used && stream_.is_open()) {
        (void)::inotify_rm_watch(stream_.native_handle(), descriptor);
    }
}

asio::awaitable<void> SocketWatch::read_events() {
    while (stream_.is_open()) {
        error_code ec;
        co_await stream_.async_wait(asio::posix::stream_descriptor::wait_read, into(ec));
        if (ec || !stream_.is_open() || !drain()) { co_return; }
    }
}

bool SocketWatch::drain() {
    alignas(inotify_event) char buffer[16384];
    for (;;) {
        const ssize_t size = ::read(stream_.native_handle(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) { continue; }
        if (size <= 0) { return size < 0 && errno == EAGAIN; }
        for (const char* at = buffer; at < buffer + size;) {
            inotify_event event{};
            std::memcpy(&event, at, sizeof event);
            const char* name = at + sizeof event;
            dispatch(event.wd, event.mask, std::string(name, ::strnlen(name, event.len)));
            at = name + event.len;
        }
    }
}

void SocketWatch::dispatch(int descriptor, std::uint32_t mask, const std::string& name) {
    const bool all = (mask & IN_Q_OVERFLOW) != 0;  // Events were lost: let everybody look.
    for (auto& [path, folder] : folders_) {
        if (!all && folder.descriptor != descriptor) { continue; }
        if ((mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) { folder.descriptor = -1; }
        for (auto& [watched, appeared] : folder.names) {
            if (all || watched == name) { appeared(); }
        }
    }
    if ((mask & IN_MOVE_SELF) != 0) { release(descriptor); }
}

}  // namespace sluice::relay
