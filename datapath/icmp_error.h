// SPDX-License-Identifier: Apache-2.0
// ICMP errors that routers, VTEPs and firewall rules answer packets with (RFC 792, RFC 1191, RFC
// 4443), whom they may be said to, and how often. Called at the end of a dropped packet's way, by
// the worker that polls its ingress.
#pragma once

#include <cstdint>

#include "datapath/context.h"

struct rte_mbuf;

namespace sluice::datapath {

enum class IcmpErrorKind : std::uint8_t {
    kTimeExceeded,     ///< 11/0; 3/0.
    kNetUnreachable,   ///< 3/0; 1/0.
    kHostUnreachable,  ///< 3/1; 1/3.
    kPortUnreachable,  ///< 3/3; 1/4.
    kProhibited,       ///< 3/13; 1/1.
    kTooBig,           ///< 3/4 (RFC 1191 §4); 2/0.
};

struct IcmpError {
    IcmpErrorKind kind;
    MacAddr from_mac;
    IpAddr from_ip;         ///< Of the offender's family.
    std::uint16_t mtu = 0;  ///< Of kTooBig: bytes of layer 3 that would pass.
};

/// False for what no error may be said about: errors and what might be one, groups, later
/// fragments, senders that are no one host (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)), and all that is
/// no IP. Of the packet as it came.
[[nodiscard]] bool may_be_told(const ParsedFrame& offender) noexcept;

/// The error about `frame`, which it quotes: as much as the error may hold (RFC 1812 §4.3.2.3, RFC
/// 4443 §2.4 (c)). From error.from_mac to the frame's source MAC, tagged as it is; charged to its
/// ingress, counted nowhere yet. may_be_told() is the caller's to ask.
/// @return nullptr: no buffer
[[nodiscard]] rte_mbuf* make_icmp_error(WorkerContext& context, const rte_mbuf& frame,
                                        const ParsedFrame& offender,
                                        const IcmpError& error) noexcept;

/// Says it to the sender, by the port where the offender came in, through its tunnel if it came by
/// one: if may_be_told(), and within kIcmpErrorPerPortPps of that port. Passes no chain. The
/// offender stays the caller's.
void tell_sender(WorkerContext& context, const rte_mbuf& frame, const ParsedFrame& offender,
                 const IcmpError& error) noexcept;

/// Outputs a frame to the sender of `to`, by the port where that came in, through its tunnel.
void return_to_sender(WorkerContext& context, rte_mbuf* frame, const ParsedFrame& to) noexcept;
/// The same for an answer of the switch itself: counts it as created.
void send_back(WorkerContext& context, rte_mbuf* answer, const ParsedFrame& to) noexcept;

}  // namespace sluice::datapath
