// SPDX-License-Identifier: Apache-2.0
// Reject: tells the sender of a packet that a firewall rule refused. TCP gets a RST (RFC 9293
// §3.10.7.1), all else "administratively prohibited" (ICMP 3/13, RFC 1812 §5.2.7.1; ICMPv6 1/1, RFC
// 4443 §3.1) that quotes the packet. The answer speaks for the destination, since the switch has no
// address here, and leaves by the ingress port with the MACs turned round and the tag as it was. It
// passes no chain. Called at the end of a dropped packet's way, by the worker that polls its
// ingress.
#include <rte_mbuf.h>

#include "datapath/icmp_error.h"
#include "datapath/packet_writer.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

// Never to a RST. How much a fragmented segment holds is not known here: only its ACK can be
// answered.
bool may_be_reset(const ParsedFrame& frame) noexcept {
    const bool is_whole = !frame.fragment || (frame.tcp_flags & kTcpAck) != 0;
    return (frame.tcp_flags & kTcpRst) == 0 && frame.l4_offset != 0 && is_whole;
}

void write_reset(const ParsedFrame& frame, std::uint8_t* out) noexcept {
    const std::uint8_t* tcp = frame.data + frame.l4_offset;
    std::memcpy(out, tcp + 2, 2);
    std::memcpy(out + 2, tcp, 2);
    out[12] = static_cast<std::uint8_t>(kTcpSize / 4U << 4U);
    if ((frame.tcp_flags & kTcpAck) != 0) {
        std::memcpy(out + 4, tcp + 8, 4);
        out[13] = kTcpRst;
        return;
    }
    const std::uint32_t controls =
        ((frame.tcp_flags & kTcpSyn) != 0 ? 1U : 0U) + ((frame.tcp_flags & kTcpFin) != 0 ? 1U : 0U);
    store_be32(out + 8, load_be32(tcp + 4) + frame.l4_size - frame.tcp_header_size + controls);
    out[13] = kTcpRst | kTcpAck;
}

rte_mbuf* make_reset(const WorkerContext& context, const ParsedFrame& frame) noexcept {
    const FlowKey& key = frame.key;
    const std::uint32_t ip_size = ip_size_of(key.family());
    rte_mbuf* made = new_frame(context, key.port, frame.l3_offset + ip_size + kTcpSize);
    if (made == nullptr) { return nullptr; }
    std::uint8_t* ip = bytes_of(*made) + frame.l3_offset;
    write_answer_ethernet(frame, key.destination_mac, bytes_of(*made));
    write_ip(ip, {key.destination(), key.source(), kProtocolTcp, kOwnHopLimit, 0, kTcpSize});
    write_reset(frame, ip + ip_size);
    store(ip + ip_size + 16, transport_sum(ip, key.family(), kProtocolTcp, kTcpSize));
    return made;
}

}  // namespace

void answer_rejected(WorkerContext& context, const Packet& packet) noexcept {
    const ParsedFrame& frame = packet.frame;
    const FlowKey& key = frame.key;
    const bool is_tcp = key.protocol == kProtocolTcp;
    if (!may_be_told(frame) || (is_tcp && !may_be_reset(frame))) { return; }
    if (!take_token(context.chains[key.port.value].reject, kRejectPerPortPps, context.now_ns)) {
        return;
    }
    if (frame.l4_checksum == L4Checksum::kUnknown && !l4_checksum_ok(*packet.mbuf, frame)) {
        return;  // Nobody sent it so.
    }
    const IcmpError prohibited{IcmpErrorKind::kProhibited, key.destination_mac, key.destination()};
    rte_mbuf* answer = is_tcp ? make_reset(context, frame)
                              : make_icmp_error(context, *packet.mbuf, frame, prohibited);
    if (answer == nullptr) { return; }
    answer->hash.rss = packet.mbuf->hash.rss;
    send_back(context, answer, frame);
}

}  // namespace sluice::datapath
