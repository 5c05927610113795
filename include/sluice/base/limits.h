// SPDX-License-Identifier: Apache-2.0
// Every limit of the product, one constexpr each: sizes of the document, of tables, of requests, of
// queues. Constants only, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// The document (checked when it is parsed; more is Errc::kLimit).
inline constexpr std::size_t kDocumentBytesMax = 256U * 1024U * 1024U;
inline constexpr std::size_t kDocumentDepthMax = 32;  ///< Nested arrays and objects.
inline constexpr std::size_t kNameLengthMax = 64;     ///< Bytes of an object's name.
inline constexpr std::size_t kTagLengthMax = 128;     ///< Bytes of a tag's key, and of its value.
inline constexpr std::size_t kSwitchMax = 64;
inline constexpr std::size_t kPortGroupMax = 4096;
inline constexpr std::size_t kPortMax = 1024;         ///< Below kNoPort (ids.h).
inline constexpr std::size_t kPortIpMax = 256;        ///< Addresses of one vNIC.
inline constexpr std::size_t kInterfaceNameMax = 15;  ///< Bytes, IFNAMSIZ without its zero.
inline constexpr std::size_t kKernelAddressMax = 64;  ///< Addresses of one kernel port.
inline constexpr std::size_t kUplinkMax = 64;         ///< Uplinks of the host.
inline constexpr std::size_t kDeviceStringMax = 512;  ///< Bytes of an uplink's device string.
inline constexpr std::size_t kPortTagMax = 64;        ///< Tags of one port or group.
inline constexpr std::size_t kAddressSetMax = 65536;
inline constexpr std::size_t kAddressSetMemberMax = 1000000;  ///< Of one set.
inline constexpr std::size_t kGroupMax = 65536;
inline constexpr std::size_t kGroupAddressMax =
    1000000;  ///< Addresses of members elsewhere, of one group or port group.
inline constexpr std::size_t kAclMax = 4096;
inline constexpr std::size_t kSectionMax = 4096;
inline constexpr std::size_t kRuleMax = 100000;  ///< Firewall and ACL rules of the host together.
inline constexpr std::size_t kRulePerSectionMax = 100000;
inline constexpr std::size_t kRuleItemMax = 4096;  ///< Items of one list of a rule.
inline constexpr std::size_t kVlanRangeMax = 256;  ///< Ranges of one trunk.
inline constexpr std::size_t kAclCountMax =
    14;  ///< ACL rules of one vNIC and direction that count and go on.
inline constexpr std::uint16_t kVlanMin = 1;
inline constexpr std::uint16_t kVlanMax = 4094;  ///< 4095 is reserved (IEEE 802.1Q).
inline constexpr std::uint16_t kMtuMin = 576;    ///< Bytes of layer 3 (RFC 791).
inline constexpr std::uint16_t kMtuMax = 9216;
inline constexpr std::uint32_t kTimeoutMaxS = 30U * 86400U;
inline constexpr std::uint32_t kGraceMaxS = 86400;
inline constexpr std::uint32_t kRateMaxPps = 100000000;
inline constexpr std::uint32_t kConnectionMax = 64000000;
inline constexpr std::uint32_t kFlowMax =
    64000000;  ///< Flow-table entries a port group may ask for, a vNIC.
inline constexpr std::uint32_t kBindingLimitMax =
    256;  ///< Addresses of a family that a port group may let a vNIC claim by first use.
inline constexpr std::uint32_t kBindingPerPortMax =
    4096;  ///< The same where there is no limit, and leases: what is remembered of a vNIC.
