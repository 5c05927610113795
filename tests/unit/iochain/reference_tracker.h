// SPDX-License-Identifier: Apache-2.0
// ReferenceTracker: connection tracking once more, from the page CONNECTIONS.md and the RFCs that
// it names, as plainly as it can be said: one map, numbers of 64 bits that never wrap, no packing,
// no cache, no lock. What the real one is held against. Tests only.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "sluice/iochain/connection.h"
#include "sluice/iochain/drop_reason.h"

namespace sluice::test {

/// One packet of a conversation between the protected VM `a`, which may open anything, and `b`.
struct ModelPacket {
    unsigned conversation = 0;
    std::uint8_t protocol = 6;  ///< TCP, UDP or ICMP echo.
    bool from_a = true;
    bool b_may_open = false;  ///< What policy says of the conversation's tuple.
    bool is_answer = false;   ///< ICMP: an echo reply.
    std::uint8_t flags = 0;
    std::uint32_t sequence = 0, ack = 0, data_size = 0;
    std::uint16_t window = 65535;
    int scale = -1;  ///< Window scale option; negative = none.

    [[nodiscard]] bool is(unsigned flag) const { return (flags & flag) != 0; }
};

/// One end of a TCP connection: what it has sent, what it was granted, what it said.
struct ModelSide {
    std::int64_t sent = 0;     ///< One past its highest byte.
    std::int64_t granted = 0;  ///< One past the highest that it may send.
    std::int64_t acked = 0;    ///< Its highest acknowledgement.
    std::int64_t window = 0;   ///< Bytes, the largest that it offered.
    unsigned scale = 0;
    bool offers_scale = false;
    bool has_acked_syn = false, has_sent_syn_ack = false, has_sent_early = false;
    bool has_sent_fin = false, is_fin_acked = false;
};

struct ModelConnection {
    ConnectionState state = ConnectionState::kTcpSynSent;
    bool opened_by_a = true;
    std::array<ModelSide, 2> sides;  ///< Opener, responder.
    int noted_syn = -1;              ///< Exclusive or of the four bytes of its sequence number.
    std::int64_t expires_s = 0;
};

class ReferenceTracker {
public:
    /// What is to become of the packet at `now_s`, in whole seconds.
    DropReason judge(const ModelPacket& packet, std::int64_t now_s);
    /// The timer of the packet's connection ran out so lately that the real one may still count.
    [[nodiscard]] bool is_uncertain(const ModelPacket& packet, std::int64_t now_s) const;
    /// The connection of a conversation, live or not; nullptr if there is none.
    [[nodiscard]] const ModelConnection* find(unsigned conversation) const;

private:
    std::map<unsigned, ModelConnection> connections_;
};

}  // namespace sluice::test
