// SPDX-License-Identifier: Apache-2.0
// LinkWatch: the state of the kernel's interfaces, by rtnetlink(7): one dump at start (and whenever
// the kernel says that something was lost), then what changes. For uplinks, whose drivers do not
// know their link. Only the daemon's own namespace. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "relay/asio.h"

struct nlmsghdr;

namespace sluice::daemon {

/// One interface.
struct LinkState {
    unsigned index = 0;
    bool is_set_up = false;    ///< Administratively.
    bool has_carrier = false;  ///< And its other side is there.

    bool operator==(const LinkState&) const = default;
};

class LinkWatch {
public:
    /// @param changed  called after something has changed
    LinkWatch(relay::asio::io_context& io, std::function<void()> changed);

    /// State of an interface by name; nullptr if there is none.
    [[nodiscard]] const LinkState* find(const std::string& interface) const;
    /// Takes what the kernel has said so far. It answers a listing at once.
    void read();
    void stop();

private:
    void request_dump();
    void wait();
    void take(const nlmsghdr& header);

    std::function<void()> changed_;
    relay::asio::posix::stream_descriptor stream_;
    std::map<std::string, LinkState> links_;
    std::uint32_t sequence_ = 0;
    bool ask_again_ = false;
};

/// Whether an interface has its carrier at this moment: by netlink the kernel may take a second to
/// say so. True if it can't be asked.
[[nodiscard]] bool has_carrier(const std::string& interface);

/// Mbit/s of an interface as its driver says; 0 if it does not.
[[nodiscard]] std::uint32_t link_speed_mbps(const std::string& interface);

}  // namespace sluice::daemon