inline constexpr std::size_t kStaticBindingMax = 1000000;  ///< `bindings` of the document.
inline constexpr std::uint32_t kVniMax = 16777215;         ///< RFC 7348 §5; 0 is no network.
inline constexpr std::size_t kVtepMax = 16;                ///< VTEPs of the host.
inline constexpr std::size_t kRemoteVtepMax = 8192;        ///< VTEPs of other hosts.
inline constexpr std::uint16_t kVtepMtuMax = 9216;         ///< Bytes of layer 3 of the underlay.
inline constexpr std::uint32_t kBfdIntervalMinMs = 10;
inline constexpr std::uint32_t kBfdIntervalMaxMs = 60000;
inline constexpr std::uint8_t kBfdMultiplierMax = 50;
inline constexpr std::size_t kRouterMax = 256;
inline constexpr std::size_t kRouterInterfaceMax = 1000;  ///< Of one router.
inline constexpr std::size_t kInterfaceAddressMax = 16;   ///< Of one router interface.
inline constexpr std::size_t kRouteMax = 100000;          ///< Static routes of the host.
inline constexpr std::size_t kNextHopMax = 8;             ///< Of one route (ECMP).
inline constexpr std::size_t kDhcpRelayMax = 4;           ///< Servers of one interface.
inline constexpr std::uint32_t kFailbackHoldMaxS = 86400;
inline constexpr std::uint32_t kBindingAgeMaxS = 30U * 86400U;
inline constexpr std::uint32_t kMacLearningMax = 65536;
inline constexpr std::uint32_t kQuerierIntervalMaxS = 18000;  ///< Seconds between general queries.

// Datapath.
inline constexpr std::size_t kBurstMax = 32;  ///< Frames a receive burst.
inline constexpr std::uint32_t kBurstBytes =
    128U * 1024U;  ///< Of a receive burst, about: with larger frames it has fewer, to stay in L2.
inline constexpr std::size_t kWorkerMax = 16;
inline constexpr std::uint32_t kFlowTableMax = 1U << 23U;  ///< Entries of one worker's flow table.
inline constexpr std::uint32_t kFlowTableDefault = 1U << 21U;  ///< Memory is taken as flows come.
inline constexpr std::uint32_t kNegativeFlowsPerPort =
    1024;  ///< Programs that drop: a port scan costs the scanner.
inline constexpr std::uint32_t kFlowReserve =
    64;  ///< Free entries of a flow table from which on it evicts: two bursts' worth.
inline constexpr std::uint32_t kFlowSecondChances =
    8;  ///< Recently used flows that an eviction passes over.
inline constexpr std::uint32_t kFlowRecentMs = 1000;
inline constexpr std::uint32_t kFlowIdleMs =
    10000;  ///< An idle flow is forgotten; its connection is not.
inline constexpr std::uint32_t kDomainMax = 65535;
inline constexpr std::uint32_t kWorkerQueueFrames =
    4096;  ///< Frames on their way from one worker to another.
inline constexpr std::uint32_t kWorkerCommandMax =
    64;  ///< Control requests waiting for one worker.
inline constexpr std::uint32_t kConnectionCapacityDefault =
    8000000;  ///< Records in the arena; memory is taken as they come.
inline constexpr std::uint32_t kClosedConnectionMax =
    1U << 18U;  ///< Closed connections (TIME_WAIT, CLOSE) that are remembered at once.
inline constexpr std::uint32_t kShareWindowMs =
    1;  ///< Over which ports that wait share a worker's cycles, first packets' among them.
inline constexpr std::uint32_t kExpectationMax =
    4096;  ///< Connections that others announced (FTP, TFTP), open ones among them.
inline constexpr std::uint32_t kExpectationPerConnection = 4;  ///< Announced and not yet open.
inline constexpr std::uint64_t kExpectationTimeoutNs = 120'000'000'000;
inline constexpr std::uint32_t kAlgSessionMax = 2048;  ///< FTP control connections read at once.
inline constexpr std::uint32_t kAlgReadMax = 4096;     ///< Bytes of one segment that are read.
inline constexpr std::uint32_t kRecheckMax =
    3;  ///< Times a packet is decided again before it is dropped.
inline constexpr std::uint32_t kMembershipPerPortPps =
    200;  ///< IGMP and MLD messages of one port that are read; those above it are only forwarded.
inline constexpr std::uint32_t kRejectPerPortPps =
    500;  ///< Answers to one vNIC's rejected packets; those above it are dropped in silence.
inline constexpr std::uint32_t kFirewallEventsWaiting =
    4096;  ///< Log records of one worker on their way to control; more are counted.
inline constexpr std::uint32_t kFirewallLogLinesPerS =
    2000;  ///< Lines of the firewall log; more are counted.
