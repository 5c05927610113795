// SPDX-License-Identifier: Apache-2.0
// Messages between the daemon and its privileged helper: fixed-size requests and answers over a
// SOCK_SEQPACKET pair, one a packet, a TAP's descriptor beside the answer by SCM_RIGHTS. Both ends
// check what they get: sizes, terminators, ranges. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "relay/fd.h"
#include "sluice/base/limits.h"
#include "sluice/base/result.h"
#include "sluice/model/port.h"

namespace sluice::privileged {

/// What an interface of a kernel port shall be.
struct InterfaceSpec {
    std::string netns;  ///< Below /run/netns; empty = the daemon's own.
    std::string name;
    MacAddr mac;
    std::uint16_t mtu = 1500;
    std::vector<model::InterfaceAddress> addresses;

    bool operator==(const InterfaceSpec&) const = default;
};

/// An interface that was made; it lives as long as `tap`.
struct MadeInterface {
    relay::Fd tap;  ///< Non-blocking; frames with virtio headers of 10 bytes.
    std::uint32_t index = 0;
    std::uint64_t netns_inode = 0;  ///< Of its namespace; 0 = the daemon's own.
};

enum class Operation : std::uint32_t {
    kOpen = 1,       ///< Makes the interface; answers with its TAP.
    kConfigure = 2,  ///< Gives a present one (`index`) MAC, MTU and addresses; takes others away.
};

/// One request as it travels. Texts end with a zero.
struct Request {
    std::uint64_t id = 0;
    Operation operation = Operation::kOpen;
    std::uint32_t index = 0;  ///< kConfigure: the interface's number.
    std::array<char, kNameLengthMax + 1> netns{};
    std::array<char, kInterfaceNameMax + 1> name{};
    MacAddr mac;
    std::uint16_t mtu = 0;
    std::uint16_t address_count = 0;
    struct Address {
        std::uint8_t family = 0;  ///< 4 or 6.
        std::uint8_t prefix_length = 0;
        std::array<std::uint8_t, 16> bytes{};  ///< IpAddr's form.
    };
    std::array<Address, kKernelAddressMax> addresses{};
};

/// One answer as it travels.
struct Answer {
    std::uint64_t id = 0;
    std::uint32_t failed = 0;       ///< 0 or 1.
    std::uint32_t error = 0;        ///< Errc, if it failed.
    std::uint32_t index = 0;        ///< The interface's number.
    std::uint64_t netns_inode = 0;  ///< Of the namespace that it was made in; 0 = the daemon's own.
    std::array<char, 256> message{};
};

/// A spec as a request; it must have passed the document's checks.
[[nodiscard]] Request make_request(std::uint64_t id, Operation operation, std::uint32_t index,
                                   const InterfaceSpec& spec);
/// The spec of a request that came in; nullopt if it is none.
[[nodiscard]] std::optional<InterfaceSpec> read_request(const Request& request);

/// Sends one packet without waiting. False if the peer is gone or does not read.
template <typename Message>
[[nodiscard]] bool send_message(int socket, const Message& message, int descriptor = -1);

enum class Received : std::uint8_t { kMessage, kNothing, kBroken, kEnd };
/// Takes one packet: kBroken if it has another size. `descriptor` gets what came beside it.
template <typename Message>
[[nodiscard]] Received receive_message(int socket, Message& message, relay::Fd& descriptor,
                                       bool wait);

}  // namespace sluice::privileged
