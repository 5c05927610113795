// SPDX-License-Identifier: Apache-2.0
// Bfd: see bfd.h.
#include "datapath/bfd.h"

#include <optional>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "datapath/underlay_frame.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kTtl = 255, kNetworkControl = 0xc0;                 // DSCP CS6.
constexpr std::uint16_t kSourcePortMin = 49152, kSourcePortCount = 16384;  // RFC 5881 §4.
constexpr unsigned kRandomBits = 14;  // Of a discriminator; above them is the pair's number.

std::uint8_t hop_limit_of(const ParsedFrame& parsed) noexcept {
    return parsed.data[parsed.l3_offset + (parsed.key.has(kKeyIpv4) ? 8U : 7U)];
}

// The packet, if it came as the peer's kind of session wants it (RFC 5881 §4, §5).
std::optional<BfdPacket> read_datagram(const ParsedFrame& parsed, const rte_mbuf& frame) noexcept {
    const std::uint32_t begin = parsed.l4_offset + kUdpSize;
    const std::uint32_t size = load_be16(parsed.data + parsed.l4_offset + 4);
    if (parsed.fragment || begin + kBfdSize > parsed.data_size || size > parsed.l4_size ||
        size < kUdpSize || !l4_checksum_ok(frame, parsed)) {
        return std::nullopt;
    }
    return read_bfd(parsed.data + begin, size - kUdpSize);
}

// A packet that names no session is only looked for among all peers so often.
VtepPeer* peer_of(WorkerContext& context, std::uint16_t vtep, const IpAddr& source,
                  const BfdPacket& packet) noexcept {
    VtepPeers& peers = context.vtep_peers;
    VtepPeer* peer = nullptr;
    if (packet.yours != 0) {
        peer = peers.find(packet.yours >> kRandomBits, vtep, source);
        const bool is_right = peer != nullptr && peer->bfd.discriminator() == packet.yours;
        return is_right ? peer : nullptr;
    }
    if (!take_token(peers.local(vtep).bfd, kBfdNewPerVtepPps, context.now_ns)) { return nullptr; }
    return peers.search(*context.snapshot, vtep, source);
}

}  // namespace

std::uint32_t make_discriminator(std::uint32_t number, std::uint32_t random) noexcept {
    return number << kRandomBits | (random & ((1U << kRandomBits) - 1U));
}

void send_bfd(WorkerContext& context, const VtepConfig& vtep, std::uint32_t number,
              const VtepPeer& peer, const MacAddr& next_hop, const BfdPacket& packet) noexcept {
    UnderlayIp ip;
    ip.destination_mac = next_hop;
    ip.destination = peer.ip;
    ip.protocol = kProtocolUdp;
    ip.hop_limit = kTtl;
    ip.traffic_class = kNetworkControl;
    UnderlayFrame frame(vtep, ip);
    frame.put16(static_cast<std::uint16_t>(kSourcePortMin + number % kSourcePortCount));
    frame.put16(peer.next_hop == peer.ip ? kBfdPort : kBfdMultihopPort).put32(0);
    frame.put(write_bfd(packet)).finish_ip();
    frame.send(context);
}

void take_bfd(WorkerContext& context, std::uint16_t vtep, const ParsedFrame& parsed,
              rte_mbuf* frame) noexcept {
    const IpAddr source = parsed.key.source();
    const std::optional<BfdPacket> packet = read_datagram(parsed, *frame);
    VtepPeer* peer = packet ? peer_of(context, vtep, source, *packet) : nullptr;
    const bool is_near = parsed.key.destination_port.host() == kBfdPort;
    if (peer == nullptr || !peer->has_bfd || is_near != (peer->next_hop == peer->ip) ||
        (is_near && hop_limit_of(parsed) != kTtl)) {
        return drop(context, frame, DropReason::kBadBfd);
    }
    peer->bfd.receive(*packet, context.now_ns);
    context.vtep_peers.hurry(*peer);
    consume(context, frame);
}

}  // namespace sluice::datapath