inline constexpr std::uint64_t kFirewallLogBytesMax =
    64U * 1024U * 1024U;  ///< A longer firewall log is put aside as `.1`.
inline constexpr std::size_t kFragmentGapMax =
    64;  ///< Pieces of one datagram with gaps between them; more is no reordering but an attack.
inline constexpr std::uint16_t kFragmentHeldBuffers =
    1024;  ///< Buffers of fragments that wait, a worker; fewer with a small pool.
inline constexpr std::uint16_t kFragmentHeldPerPortBuffers = 256;  ///< Of them, of one vNIC.
inline constexpr std::uint32_t kFragmentHeldBytes = 2U << 20U;  ///< Of frames that wait, a worker.
inline constexpr std::uint32_t kFragmentHeldPerPortBytes = 512U << 10U;
inline constexpr std::uint32_t kFragmentHeldPoolShare =
    4;  ///< One buffer of so many of a worker's share of the pool may wait.
inline constexpr std::uint32_t kFragmentGatheredMax =
    4608;  ///< Bytes of a fragmented DHCP message or ICMP error, headers included.
inline constexpr std::size_t kDifferenceMax =
    8;  ///< Changes that are remembered one by one; a flow that slept through more is decided anew.
inline constexpr std::size_t kDifferenceRuleMax =
    1U << 17U;  ///< More rules changed at once make every flow of their vNICs be decided anew.
inline constexpr std::uint16_t kVhostQueuePairMax = 8;
inline constexpr std::uint16_t kTsoPayloadMin =
    64;  ///< Bytes of TCP payload a segment that a guest may ask for; fewer only make work.
inline constexpr std::size_t kTsoSegmentMax =
    65535 / kTsoPayloadMin + 1;  ///< Segments of one frame.

// Tunnels and routing.
inline constexpr std::size_t kNeighbourWaitMax =
    256;  ///< Addresses that a worker is resolving at once.
inline constexpr std::size_t kNeighbourWaitReserve =
    64;  ///< Of them, kept for VTEPs: what guests ask for can't use them up.
inline constexpr std::uint8_t kNeighbourWaitPerPortMax = 64;  ///< Of them, for frames of one vNIC.
inline constexpr std::size_t kNeighbourHeldMax = 8;           ///< Frames that wait for one of them.
inline constexpr std::uint32_t kNeighbourHeldPoolShare =
    8;  ///< One buffer of so many of a worker's share of the pool may wait.
inline constexpr std::size_t kNeighbourKeptMax =
    4096;  ///< Resolved addresses that a worker keeps fresh; others are asked for anew.
inline constexpr std::uint32_t kNeighbourUnreachableMs =
    3000;  ///< So long nobody asks again for an address that did not answer.
inline constexpr std::uint32_t kNeighbourProbeMs = 250;   ///< Between questions for one address.
inline constexpr std::uint32_t kNeighbourProbeCount = 4;  ///< Questions, then it is unreachable.
inline constexpr std::uint32_t kNeighbourAgeS =
    60;  ///< A resolved address is asked for again while it is used, and forgotten if not.
inline constexpr std::uint32_t kUnderlayAnswersPps =
    1000;  ///< ARP, ND and echo that one VTEP answers for its address.
inline constexpr std::uint32_t kBfdNewPerVtepPps =
    1000;  ///< BFD packets without a discriminator of ours that one VTEP looks at.
inline constexpr std::uint32_t kRewriteMax =
    65535;  ///< Pairs of MACs that a worker's routed flows are rewritten to at once.
inline constexpr std::uint32_t kMembershipReportMs =
    60000;  ///< Between reports of what VTEPs are members of, without a query.
inline constexpr std::uint32_t kMembershipRepeatMs = 1000;  ///< A change is told twice.
inline constexpr std::size_t kMembershipReportBurst = 16;   ///< Reports of one poll.
inline constexpr std::uint32_t kAnnouncementsPerS =
    500;  ///< Frames by which vNICs that moved are announced to the fabric.
