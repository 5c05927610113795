// SPDX-License-Identifier: Apache-2.0
// LinkWatch: see link_watch.h. Every length is checked by the kernel's own NLMSG_OK and RTA_OK.
#include "src/sluiced/link_watch.h"

#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/fd.h"

namespace sluice::daemon {
namespace {

namespace asio = relay::asio;

constexpr unsigned kLowerUp = 1U << 16U;  // IFF_LOWER_UP, which <net/if.h> does not have.
constexpr std::size_t kMessageBytes = 65536;

}  // namespace

LinkWatch::LinkWatch(asio::io_context& io, std::function<void()> changed)
    : changed_(std::move(changed)), stream_(io) {
    relay::Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)};
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (!socket.valid() ||
        bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        spdlog::error("uplinks: no netlink socket: {}: no link is seen", std::strerror(errno));
        return;
    }
    stream_.assign(socket.release());
    request_dump();
    wait();
}

const LinkState* LinkWatch::find(const std::string& interface) const {
    const auto at = links_.find(interface);
    return at == links_.end() ? nullptr : &at->second;
}

void LinkWatch::stop() {
    relay::error_code ignored;
    stream_.close(ignored);
}

void LinkWatch::request_dump() {
    struct {
        nlmsghdr header;
        ifinfomsg body;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_GETLINK;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = ++sequence_;
    links_.clear();
    if (send(stream_.native_handle(), &request, sizeof request, 0) < 0) {
        spdlog::error("uplinks: interfaces can't be listed: {}", std::strerror(errno));
    }
}

void LinkWatch::wait() {
    stream_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this](const relay::error_code& error) {
                           if (error) { return; }
                           read();
                           changed_();
                           wait();
                       });
}

void LinkWatch::read() {
    alignas(nlmsghdr) static std::array<char, kMessageBytes> buffer;  // Control thread only.
    for (;;) {
        const ssize_t got = recv(stream_.native_handle(), buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == ENOBUFS) {  // Messages were lost.
            request_dump();
            continue;
        }
        if (got <= 0) { return; }
        auto left = static_cast<std::uint32_t>(got);
        for (auto* at = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(at, left);
             at = NLMSG_NEXT(at, left)) {
            take(*at);
        }
    }
}

void LinkWatch::take(const nlmsghdr& header) {
    // A listing that was asked for while another one ran is refused: ask again when that ends.
    if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_seq == sequence_) { ask_again_ = true; }
    if (header.nlmsg_type == NLMSG_DONE && std::exchange(ask_again_, false)) { request_dump(); }
    const bool is_new = header.nlmsg_type == RTM_NEWLINK;
    if ((!is_new && header.nlmsg_type != RTM_DELLINK) ||
        header.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) {
        return;
    }
    const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(&header));
    const auto index = static_cast<unsigned>(body->ifi_index);
    std::string name;
    auto left = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(ifinfomsg)));
    for (const rtattr* at = IFLA_RTA(body); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        if (at->rta_type != IFLA_IFNAME) { continue; }
        const auto* text = static_cast<const char*>(RTA_DATA(at));
        name.assign(text, strnlen(text, RTA_PAYLOAD(at)));
    }
    // Also under a former name.
    std::erase_if(links_, [index](const auto& link) { return link.second.index == index; });
    if (!is_new || name.empty()) { return; }
    links_[name] = {index, (body->ifi_flags & IFF_UP) != 0, (body->ifi_flags & kLowerUp) != 0};
}

bool has_carrier(const std::string& interface) {
    const relay::Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ethtool_value value{};
    value.cmd = ETHTOOL_GLINK;
    ifreq request{};
    if (interface.size() >= sizeof request.ifr_name) { return true; }
    std::memcpy(request.ifr_name, interface.data(), interface.size());
    request.ifr_data = reinterpret_cast<char*>(&value);
    return ioctl(socket.get(), SIOCETHTOOL, &request) != 0 || value.data != 0;
}

std::uint32_t link_speed_mbps(const std::string& interface) {
    const relay::Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ethtool_cmd command{};
    command.cmd = ETHTOOL_GSET;
    ifreq request{};
    if (interface.size() >= sizeof request.ifr_name) { return 0; }
    std::memcpy(request.ifr_name, interface.data(), interface.size());
    request.ifr_data = reinterpret_cast<char*>(&command);
    if (ioctl(socket.get(), SIOCETHTOOL, &request) != 0) { return 0; }
    const std::uint32_t speed = ethtool_cmd_speed(&command);
    return speed == static_cast<std::uint32_t>(SPEED_UNKNOWN) ? 0 : speed;
}

}  // namespace sluice::daemon
