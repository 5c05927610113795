// SPDX-License-Identifier: Apache-2.0
// model::Uplink: the noun `uplinks`, a physical way out of the host. Plain value, any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice::model {

/// A network device that carries a switch's VLANs to the fabric.
struct Uplink {
    std::string name;
    std::string
        device;  ///< DPDK's device string: NAME[,KEY=VALUE]... ("net_af_packet0,iface=eth1").

    bool operator==(const Uplink&) const = default;
};

/// The device's own name: what stands before the first comma.
[[nodiscard]] constexpr std::string_view device_name(std::string_view device) noexcept {
    return device.substr(0, device.find(','));
}

/// The kernel's interface that a device string names by `iface=`; empty if it names none, or the
/// path of a socket (net_vhost).
[[nodiscard]] constexpr std::string_view device_interface(std::string_view device) noexcept {
    constexpr std::string_view kKey = "iface=";
    while (!device.empty()) {
        const std::size_t comma = device.find(',');
        const std::string_view item = device.substr(0, comma);
        if (item.substr(0, kKey.size()) == kKey) {
            const std::string_view value = item.substr(kKey.size());
            return value.find('/') == std::string_view::npos ? value : std::string_view{};
        }
        if (comma == std::string_view::npos) { break; }
        device.remove_prefix(comma + 1);
    }
    return {};
}

}  // namespace sluice::model