inline constexpr std::size_t kAnnouncedVlanMax = 64;  ///< VLANs of a trunk that it is announced in.
inline constexpr std::uint32_t kIcmpErrorPerPortPps =
    500;  ///< Errors of router and VTEPs to one vNIC; those above it are dropped in silence.
inline constexpr std::uint32_t kRouterAnswerPerPortPps =
    1000;  ///< Answers of a router to one vNIC's pings, and DHCP messages that it relays.

// Services and encryption.
inline constexpr std::size_t kServiceChainMax = 256;
inline constexpr std::size_t kServiceRuleMax = 4096;      ///< Of all chains of the host.
inline constexpr std::size_t kServiceInstanceMax = 1024;  ///< Of the host, by name.
inline constexpr std::uint32_t kServiceWeightMax = 1000;
inline constexpr std::uint32_t kServicePathMax = 0xffffff;  ///< RFC 8300 §2.3.
inline constexpr std::uint8_t kServiceSlotMin = 4;
inline constexpr std::uint8_t kServiceSlotMax = 12;
inline constexpr std::size_t kServiceHopMax = 18;  ///< Services of one connection: nine a vNIC.
inline constexpr std::uint32_t kServiceHeartbeatMs = 100;  ///< Between heartbeats of an instance.
inline constexpr std::uint32_t kServiceHeartbeatMisses = 3;
inline constexpr std::uint32_t kServiceRampMs =
    10000;  ///< In which an instance that came back gets its whole share of new connections.
inline constexpr std::uint32_t kServiceNetworkIdleS =
    600;  ///< So long unused, the tag of another host's network may be given to another one.
inline constexpr std::size_t kServiceModuleMax = 32;  ///< In-process services.
inline constexpr std::uint32_t kServiceStateMax =
    1U << 20U;  ///< Connections of which in-process services keep something.
inline constexpr std::uint8_t kKeyPolicyMax = 63;
inline constexpr std::size_t kKeyHostMax = 5000;   ///< Hosts that one group key is sealed to.
inline constexpr std::size_t kSealedKeyMax = 8;    ///< Group keys of one policy.
inline constexpr std::size_t kKeyFileMax = 65536;  ///< Bytes.
inline constexpr std::size_t kEncryptionRuleMax = 4096;
inline constexpr std::uint32_t kKeyRotateMaxS = 365U * 86400U;
inline constexpr std::uint64_t kSealedPacketsMax = std::uint64_t{1} << 36U;  ///< A key stops there.
inline constexpr std::uint32_t kReplayWindow = 1024;                         ///< Packets.
inline constexpr std::uint32_t kReceivingSaMax =
    65536;                                         ///< Keys of other hosts that this one holds.
inline constexpr std::uint32_t kSaEventMax = 256;  ///< That wait for control, a worker.
inline constexpr std::uint64_t kSaWantedAgainNs =
    100'000'000;  ///< Until a worker asks for the same key once more.
inline constexpr std::uint64_t kSealedPacketsMargin =
    std::uint64_t{1} << 32U;  ///< A sender is told so many packets before a key's end.
inline constexpr std::uint32_t kEspOverheadMax =
    37;  ///< Bytes by which a packet grows: header 8, IV 8, trailer 2 to 5, tag 16.

// A fleet's databases.
inline constexpr std::size_t kOvsdbMessageMax = 512U * 1024U * 1024U;  ///< One message of a server.
inline constexpr std::size_t kOvsdbDepthMax = 64;      ///< Nested arrays and objects of it.
inline constexpr std::size_t kOvsdbInFlightMax = 4;    ///< Transactions sent and not answered.
inline constexpr std::size_t kOvsdbQueueMax = 1024;    ///< Transactions that wait to be sent.
inline constexpr std::size_t kOvsdbRemoteMax = 16;     ///< Servers of one database.
inline constexpr std::size_t kFleetChunkItems = 1000;  ///< About so many objects a packed row.
inline constexpr std::uint32_t kFleetRowMax =
    1U << 22U;  ///< MACs and addresses elsewhere that hosts or controllers told of.
inline constexpr std::size_t kFleetBindingSlice =
    4096;  ///< Bindings that control puts in force between two looks at everything else.
