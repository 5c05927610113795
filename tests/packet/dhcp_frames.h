// SPDX-License-Identifier: Apache-2.0
// DHCP messages in frames, for packet tests: put together by an implementation of its own. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/packet/frames.h"

namespace sluice::test {

/// A UDP datagram with this payload, checksum filled in.
[[nodiscard]] Bytes datagram(const Path& path, std::uint16_t source, std::uint16_t destination,
                             const Bytes& payload);
[[nodiscard]] Bytes operator+(Bytes a, const Bytes& b);

/// The BOOTP fields that matter; options follow the cookie as they are.
struct Dhcp4Fields {
    std::uint8_t operation = 1;
    std::uint32_t xid = 0x11223344;
    MacAddr client;
    IpAddr client_ip = ip("0.0.0.0"), your_ip = ip("0.0.0.0"), relay_ip = ip("0.0.0.0");
    Bytes options;
};
[[nodiscard]] Bytes dhcp4_payload(const Dhcp4Fields& fields);

inline constexpr std::uint8_t kDhcpDiscover = 1, kDhcpOffer = 2, kDhcpRequest = 3, kDhcpDecline = 4,
                              kDhcpAck = 5, kDhcpNak = 6, kDhcpRelease = 7, kDhcpInform = 8;

/// Options, each with code and length. An END is added by nobody.
[[nodiscard]] Bytes option4(std::uint8_t code, const Bytes& value);
[[nodiscard]] Bytes type4(std::uint8_t type);
[[nodiscard]] Bytes ip4(std::uint8_t code, const IpAddr& address);
[[nodiscard]] Bytes lease4(std::uint32_t seconds);

/// A client's broadcast, from 0.0.0.0 unless it has an address.
[[nodiscard]] Bytes from_client4(const MacAddr& client, const Bytes& options,
                                 std::uint32_t xid = 0x11223344,
                                 const IpAddr& client_ip = ip("0.0.0.0"));
/// A server's answer to a client, unicast to it unless `is_broadcast`.
[[nodiscard]] Bytes from_server4(const Vnic& server, const MacAddr& client, const IpAddr& your_ip,
                                 const Bytes& options, std::uint32_t xid = 0x11223344,
                                 bool is_broadcast = false);

[[nodiscard]] Bytes option6(std::uint16_t code, const Bytes& value);
/// IA_NA with these addresses (IAADDR) and whatever else is in it.
[[nodiscard]] Bytes association6(const Bytes& inner, std::uint16_t code = 3);
[[nodiscard]] Bytes address6(const IpAddr& address, std::uint32_t preferred_s,
                             std::uint32_t valid_s, const Bytes& inner = {});
[[nodiscard]] Bytes status6(std::uint16_t status);
[[nodiscard]] Bytes message6(std::uint8_t type, std::uint32_t transaction, const Bytes& options);

}  // namespace sluice::test
