// SPDX-License-Identifier: Apache-2.0
// Alg: hands the payload of a packet that the connection step let through (TrackResult::kPassRead)
// to the connection's ALG, in one piece however the frame lies in its buffers. Called by ingress.cc
// for few packets: those of connections that a rule with `alg` let open.
#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/stages.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kUdpHeaderSize = 8;

std::uint32_t sequence_of(const ParsedFrame& frame) noexcept {
    std::uint32_t wire = 0;
    __builtin_memcpy(&wire, frame.data + frame.l4_offset + 4, sizeof wire);
    return __builtin_bswap32(wire);
}

}  // namespace

void read_payload(WorkerContext& context, const Packet& packet, bool is_first) noexcept {
    const ParsedFrame& frame = packet.frame;
    const Program& program = packet.flow->program;
    // What a stranger sent on the connection's tuple, or in pieces, says nothing.
    if ((program.flags & kProgramForeign) != 0 || frame.fragment) { return; }
    if (frame.l4_checksum == L4Checksum::kUnknown && !l4_checksum_ok(*packet.mbuf, frame)) {
        return;  // Its receiver will not read it either.
    }
    const bool is_tcp = frame.tcp_header_size != 0;
    const std::uint32_t header = is_tcp ? frame.tcp_header_size : kUdpHeaderSize;
    if (frame.l4_offset == 0 || frame.l4_size <= header) { return; }
    const std::uint32_t payload_size = frame.l4_size - header;
    const std::uint32_t size = std::min(payload_size, kAlgReadMax);
    std::array<std::uint8_t, kAlgReadMax> copy;
    const void* bytes = rte_pktmbuf_read(packet.mbuf, frame.l4_offset + header, size, copy.data());
    if (bytes == nullptr) { return; }
    context.connections.expectations().read({frame.key,
                                             context.snapshot->domains[program.domain].tracking,
                                             program.connection,
                                             program.side,
                                             is_first,
                                             is_tcp ? sequence_of(frame) : 0,
                                             payload_size,
                                             {static_cast<const std::uint8_t*>(bytes), size}},
                                            context.now_ns);
}

}  // namespace sluice::datapath