inline constexpr std::size_t kFleetProblemMax = 1000;  ///< Objects that a host reports as refused.
inline constexpr std::size_t kFleetClaimMax = 8;       ///< Claims of one MAC that are kept.
inline constexpr std::uint32_t kFleetHeadlessMs =
    10000;  ///< After so long without its database a host is headless.
inline constexpr std::uint32_t kFleetHeartbeatMs = 5000;  ///< Between a host's signs of life.
inline constexpr std::uint32_t kFleetSilentMs =
    20000;  ///< A host without one for so long is not reachable.
inline constexpr std::size_t kFleetGuardRows = 100;  ///< More than so many, and more than half, of
                                                     ///< the objects gone in one epoch are held.

inline constexpr std::uint32_t kFleetCalmMs =
    60000;  ///< So long without removals, and the guard forgets those before.
inline constexpr std::uint32_t kFleetBehindMs =
    40000;  ///< A server with an older generation is waited for; longer than a relay that lost its
            ///< cluster (30 s) says that it has it.
inline constexpr std::uint32_t kFleetGraceMs = 3000;  ///< What other hosts no longer say counts on.
inline constexpr std::uint32_t kFleetReportMs = 100;  ///< Between looks at what to report.
inline constexpr std::uint32_t kFleetSaveMs = 5000;   ///< Between two writes of bindings to disk.
inline constexpr std::uint32_t kFleetRetryMs = 30000;  ///< Refused documents are tried again.

// Learned state.
inline constexpr std::uint32_t kLearnedMax = 1U << 24U;  ///< Rows of the host's learned table.
inline constexpr std::uint32_t kLearnedCapacityDefault =
    1U << 20U;  ///< MACs, bindings and groups; memory is taken as they come.
inline constexpr std::uint32_t kPendingPerPortMax =
    256;  ///< Addresses that SpoofGuard refused a vNIC and that wait for a word on them.
inline constexpr std::uint32_t kPendingAgeS = 86400;  ///< Without being tried again.
inline constexpr std::uint32_t kDhcpClientPerPortMax =
    256;  ///< DHCP transactions of one vNIC that wait for a server.
inline constexpr std::uint32_t kDhcpClientSeconds = 120;  ///< How long one is waited for.
inline constexpr std::size_t kDhcp6LeaseMax = 32;         ///< Addresses of one DHCPv6 message.
inline constexpr std::uint8_t kDhcp6RelayMax = 8;  ///< Nested relays (RFC 8415 HOP_COUNT_LIMIT).
inline constexpr std::uint32_t kGroupPerPortMax = 1024;  ///< Multicast groups that a port may join.
inline constexpr std::size_t kGroupCacheSize = 64;       ///< Groups whose ports a worker keeps.
inline constexpr std::size_t kMembershipRecordMax = 512;  ///< Group records read of one report.
inline constexpr std::uint16_t kTapSegmentMax =
    33;  ///< Buffers that hold the largest segmentation request of a kernel port.

// Watching.
inline constexpr std::size_t kCaptureMax = 4;  ///< Captures at once.
inline constexpr std::uint32_t kCaptureRingBytes =
    4U << 20U;  ///< Of one worker's ring to control, taken while there is a capture.
inline constexpr std::uint32_t kCaptureQueueBytes =
    16U << 20U;  ///< Frames that wait on the control side for one capture's client.
inline constexpr std::uint32_t kCaptureAnswerBytes =
    1U << 20U;  ///< Frame bytes in one answer to a capture's client.
inline constexpr std::size_t kCaptureAnswerFrames = 1024;
inline constexpr std::uint32_t kCaptureSnapMax = 262144;  ///< Bytes kept of a frame.
inline constexpr std::uint32_t kCaptureFilterMax = 512;   ///< BPF instructions of a filter.
inline constexpr std::uint32_t kCaptureFilterBytes =
    2048;  ///< Of a frame in several buffers, how much a filter sees.

inline constexpr std::size_t kMetricsConnectionMax = 16;     ///< Scrapers connected at once.
inline constexpr std::uint32_t kMetricsRequestBytes = 8192;  ///< Of a scrape's request.

}  // namespace sluice
