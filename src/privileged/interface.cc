// SPDX-License-Identifier: Apache-2.0
// See interface.h.
#include "privileged/interface.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "privileged/netns.h"
#include "privileged/route_netlink.h"
#include "sluice/net/address_text.h"

namespace sluice::privileged {
namespace {

constexpr int kHeaderBytes = 10;  // virtio_net_hdr (datapath/virtio_header.h).

std::string place_of(const InterfaceSpec& spec) {
    return spec.netns.empty() ? "" : " in netns \"" + spec.netns + "\"";
}

Error failure(const InterfaceSpec& spec, const std::string& what, int error) {
    const std::string name = "interface \"" + spec.name + "\"";
    if (error == EPERM || error == EACCES) {
        return Error{Errc::kDenied,
                     name + " can't be made" + place_of(spec) + ": no permission (CAP_NET_ADMIN)",
                     ""};
    }
    return Error{Errc::kIo, name + place_of(spec) + ": " + what + ": " + std::strerror(error), ""};
}

Error taken(const InterfaceSpec& spec) {
    return Error{Errc::kExists,
                 "interface name \"" + spec.name + "\" is taken" +
                     (spec.netns.empty() ? " on this host" : place_of(spec)),
                 ""};
}

Result<relay::Fd> open_tap(const InterfaceSpec& spec) {
    if (if_nametoindex(spec.name.c_str()) != 0) { return taken(spec); }
    relay::Fd tap{open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    if (!tap.valid()) { return failure(spec, "/dev/net/tun can't be opened", errno); }
    ifreq request{};
    std::memcpy(request.ifr_name, spec.name.data(), spec.name.size());
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
    if (ioctl(tap.get(), TUNSETIFF, &request) != 0) {
        if (errno == EBUSY || errno == EEXIST) { return taken(spec); }
        return failure(spec, "can't be made", errno);
    }
    int header = kHeaderBytes;
    if (ioctl(tap.get(), TUNSETVNETHDRSZ, &header) != 0 ||
        ioctl(tap.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
        return failure(spec, "offloads can't be set", errno);
    }
    return tap;
}

Status set_addresses(RouteNetlink& netlink, const InterfaceSpec& spec, std::uint32_t index) {
    Result<std::vector<model::InterfaceAddress>> present = netlink.addresses(index);
    if (!present) { return present.error(); }
    for (const model::InterfaceAddress& old : present.value()) {
        const auto& wanted = spec.addresses;
        if (std::find(wanted.begin(), wanted.end(), old) != wanted.end()) { continue; }
        if (const int error = netlink.remove_address(index, old); error != 0) {
            return failure(spec, "address " + to_string(old.ip) + " can't be removed", error);
        }
    }
    for (const model::InterfaceAddress& address : spec.addresses) {
        const int error = netlink.add_address(index, address);
        if (error == EACCES && address.ip.is_v6()) {
            return Error{Errc::kInvalid,
                         "address " + to_string(address.ip) + " can't be set: IPv6 is off for \"" +
                             spec.name + "\"" + place_of(spec),
                         ""};
        }
        if (error != 0) {
            return failure(spec,
                           "address " + to_string(address.ip) + "/" +
                               std::to_string(address.prefix_length) + " can't be set",
                           error);
        }
    }
    return Ok{};
}

Status set_up(const InterfaceSpec& spec, std::uint32_t index) {
    Result<RouteNetlink> netlink = RouteNetlink::open();
    if (!netlink) { return netlink.error(); }
    if (const int error = netlink.value().set_link(index, spec.mac, spec.mtu); error != 0) {
        return failure(
            spec,
            "mac " + to_string(spec.mac) + " and mtu " + std::to_string(spec.mtu) + " can't be set",
            error);
    }
    // Addresses of IPv6 need an interface that is up.
    if (const int error = netlink.value().set_up(index); error != 0) {
        return failure(spec, "can't be set up", error);
    }
    return set_addresses(netlink.value(), spec, index);
}

}  // namespace

Result<MadeInterface> open_interface(const InterfaceSpec& spec) {
    const Result<NetnsVisit> visit = NetnsVisit::enter(spec.netns);
    if (!visit) { return visit.error(); }
    Result<relay::Fd> tap = open_tap(spec);
    if (!tap) { return tap.error(); }
    const std::uint32_t index = if_nametoindex(spec.name.c_str());
    if (Status status = set_up(spec, index); !status) { return status.error(); }
    return MadeInterface{std::move(tap).value(), index, visit.value().inode()};
}

Status configure_interface(const InterfaceSpec& spec, std::uint32_t index) {
    const Result<NetnsVisit> visit = NetnsVisit::enter(spec.netns);
    if (!visit) { return visit.error(); }
    if (index == 0 || if_nametoindex(spec.name.c_str()) != index) {
        return Error{Errc::kState,
                     "interface \"" + spec.name + "\"" + place_of(spec) + " is another one now",
                     ""};
    }
    return set_up(spec, index);
}

}  // namespace sluice::privileged
