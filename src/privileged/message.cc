// SPDX-License-Identifier: Apache-2.0
// See message.h.
#include "privileged/message.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sluice/base/assert.h"

namespace sluice::privileged {
namespace {

template <std::size_t kSize>
void put(std::array<char, kSize>& out, const std::string& text) {
    SLUICE_ASSERT(text.size() < kSize);
    std::copy(text.begin(), text.end(), out.begin());
}

/// False if the text has no end.
template <std::size_t kSize>
bool take(const std::array<char, kSize>& in, std::string& text) {
    const auto end = std::find(in.begin(), in.end(), '\0');
    text.assign(in.begin(), end);
    return end != in.end();
}

bool is_plain(const std::string& text) {
    return text != "." && text != ".." && text.find('/') == std::string::npos;
}

// As the document's rule has it: the kernel would fill in a "%d", and ends a name at ":".
bool is_interface_name(const std::string& text) {
    return !text.empty() && is_plain(text) && std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f && c != '%' && c != ':';
    });
}

}  // namespace

Request make_request(std::uint64_t id, Operation operation, std::uint32_t index,
                     const InterfaceSpec& spec) {
    SLUICE_ASSERT(spec.addresses.size() <= kKernelAddressMax);
    Request request;
    request.id = id;
    request.operation = operation;
    request.index = index;
    put(request.netns, spec.netns);
    put(request.name, spec.name);
    request.mac = spec.mac;
    request.mtu = spec.mtu;
    request.address_count = static_cast<std::uint16_t>(spec.addresses.size());
    for (std::size_t i = 0; i < spec.addresses.size(); ++i) {
        request.addresses[i] = {static_cast<std::uint8_t>(spec.addresses[i].ip.family),
                                spec.addresses[i].prefix_length, spec.addresses[i].ip.bytes};
    }
    return request;
}

std::optional<InterfaceSpec> read_request(const Request& request) {
    InterfaceSpec spec;
    const bool known =
        request.operation == Operation::kOpen || request.operation == Operation::kConfigure;
    if (!known || !take(request.netns, spec.netns) || !take(request.name, spec.name) ||
        !is_interface_name(spec.name) || !is_plain(spec.netns) || request.mac.is_group() ||
        request.mtu < kMtuMin || request.mtu > kMtuMax ||
        request.address_count > kKernelAddressMax) {
        return std::nullopt;
    }
    spec.mac = request.mac;
    spec.mtu = request.mtu;
    for (std::uint16_t i = 0; i < request.address_count; ++i) {
        const Request::Address& from = request.addresses[i];
        if (from.family != 4 && from.family != 6) { return std::nullopt; }
        if (from.prefix_length > (from.family == 4 ? 32 : 128)) { return std::nullopt; }
        spec.addresses.push_back(
            {IpAddr{from.bytes, static_cast<IpFamily>(from.family)}, from.prefix_length});
    }
    return spec;
}

template <typename Message>
bool send_message(int socket, const Message& message, int descriptor) {
    iovec part{const_cast<Message*>(&message), sizeof message};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (descriptor >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        cmsghdr* right = CMSG_FIRSTHDR(&header);
        right->cmsg_level = SOL_SOCKET;
        right->cmsg_type = SCM_RIGHTS;
        right->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(right), &descriptor, sizeof descriptor);
    }
    return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof message);
}

template <typename Message>
Received receive_message(int socket, Message& message, relay::Fd& descriptor, bool wait) {
    iovec part{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    // CMSG_SPACE() has room for a second descriptor, which nobody would close.
    header.msg_controllen = CMSG_LEN(sizeof(int));
    ssize_t got = -1;
    do {
        got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    } while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) { return Received::kNothing; }
    if (got <= 0) { return Received::kEnd; }
    for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) { continue; }
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(at), sizeof fd);
        descriptor.reset(fd);
    }
    const bool whole = got == static_cast<ssize_t>(sizeof message) &&
                       (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    return whole ? Received::kMessage : Received::kBroken;
}

template bool send_message<Request>(int, const Request&, int);
template bool send_message<Answer>(int, const Answer&, int);
template Received receive_message<Request>(int, Request&, relay::Fd&, bool);
template Received receive_message<Answer>(int, Answer&, relay::Fd&, bool);

}  // namespace sluice::privileged
