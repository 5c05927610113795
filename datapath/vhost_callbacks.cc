// SPDX-License-Identifier: Apache-2.0
// vhost callbacks: path -> VhostPort under a mutex. A port stays registered until
// unregister_vhost() has returned.
#include "datapath/vhost_callbacks.h"

#include <rte_vhost.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <map>
#include <mutex>

namespace sluice::datapath {
namespace {

std::mutex g_mutex;
std::map<std::string, VhostPort*>& ports() {
    static std::map<std::string, VhostPort*>
        by_path;  // No static constructor: made at the first registration.
    return by_path;
}

VhostPort* port_of(int vid) {
    char path[PATH_MAX] = "";
    if (rte_vhost_get_ifname(vid, path, sizeof path) != 0) { return nullptr; }
    const std::lock_guard lock(g_mutex);
    const auto at = ports().find(path);
    return at == ports().end() ? nullptr : at->second;
}

int on_new_device(int vid) {
    VhostPort* port = port_of(vid);
    if (port == nullptr) { return -1; }
    port->attached(vid);
    return 0;
}

void on_destroy_device(int vid) {
    if (VhostPort* port = port_of(vid)) { port->detached(); }
}

int on_vring_state_changed(int vid, std::uint16_t ring, int is_enabled) {
    if (VhostPort* port = port_of(vid)) { port->ring_changed(ring, is_enabled != 0); }
    return 0;
}

const rte_vhost_device_ops kCallbacks = [] {
    rte_vhost_device_ops ops{};
    ops.new_device = on_new_device;
    ops.destroy_device = on_destroy_device;
    ops.vring_state_changed = on_vring_state_changed;
    return ops;
}();

// Feature bits (Virtual I/O Device 1.2 §5.1.3, §6; the kernel's header for them is not C++).
enum Feature : unsigned {
    kCsum = 0,
    kGuestCsum = 1,
    kMtu = 3,
    kGuestTso4 = 7,
    kGuestTso6 = 8,
    kHostTso4 = 11,
    kHostTso6 = 12,
    kMergeableBuffers = 15,
    kControlQueue = 17,
    kControlRx = 18,
    kMultiQueue = 22,
    kLogAll = 26,
    kAnyLayout = 27,
    kIndirectDescriptors = 28,
    kEventIndex = 29,
    kProtocolFeatures = 30,
    kVersion1 = 32,
};

constexpr std::uint64_t bit(unsigned number) noexcept { return std::uint64_t{1} << number; }

Status registration_error(const std::string& path, const char* what) {
    rte_vhost_driver_unregister(path.c_str());
    return Error{Errc::kIo, "vhost: " + path + ": " + what, ""};
}

}  // namespace

// A connection to a socket that we close again.
void wake_vhost(const std::string& path) {
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (listener < 0 || path.size() >= sizeof address.sun_path) { return; }
    path.copy(address.sun_path, path.size());
    static const rte_vhost_device_ops kNoCallbacks{};
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        listen(listener, 1) == 0 &&
        rte_vhost_driver_register(path.c_str(),
                                  RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT) == 0) {
        rte_vhost_driver_callback_register(path.c_str(), &kNoCallbacks);
        rte_vhost_driver_start(path.c_str());
        rte_vhost_driver_unregister(path.c_str());
    }
    close(listener);
    unlink(path.c_str());
}

std::uint64_t offered_features() noexcept {
    std::uint64_t features = 0;
    for (const Feature feature :
         {kCsum, kGuestCsum, kMtu, kGuestTso4, kGuestTso6, kHostTso4, kHostTso6, kMergeableBuffers,
          kControlQueue, kControlRx, kMultiQueue, kLogAll, kAnyLayout, kIndirectDescriptors,
          kEventIndex, kProtocolFeatures, kVersion1}) {
        features |= bit(feature);
    }
    return features;
}

Status register_vhost(VhostPort& port) {
    const std::string& path = port.path();
    if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
        return Error{Errc::kInvalid,
                     "vhost: socket path " + path + " is longer than a Unix socket's path can be",
                     ""};
    }
    if (rte_vhost_driver_register(path.c_str(), 0) != 0) {
        return Error{Errc::kIo, "vhost: " + path + ": the vhost library refused the path", ""};
    }
    // Setting features outright would turn the library's own rings off.
    if (rte_vhost_driver_disable_features(path.c_str(), ~offered_features()) != 0) {
        return registration_error(path, "can't choose features");
    }
    {
        const std::lock_guard lock(g_mutex);
        ports()[path] = &port;
    }
    if (rte_vhost_driver_callback_register(path.c_str(), &kCallbacks) != 0 ||
        rte_vhost_driver_start(path.c_str()) != 0) {
        const std::lock_guard lock(g_mutex);
        ports().erase(path);
        return registration_error(path, "can't listen");
    }
    return Ok{};
}

void unregister_vhost(VhostPort& port) {
    rte_vhost_driver_unregister(
        port.path().c_str());  // Calls destroy_device, and returns when no callback runs any more.
    const std::lock_guard lock(g_mutex);
    if (const auto at = ports().find(port.path()); at != ports().end() && at->second == &port) {
        ports().erase(at);
    }
}

}  // namespace sluice::datapath
