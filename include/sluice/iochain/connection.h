// SPDX-License-Identifier: Apache-2.0
// Connection: one tracked conversation, one record a host, in a mapped arena. Plain data: no
// pointers, stable rule ids, monotonic time, so that it outlives the process: a change of the
// layout is another kArenaSchema (datapath/arena.h). The first line is written at open; the second
// is hot. Found by (domain, 5-tuple); referred to by index and generation. Writers hold the byte
// lock.
#pragma once

#include <cstdint>
#include <type_traits>

#include "sluice/base/ids.h"
#include "sluice/net/address.h"
#include "sluice/net/endian.h"

namespace sluice {

/// Identity of a connection, the same for both directions. TCP, UDP, SCTP and other protocols: the
/// endpoint with the smaller (address, port) is `a`. ICMP queries: `a` is the opener, port_a the
/// identifier, port_b request type << 8.
struct ConnectionTuple {
    std::uint8_t ip_a[16] = {};
    std::uint8_t ip_b[16] = {};
    Be16 port_a;
    Be16 port_b;
    DomainId domain;
    std::uint8_t protocol = 0;
    IpFamily family = IpFamily::kNone;
    std::uint16_t reserved = 0;
    /// Five words that overlap, no call: it is asked for every new connection.
    [[nodiscard]] bool operator==(const ConnectionTuple& other) const noexcept {
        std::uint64_t difference = 0;
        for (const unsigned at : {0U, 8U, 16U, 24U, 32U, 36U}) {
            std::uint64_t x = 0;
            std::uint64_t y = 0;
            __builtin_memcpy(&x, reinterpret_cast<const char*>(this) + at, sizeof x);
            __builtin_memcpy(&y, reinterpret_cast<const char*>(&other) + at, sizeof y);
            difference |= x ^ y;
        }
        return difference == 0;
    }
};
static_assert(sizeof(ConnectionTuple) == 44);

/// Index and generation of a connection; a closed connection's handles are stale for ever. index
/// 0xffffffff = none.
struct ConnectionHandle {
    std::uint32_t index = 0xffffffffU;
    std::uint32_t generation = 0;
    [[nodiscard]] bool is_set() const noexcept { return index != 0xffffffffU; }
    bool operator==(const ConnectionHandle&) const noexcept = default;
};

/// States as `show conns` prints them.
enum class ConnectionState : std::uint8_t {
    kClosed = 0,
    kTcpSynSent,
    kTcpSynSent2 /* simultaneous open */,
    kTcpSynReceived,
    kTcpEstablished,
    kTcpFinWait,
    kTcpCloseWait,
    kTcpLastAck,
    kTcpTimeWait,
    kTcpClose,
    kUdpOneWay,
    kUdpTwoWay,
    kIcmpOneWay,
    kIcmpTwoWay,
    kOtherOneWay,
    kOtherTwoWay,
};
inline constexpr std::size_t kConnectionStateCount = 16;

/// Why a connection ended.
enum class ConnectionEnd : std::uint8_t {
    kClosed,   ///< Both sides finished.
    kReset,    ///< One side reset it.
    kTimeout,  ///< Idle for too long in its state.
    kPolicy,   ///< Rules no longer allow or track it.
    kEvicted,  ///< It made room for a newer one.
    kFlushed,  ///< An operator's command, or its port went.
};

/// True if nothing more is expected of a connection in this state: it counts against no limit, and
/// makes room for new ones before its time if they need it.
[[nodiscard]] constexpr bool is_closed(ConnectionState state) noexcept {
    return state == ConnectionState::kTcpTimeWait || state == ConnectionState::kTcpClose;
}

/// What TCP tracking knows of one sender (RFC 9293 §3.4, sequence numbers in host order).
struct TcpPeer {
    std::uint32_t end = 0;      ///< Highest sequence number sent + 1 (SYN and FIN count one).
    std::uint32_t max_end = 0;  ///< Highest end that the other side's window allows; ISN + 1 until
                                ///< its SYN is acknowledged.
    std::uint32_t max_ack = 0;  ///< Highest acknowledgement it sent, once kTcpPeerAckedSyn is set.
    std::uint16_t max_window =
        0;  ///< Largest window it advertised, in units of 1 << scale bytes; 0 = never seen.
    std::uint8_t scale = 0;  ///< Window shift 0..14 (RFC 7323 §2.3).
    std::uint8_t flags = 0;  ///< TcpPeerFlag bits.
};
static_assert(sizeof(TcpPeer) == 16);

/// Bits of TcpPeer::flags.
enum TcpPeerFlag : std::uint8_t {
    kTcpPeerScales = 1U << 0U,     ///< Its SYN offered window scaling.
    kTcpPeerAckedSyn = 1U << 1U,   ///< It has acknowledged the other side's SYN; max_ack is valid.
    kTcpPeerSynAck = 1U << 2U,     ///< It sent a SYN/ACK.
    kTcpPeerEarlyData = 1U << 3U,  ///< It sent data before its SYN was acknowledged (RFC 7413).
    kTcpPeerFin = 1U << 4U,        ///< It sent a FIN.
    kTcpPeerFinAcked = 1U << 5U,   ///< The other side acknowledged that FIN.
    kTcpPeerData = 1U << 6U,       ///< It sent data before the connection's ALG looked, or to it.
    kTcpPeerSack = 1U << 7U,       ///< Its SYN permits selective acknowledgements (RFC 2018 §2).
};

/// Bits of Connection::flags.
enum ConnectionFlag : std::uint8_t {
    kConnOpenerIsA = 1U << 0U,  ///< The opener is endpoint `a` of the tuple.
    kConnOpenerStateful =
        1U << 1U,  ///< The opener's vNIC decided by a stateful rule; replies pass on its side.
    kConnResponderStateful = 1U << 2U,  ///< The same for the responder's vNIC.
    kConnRelated = 1U << 3U,            ///< Announced by another connection, by whose rules it
                                        ///< is judged (ExpectationTable).
    kConnHalfOpen = 1U << 4U,           ///< Counted as half-open for its opener's vNIC.
    kConnSynNoted =
        1U
        << 5U,  ///< The opener sent a SYN into the live connection; syn_check is its ISN, folded.
    kConnLiberal = 1U << 6U,  ///< Picked up in mid-stream: scales unknown, windows are not checked.
    kConnAlg = 1U << 7U,      ///< A rule's `alg` reads its payload: FTP if it is TCP, TFTP if UDP.
};

/// One record, two cache lines. Trivially copyable.
struct alignas(128) Connection {
    // Line 0: identity. Written at open under the bucket lock, judged_generation and the rules
    // again when policy changes.
    ConnectionTuple tuple;               // worker: rw at open, ro after; control: ro
    PortIndex opener_port = kNoPort;     // worker: rw at open. vNIC of the side that opened it;
                                         // kNoPort if not on this host.
    PortIndex responder_port = kNoPort;  // worker: rw at open.
    RuleId opener_rule;     // worker: rw under lock. Rule of the opener's vNIC that let it out; 0 =
                            // not judged there.
    RuleId responder_rule;  // worker: rw under lock. Rule of the responder's vNIC that let it in.
    std::uint32_t judged_generation =
        0;  // worker: rw under lock. Snapshot generation at which policy last allowed it.
    std::uint32_t identity_check = 0;  // worker: rw at open. What adopt() knows the identity by.
    // Line 1: hot. Written by a worker that holds `lock`; control reads it without (a torn row in a
    // listing is harmless).
    std::uint8_t lock = 0;  // Byte lock. With one worker only a mark: a change was under way.
    ConnectionState state = ConnectionState::kClosed;
    std::uint8_t flags = 0;        // ConnectionFlag bits.
    std::uint8_t syn_check = 0;    // See kConnSynNoted.
    std::uint32_t generation = 0;  // Grows at close, and when replies are judged otherwise from
                                   // then on; a handle with another one is stale. 0 = never used.
    std::uint64_t expires_ns = 0;  // Monotonic; the connection is dead from then on, whoever looks.
    TcpPeer peer[2];               // [0] opener, [1] responder.
    std::uint64_t packets = 0;     // Folded lazily from the flow entries that carried it.
    std::uint64_t bytes : 62 = 0;
    std::uint64_t redirected : 1 = 0;  // worker: rw under lock. Its row of ServicePins counts.
    std::uint64_t logged : 1 = 0;      // worker: rw under lock. Its end is to be reported, once.
};
inline constexpr std::uint64_t kConnectionBytesMask = ~std::uint64_t{0} >> 2U;  ///< Of its width.
static_assert(sizeof(Connection) == 128 && std::is_trivially_copyable_v<Connection>);

}  // namespace sluice
