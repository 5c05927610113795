// SPDX-License-Identifier: Apache-2.0
// DropReason: why a frame was dropped. This one list is the counter, the CLI text, the metric label
// and the manual. A drop is charged to the port where the frame entered. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// X(enumerator, text, meaning). Append only within a group; the text is a public name.
// clang-format off
#define SLUICE_DROP_REASONS(X) \
    /* What the frame is (parse) */ \
    X(TruncatedFrame,      truncated_frame,       "shorter than its Ethernet or VLAN header") \
    X(OversizeFrame,       oversize_frame,        "longer than the switch's MTU and not a segmentation request") \
    X(BadSourceMac,        bad_source_mac,        "source MAC is zero or a group address") \
    X(BadIpHeader,         bad_ip_header,         "IPv4 or IPv6 header: version, header length or chain is malformed") \
    X(BadIpLength,         bad_ip_length,         "IP length disagrees with the frame") \
    X(BadIpChecksum,       bad_ip_checksum,       "IPv4 header checksum is wrong") \
    X(BadIpAddress,        bad_ip_address,        "source or destination address can't appear on the wire") \
    X(BadIpOption,         bad_ip_option,         "source routing or another forbidden IP option or extension header") \
    X(BadL4Header,         bad_l4_header,         "transport header is truncated or its length is wrong") \
    X(BadTcpFlags,         bad_tcp_flags,         "TCP flags that no stack sends together") \
    X(BadTcpOption,        bad_tcp_option,        "TCP option runs past the header or has no length") \
    X(BadL4Checksum,       bad_l4_checksum,       "transport checksum is wrong") \
    X(BadIcmp,             bad_icmp,              "ICMP type or contents that a host never accepts") \
    X(BadFragment,         bad_fragment,          "fragment overlaps, is too small, too long or of an impossible size") \
    X(FragmentNoHead,      fragment_no_head,      "later fragment whose first fragment has not passed") \
    X(FragmentTableFull,   fragment_table_full,   "no room to follow another fragmented datagram, or to keep a fragment that waits") \
    X(FragmentTimeout,     fragment_timeout,      "waited for the rest of its datagram, which did not come in time") \
    X(BadOffload,          bad_offload,           "virtio header asks for an impossible offload") \
    X(BadDescriptor,       bad_descriptor,        "guest handed over a broken descriptor chain") \
    /* Where it wants to go (switching) */ \
    X(PortDisabled,        port_disabled,         "port is administratively down") \
    X(PortDown,            port_down,             "the receiving port has no peer") \
    X(VlanNotAllowed,      vlan_not_allowed,      "VLAN tag, or its absence, is not allowed on this port") \
    X(UnknownUnicast,      unknown_unicast,       "no port of the domain has the destination MAC") \
    X(NoDestination,       no_destination,        "no other port of the domain wants the frame") \
    X(SamePort,            same_port,             "destination is the port where the frame came from") \
    X(ReservedMac,         reserved_mac,          "link-local group address that a bridge never forwards") \
    X(Reflected,           reflected,             "came back from the fabric: its source MAC lives on this host") \
    X(OtherUplink,         other_uplink,          "for all, and came by an uplink or VTEP that none of them uses: another copy comes by theirs") \
    X(NoRoute,             no_route,              "the router has no route to the destination") \
    X(RouteBlackhole,      route_blackhole,       "the route to the destination is a blackhole") \
    X(TtlExpired,          ttl_expired,           "TTL or hop limit ran out at the router, and the sender is told") \
    X(NeighbourUnreachable, neighbour_unreachable, "nobody answers for the address that it must be handed to") \
    X(NeighbourQueueFull,  neighbour_queue_full,  "too many frames wait for addresses that are being resolved") \
    X(NotForRouter,        not_for_router,        "addressed to the router itself, which has no such service") \
    X(TooBig,              too_big,               "longer than the way to its destination carries, and the sender is told") \
    X(NoUplink,            no_uplink,             "no uplink or VTEP works that it could leave by") \
    X(TunnelDown,          tunnel_down,           "the remote VTEP does not answer") \
    X(UnderlayNotForUs,    underlay_not_for_us,   "sent to the VTEP, which takes tunnels, ARP, ND, echo and BFD only") \
    X(UnknownVtep,         unknown_vtep,          "tunnelled by a VTEP that is not known") \
    X(UnknownVni,          unknown_vni,           "tunnelled for a VNI that this host does not have") \
    X(BadVxlan,            bad_vxlan,             "VXLAN header or the outer headers are malformed") \
    X(InnerVlan,           inner_vlan,            "tunnelled with a VLAN tag inside (RFC 7348)") \
    X(TunnelSpoofedMac,    tunnel_spoofed_mac,    "tunnelled with the source MAC of a vNIC or router of this host") \
    X(BadBfd,              bad_bfd,               "malformed BFD, or of no session") \
    X(UnderlayRate,        underlay_rate,         "more ARP, ND and echo than the VTEP answers") \
    /* Slot 0, dvfilter */ \
    X(AclDeny,             acl_deny,              "an ACL rule denies it") \
    /* Slot 1, swsec */ \
    X(SpoofedMac,          spoofed_mac,           "source MAC is not the vNIC's") \
    X(SpoofedIp,           spoofed_ip,            "source IP is not the vNIC's (SpoofGuard)") \
    X(SpoofedArp,          spoofed_arp,           "ARP names a MAC or IP that is not the vNIC's (SpoofGuard)") \
    X(SpoofedNd,           spoofed_nd,            "neighbour discovery names a MAC or IP that is not the vNIC's (SpoofGuard)") \
    X(BadArp,              bad_arp,               "malformed ARP") \
    X(BadNd,               bad_nd,                "malformed neighbour discovery") \
    X(BadDhcp,             bad_dhcp,              "malformed DHCP") \
    X(GuardBpdu,           guard_bpdu,            "bridge protocol frame from a VM") \
    X(GuardDhcpServer,     guard_dhcp_server,     "DHCP server message from a VM") \
    X(GuardDhcpClient,     guard_dhcp_client,     "DHCP client message from a VM") \
    X(GuardRa,             guard_ra,              "router advertisement or redirect from a VM") \
    X(GuardNonIp,          guard_non_ip,          "neither ARP nor IP") \
    X(RateArp,             rate_arp,              "more ARP than the vNIC's limit") \
    X(RateNd,              rate_nd,               "more neighbour discovery than the vNIC's limit") \
    X(RateDhcp,            rate_dhcp,             "more DHCP than the vNIC's limit") \
    X(RateBroadcast,       rate_broadcast,        "more broadcast than the vNIC's limit") \
    X(RateMulticast,       rate_multicast,        "more multicast than the vNIC's limit") \
    X(MacLimit,            mac_limit,             "the port has learned as many MACs as it may") \
    X(BadMembership,       bad_membership,        "malformed IGMP or MLD") \
    /* Slot 2, dfw */ \
    X(DfwDeny,             dfw_deny,              "a firewall rule or the default denies it") \
    X(TcpNoConnection,     tcp_no_connection,     "TCP segment that belongs to no connection and can't open one") \
    X(TcpState,            tcp_state,             "TCP segment that is illegal in the connection's state") \
    X(TcpWindow,           tcp_window,            "TCP segment outside the connection's window") \
    X(IcmpNoConnection,    icmp_no_connection,    "ICMP reply or error that belongs to no connection") \
    X(ConnectionLimit,     connection_limit,      "the vNIC or the host has too many connections") \
    X(HalfOpenLimit,       half_open_limit,       "the vNIC has too many half-open connections") \
    X(DfwReject,           dfw_reject,            "a firewall rule or the default rejects it, and its sender is told") \
    /* Slots 4 to 12, redirect */ \
    X(ServiceDown,         service_down,          "no instance of the service works, and its rule fails closed") \
    X(ServiceDeny,         service_deny,          "an in-process service refused it") \
    X(ServiceReturn,       service_return,        "came out of a service's leg by which nothing of its connection can come") \
    X(ServiceLegOnly,      service_leg_only,      "service legs take what rules redirect, nothing is switched to them") \
    X(BadNsh,              bad_nsh,               "malformed network service header, or of a path that this host does not know") \
    X(ServiceProxyFull,    service_proxy_full,    "too many networks of other hosts pass plain services of this one: there is no tag for it") \
    /* Slot 15, encrypt */ \
    X(NoKey,               no_key,                "there is no key to seal or to open it with (yet)") \
    X(KeyExhausted,        key_exhausted,         "its key has sealed as many packets as one may") \
    X(EspReplay,           esp_replay,            "sealed packet that came before, or is older than the replay window") \
    X(BadEspTag,           bad_esp_tag,           "sealed packet that was changed on its way, or sealed with another key") \
    X(BadEsp,              bad_esp,               "sealed packet that is malformed") \
    X(PolicyClear,         policy_clear,          "in the clear, where a rule requires it sealed") \
    /* The worker */ \
    X(FirstPacketShare,    first_packet_share,    "new flows took the port's share of its worker while other ports waited") \
    /* Output */ \
    X(NoBuffer,            no_buffer,             "packet buffers ran out") \
    X(TxQueueFull,         tx_queue_full,         "the receiving guest did not offer buffers in time") \
    X(WorkerQueueFull,     worker_queue_full,     "the receiving port's worker is behind") \
    X(OffloadMissing,      offload_missing,       "the receiver can't take the offload that the frame needs")
// clang-format on

enum class DropReason : std::uint8_t {
    kNone = 0,
#define SLUICE_X(name, text, meaning) k##name,
    SLUICE_DROP_REASONS(SLUICE_X)
#undef SLUICE_X
        kCount
};

inline constexpr std::size_t kDropReasonCount = static_cast<std::size_t>(DropReason::kCount);

struct DropReasonInfo {
    std::string_view text;     ///< Public name: CLI, JSON, metric label.
    std::string_view meaning;  ///< Half a sentence for people.
};

inline constexpr std::array<DropReasonInfo, kDropReasonCount> kDropReasons = {
    {{"none", "not dropped"},
#define SLUICE_X(name, text, meaning) {#text, meaning},
     SLUICE_DROP_REASONS(SLUICE_X)
#undef SLUICE_X
    }};

[[nodiscard]] constexpr std::string_view to_string(DropReason reason) noexcept {
    return kDropReasons[static_cast<std::size_t>(reason)].text;
}

}  // namespace sluice
