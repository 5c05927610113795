// SPDX-License-Identifier: Apache-2.0
// Notices new sockets: one inotify descriptor for the daemon, one watch a folder, shared by the
// ports whose sockets live there. A folder that disappears loses its watch; refresh() finds it
// again. The io_context's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "relay/asio.h"
#include "sluice/base/result.h"

namespace sluice::relay {

class SocketWatch : public std::enable_shared_from_this<SocketWatch> {
public:
    using Appeared = std::function<void()>;

    /// Opens the inotify descriptor and starts its reader. Errc::kIo when the kernel has none left.
    static Result<std::shared_ptr<SocketWatch>> open(const asio::any_io_executor& executor);

    /// Calls `appeared` whenever something is created, moved to or changed at `path` (absolute),
    /// until unwatch(). One watcher a path; a second call replaces the first.
    void watch(const std::string& path, Appeared appeared);
    void unwatch(const std::string& path);
    /// Looks again for the folder of a watched path: it may be a new one under the old name.
    /// @return false if there is no such folder now
    bool refresh(const std::string& path);
    void close();

private:
    struct Folder {
        int descriptor = -1;
        std::map<std::string, Appeared> names;
    };

    SocketWatch(const asio::any_io_executor& executor, int fd) : stream_(executor, fd) {}
    asio::awaitable<void> read_events();
    bool drain();
    void dispatch(int descriptor, std::uint32_t mask, const std::string& name);
    void release(int descriptor);

    asio::posix::stream_descriptor stream_;
    std::map<std::string, Folder> folders_;
};

}  // namespace sluice::relay
