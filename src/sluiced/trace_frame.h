// SPDX-License-Identifier: Apache-2.0
// Trace frame: the question of `sluice trace` and the frame that it describes. Addresses are known
// by here; what was left out was found by show_trace.cc. Control thread, pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/result.h"
#include "sluice/net/address.h"

namespace sluice::daemon {

/// As the operator put it; empty and -1 = left out.
struct TraceQuestion {
    std::string port, to_mac, from_mac, src, dst, proto, flags;
    std::int64_t sport = -1, dport = -1, vlan = -1, icmp_type = -1, icmp_code = -1, dscp = -1;
    bool from_network = false;
};

/// A frame on its way from host to host: its VTEPs and its bytes without the outer headers.
struct TunnelledFrame {
    std::uint32_t vni = 0;
    std::uint8_t key_policy = 0;      ///< Under which it is sealed; 0: in the clear.
    std::string source, destination;  ///< VTEPs' addresses; no destination: to all.
    std::string frame;                ///< Base64.
};

/// One frame, complete.
struct TraceFrame {
    MacAddr source_mac, destination_mac;
    IpAddr source, destination;  ///< Of one family.
    std::uint8_t protocol = 0;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint8_t tcp_flags = 0, icmp_type = 0, icmp_code = 0, dscp = 0;
    std::optional<std::uint16_t> vlan;
};

/// Protocol, ports, flags, ICMP, DSCP and VLAN of the question, with their defaults: TCP to `dport`
/// with a SYN if there is one, else an echo request. Addresses are left empty.
/// @return kInvalid with a sentence that names the value and what was expected
[[nodiscard]] Result<TraceFrame> frame_of(const TraceQuestion& question, bool is_v6);

/// The bytes: right lengths and IPv4 header checksum, transport checksum 0.
[[nodiscard]] std::vector<std::uint8_t> bytes_of(const TraceFrame& frame);

}  // namespace sluice::daemon
