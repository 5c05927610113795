// SPDX-License-Identifier: Apache-2.0
// DHCP messages as bytes on the wire say them (RFC 2131, 2132, 3396; RFC 8415): pure readers, every
// length checked, for slot 1's verdicts (iochain/swsec/dhcp.cc), for the snooping of leases
// (datapath/dhcp_snooping.cc) and for fuzzing. Implemented in iochain/swsec/dhcp4_message.cc and
// dhcp6_message.cc. No allocation; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "sluice/base/limits.h"
#include "sluice/iochain/frame.h"
#include "sluice/net/address.h"

namespace sluice {

inline constexpr std::uint16_t kDhcp4ServerPort = 67, kDhcp4ClientPort = 68;
inline constexpr std::uint16_t kDhcp6ClientPort = 546, kDhcp6ServerPort = 547;
inline constexpr std::uint32_t kDhcpInfinite = 0xffffffffU;  ///< A lease without an end.

enum class Dhcp4Operation : std::uint8_t { kRequest = 1, kReply = 2 };

/// Option 53 (RFC 2132 §9.6).
enum class Dhcp4Type : std::uint8_t {
    kDiscover = 1,
    kOffer,
    kRequest,
    kDecline,
    kAck,
    kNak,
    kRelease,
    kInform
};

/// One DHCPv4 message. Options are those of the option field and of `file` and `sname` where they
/// are overloaded (option 52), split ones joined (RFC 3396).
struct Dhcp4Message {
    Dhcp4Operation operation = Dhcp4Operation::kRequest;
    Dhcp4Type type = Dhcp4Type::kDiscover;  ///< Fits `operation`.
    std::uint32_t xid = 0;                  ///< Bytes as on the wire.
    MacAddr client_mac;                     ///< chaddr
    IpAddr client_ip, your_ip, relay_ip;    ///< ciaddr, yiaddr, giaddr; IPv4, 0.0.0.0 if none.
    std::optional<IpAddr> requested_ip;     ///< Option 50.
    std::optional<IpAddr> server_ip;        ///< Option 54.
    std::optional<IpAddr> router_ip;        ///< The first of option 3.
    std::optional<std::uint32_t> lease_s;   ///< Option 51; kDhcpInfinite = no end.
    bool rapid_commit = false;              ///< Option 80 (RFC 4039).
};

/// Message types of DHCPv6 (RFC 8415 §7.3).
enum class Dhcp6Type : std::uint8_t {
    kSolicit = 1,
    kAdvertise,
    kRequest,
    kConfirm,
    kRenew,
    kRebind,
    kReply,
    kRelease,
    kDecline,
    kReconfigure,
    kInformation,
    kRelayForward,
    kRelayReply
};

/// One address of an IA_NA or IA_TA.
struct Dhcp6Lease {
    IpAddr ip;
    std::uint32_t valid_s = 0;  ///< 0 = no more; kDhcpInfinite = no end.
};

/// One DHCPv6 message. Of a relayed one the fields are those of the innermost message.
struct Dhcp6Message {
    Dhcp6Type type = Dhcp6Type::kSolicit;
    std::uint8_t relays = 0;          ///< Relay messages around it.
    std::uint32_t transaction = 0;    ///< 24 bits, host order.
    std::uint32_t client_digest = 0;  ///< Of the client's DUID; 0 = it names none.
    bool is_success = true;           ///< No status code, or Success (RFC 8415 §21.13).
    bool rapid_commit = false;
    /// Without those whose IA or address bears another status than Success, or whose preferred
    /// lifetime is longer than the valid one. More than fit are left out.
    std::array<Dhcp6Lease, kDhcp6LeaseMax> leases;
    std::uint8_t lease_count = 0;

    [[nodiscard]] std::span<const Dhcp6Lease> addresses() const noexcept {
        return {leases.data(), lease_count};
    }
};

/// What the UDP header of a whole datagram carries; nothing of a fragment.
[[nodiscard]] std::optional<std::span<const std::uint8_t>> dhcp_payload(
    const ParsedFrame& frame) noexcept;

/// @return nothing if it is no well-formed DHCPv4 message of Ethernet: BOOTP header, cookie, all
/// options inside, one type that fits the operation. What follows an END is not read.
[[nodiscard]] std::optional<Dhcp4Message> read_dhcp4(
    std::span<const std::uint8_t> payload) noexcept;

/// @return nothing if header, an option, or an option in an IA, an address or a relayed message
/// runs past what holds it, or relays are nested deeper than kDhcp6RelayMax
[[nodiscard]] std::optional<Dhcp6Message> read_dhcp6(
    std::span<const std::uint8_t> payload) noexcept;

}  // namespace sluice
