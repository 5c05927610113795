// SPDX-License-Identifier: Apache-2.0
// TcpTalk: the segments of one well-formed TCP conversation, in the order asked for. Tests only.
#pragma once

#include <array>

#include "tests/packet/frames.h"

namespace sluice::test {

class TcpTalk {
public:
    enum Side : unsigned { kClient = 0, kServer = 1 };

    /// @param path  from client to server
    explicit TcpTalk(const Path& path, std::uint16_t client_port = 40000,
                     std::uint16_t server_port = 80)
        : paths_{path, path.back()}, ports_{client_port, server_port} {}

    [[nodiscard]] Bytes syn() { return segment(kClient, kTcpSyn, 0); }
    [[nodiscard]] Bytes syn_ack() { return segment(kServer, kTcpSyn | kTcpAck, 0); }
    [[nodiscard]] Bytes ack(Side from) { return segment(from, kTcpAck, 0); }
    [[nodiscard]] Bytes data(Side from, std::size_t size = 100) {
        return segment(from, kTcpAck | kTcpPsh, size);
    }
    [[nodiscard]] Bytes fin(Side from) { return segment(from, kTcpFin | kTcpAck, 0); }
    [[nodiscard]] Bytes reset(Side from) { return segment(from, kTcpRst | kTcpAck, 0); }

    /// The next segment of `from`; moves its sequence number on.
    [[nodiscard]] Bytes segment(Side from, unsigned flags, std::size_t size) {
        const Side to = from == kClient ? kServer : kClient;
        TcpFields fields{.flags = flags, .sequence = sequence_[from], .payload_size = size};
        if ((flags & kTcpAck) != 0) { fields.ack = sequence_[to]; }
        const bool counts = (flags & (kTcpSyn | kTcpFin)) != 0;
        sequence_[from] += static_cast<std::uint32_t>(size) + (counts ? 1U : 0U);
        return tcp(paths_[from], ports_[from], ports_[to], fields);
    }

private:
    std::array<Path, 2> paths_;
    std::array<std::uint16_t, 2> ports_;
    std::array<std::uint32_t, 2> sequence_{1'000'000, 2'000'000};
};

}  // namespace sluice::test
