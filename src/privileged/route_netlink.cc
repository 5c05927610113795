// SPDX-License-Identifier: Apache-2.0
// See route_netlink.h. Requests are built in place; every length of an answer is checked by the
// NLMSG_OK and RTA_OK of the kernel's own headers.
#include "privileged/route_netlink.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::privileged {
namespace {

constexpr std::size_t kAnswerBytes = 32768;
constexpr timeval kPatience{2, 0};  // The kernel answers at once.

/// A request with room for a few attributes.
template <typename Body>
struct Request {
    nlmsghdr header{};
    Body body{};
    std::array<std::uint8_t, 256> room{};

    Request(std::uint16_t type, std::uint16_t flags) {
        header.nlmsg_len = NLMSG_LENGTH(sizeof body);
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
    }
    void add(std::uint16_t type, const void* data, std::size_t size) {
        auto* at = reinterpret_cast<rtattr*>(reinterpret_cast<std::uint8_t*>(&header) +
                                             NLMSG_ALIGN(header.nlmsg_len));
        at->rta_type = type;
        at->rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
        std::memcpy(RTA_DATA(at), data, size);
        header.nlmsg_len =
            static_cast<std::uint32_t>(NLMSG_ALIGN(header.nlmsg_len) + RTA_ALIGN(at->rta_len));
    }
};

int error_of(const nlmsghdr& header) {
    if (header.nlmsg_len < NLMSG_LENGTH(sizeof(nlmsgerr))) { return EPROTO; }
    nlmsgerr error{};
    std::memcpy(&error, NLMSG_DATA(&header), sizeof error);
    return -error.error;
}

bool is_link_local(const IpAddr& ip) {
    return ip.is_v6() && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0U) == 0x80;
}

/// Adds the address of a RTM_NEWADDR message, if it is one of `index`.
void take_address(const nlmsghdr& header, std::uint32_t index,
                  std::vector<model::InterfaceAddress>& out) {
    if (header.nlmsg_type != RTM_NEWADDR || header.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) {
        return;
    }
    const auto* body = static_cast<const ifaddrmsg*>(NLMSG_DATA(&header));
    if (body->ifa_index != index) { return; }
    const bool is_v4 = body->ifa_family == AF_INET;
    const std::size_t size = is_v4 ? 4 : 16;
    model::InterfaceAddress address;
    auto left = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(ifaddrmsg)));
    for (const rtattr* at = IFA_RTA(body); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        // IFA_LOCAL is the interface's own, IFA_ADDRESS the peer's where they differ.
        const bool is_own = at->rta_type == IFA_LOCAL || (at->rta_type == IFA_ADDRESS && !is_v4);
        if (!is_own || RTA_PAYLOAD(at) != size) { continue; }
        address.ip = IpAddr{};
        address.ip.family = is_v4 ? IpFamily::kV4 : IpFamily::kV6;
        std::memcpy(&address.ip.bytes[16 - size], RTA_DATA(at), size);
    }
    address.prefix_length = body->ifa_prefixlen;
    if (address.ip.family != IpFamily::kNone && !is_link_local(address.ip)) {
        out.push_back(address);
    }
}

}  // namespace

Result<RouteNetlink> RouteNetlink::open() {
    relay::Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (!socket.valid()) {
        return Error{Errc::kIo, std::string("no netlink socket: ") + std::strerror(errno), ""};
    }
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    return RouteNetlink(std::move(socket));
}

int RouteNetlink::transact(void* message) {
    auto* header = static_cast<nlmsghdr*>(message);
    header->nlmsg_seq = ++sequence_;
    header->nlmsg_flags |= NLM_F_ACK;
    if (send(socket_.get(), header, header->nlmsg_len, 0) < 0) { return errno; }
    alignas(nlmsghdr) std::array<char, 4096> answer;
    for (;;) {
        const ssize_t got = recv(socket_.get(), answer.data(), answer.size(), 0);
        if (got < 0) { return errno; }
        auto left = static_cast<std::uint32_t>(got);
        for (auto* at = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(at, left);
             at = NLMSG_NEXT(at, left)) {
            if (at->nlmsg_seq == sequence_ && at->nlmsg_type == NLMSG_ERROR) {
                return error_of(*at);
            }
        }
    }
}

int RouteNetlink::set_link(std::uint32_t index, const MacAddr& mac, std::uint16_t mtu) {
    Request<ifinfomsg> request(RTM_NEWLINK, 0);
    request.body.ifi_index = static_cast<int>(index);
    const std::uint32_t wide = mtu;
    request.add(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
    request.add(IFLA_MTU, &wide, sizeof wide);
    return transact(&request);
}

int RouteNetlink::set_up(std::uint32_t index) {
    Request<ifinfomsg> request(RTM_NEWLINK, 0);
    request.body.ifi_index = static_cast<int>(index);
    request.body.ifi_flags = IFF_UP;
    request.body.ifi_change = IFF_UP;
    return transact(&request);
}

int RouteNetlink::change_address(std::uint16_t type, std::uint16_t flags, std::uint32_t index,
                                 const model::InterfaceAddress& address) {
    Request<ifaddrmsg> request(type, flags);
    const bool is_v4 = address.ip.is_v4();
    const std::size_t size = is_v4 ? 4 : 16;
    request.body.ifa_family = is_v4 ? AF_INET : AF_INET6;
    request.body.ifa_prefixlen = address.prefix_length;
    request.body.ifa_index = index;
    if (!is_v4) { request.body.ifa_flags = IFA_F_NODAD; }  // The switch knows who has it.
    const std::uint8_t* bytes = &address.ip.bytes[16 - size];
    request.add(IFA_LOCAL, bytes, size);
    request.add(IFA_ADDRESS, bytes, size);
    return transact(&request);
}

int RouteNetlink::add_address(std::uint32_t index, const model::InterfaceAddress& address) {
    const int error = change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
    return error == EEXIST ? 0 : error;
}

int RouteNetlink::remove_address(std::uint32_t index, const model::InterfaceAddress& address) {
    const int error = change_address(RTM_DELADDR, 0, index, address);
    return error == EADDRNOTAVAIL ? 0 : error;
}

Result<std::vector<model::InterfaceAddress>> RouteNetlink::addresses(std::uint32_t index) {
    Request<ifaddrmsg> request(RTM_GETADDR, NLM_F_DUMP);
    request.header.nlmsg_seq = ++sequence_;
    const Error failure{Errc::kIo, "the interface's addresses can't be read", ""};
    if (send(socket_.get(), &request, request.header.nlmsg_len, 0) < 0) { return failure; }
    std::vector<model::InterfaceAddress> found;
    alignas(nlmsghdr) std::array<char, kAnswerBytes> answer;
    for (;;) {
        const ssize_t got = recv(socket_.get(), answer.data(), answer.size(), 0);
        if (got < 0) { return failure; }
        auto left = static_cast<std::uint32_t>(got);
        for (auto* at = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(at, left);
             at = NLMSG_NEXT(at, left)) {
            if (at->nlmsg_seq != sequence_) { continue; }
            if (at->nlmsg_type == NLMSG_DONE) { return found; }
            if (at->nlmsg_type == NLMSG_ERROR) { return failure; }
            take_address(*at, index, found);
        }
    }
}

}  // namespace sluice::privileged
