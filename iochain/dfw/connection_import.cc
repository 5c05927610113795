// SPDX-License-Identifier: Apache-2.0
// See connection_import.h. A record is opened by a frame that nobody sent, of the kind that leads
// to its half of the states (half-open or synchronized), so that all counts are those of open();
// then what was tracked elsewhere is laid over it, under its lock.
#include "sluice/iochain/connection_import.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "iochain/byte_lock.h"
#include "iochain/dfw/tcp_tracker.h"

namespace sluice {
namespace {

constexpr std::uint8_t kProtocolTcp = 6;
constexpr unsigned kTcpFlagsMask = kConnLiberal | kConnSynNoted;

// Two views of one sender that are further apart are of two connections.
constexpr std::uint32_t kSameStreamMax = 1U << 30U;

struct OpeningFrame {
    std::array<std::uint8_t, kTcpHeaderSizeMin> header{};
    ParsedFrame frame;

    explicit OpeningFrame(bool is_syn) noexcept {
        frame.data = header.data();
        frame.data_size = kTcpHeaderSizeMin;
        frame.l4_size = kTcpHeaderSizeMin;
        frame.tcp_header_size = kTcpHeaderSizeMin;
        frame.tcp_flags = is_syn ? kTcpSyn : kTcpAck;
    }
    OpeningFrame(const OpeningFrame&) = delete;
    OpeningFrame& operator=(const OpeningFrame&) = delete;
};

OpenRequest request_of(const ConnectionImport& row) noexcept {
    OpenRequest request;
    request.tuple = row.tuple;
    request.opener_port = row.opener_port;
    request.responder_port = row.responder_port;
    request.opener_rule = row.opener_rule;
    request.responder_rule = row.responder_rule;
    request.opener_stateful = row.opener_stateful;
    request.responder_stateful = row.responder_stateful;
    request.tcp_strict = false;
    request.alg = row.alg;
    request.related = row.related;
    request.logged = row.logged;
    return request;
}

bool is_one_stream(const TcpPeer& a, const TcpPeer& b) noexcept {
    const std::uint32_t apart = sequence_after(a.end, b.end) ? a.end - b.end : b.end - a.end;
    return apart <= kSameStreamMax;
}

// The further of both views.
TcpPeer merged(const TcpPeer& a, const TcpPeer& b) noexcept {
    TcpPeer out = a;
    if (sequence_after(b.end, out.end)) { out.end = b.end; }
    if (sequence_after(b.max_end, out.max_end)) { out.max_end = b.max_end; }
    const bool has_ack = (b.flags & kTcpPeerAckedSyn) != 0;
    if (has_ack && ((a.flags & kTcpPeerAckedSyn) == 0 || sequence_after(b.max_ack, out.max_ack))) {
        out.max_ack = b.max_ack;
    }
    out.max_window = std::max(a.max_window, b.max_window);
    out.flags = static_cast<std::uint8_t>(a.flags | b.flags);
    return out;
}

// What is known here joins what comes: states only go on.
ConnectionImport merge(const ConnectionImport& row, const Connection& known,
                       std::uint64_t now_ns) noexcept {
    ConnectionImport out = row;
    const bool is_tcp = row.tuple.tuple.protocol == kProtocolTcp;
    const bool is_early = is_half_open(row.state);
    const bool was_early = is_half_open(known.state);
    const bool has_responder = !is_early && !was_early;
    const bool is_same = !is_tcp || (is_one_stream(row.peer[0], known.peer[0]) &&
                                     (!has_responder || is_one_stream(row.peer[1], known.peer[1])));
    if (known.opener_port == row.opener_port) {  // Judged here already.
        out.opener_rule = known.opener_rule;
        out.opener_stateful = (known.flags & kConnOpenerStateful) != 0;
    }
    if (known.responder_port == row.responder_port) {
        out.responder_rule = known.responder_rule;
        out.responder_stateful = (known.flags & kConnResponderStateful) != 0;
    }
    if (!is_same) { return out; }
    if (is_closed(known.state)) {
        out.state = known.state;
        return out;
    }
    if (was_early && row.state >= known.state) { return out; }
    if (is_early) {  // Its handshake went on here.
        out.state = known.state;
        out.remaining_ns = known.expires_ns - now_ns;
        out.is_liberal = (known.flags & kConnLiberal) != 0;
        out.peer[0] = known.peer[0];
        out.peer[1] = known.peer[1];
        return out;
    }
    out.state = std::max(row.state, known.state);
    out.remaining_ns = std::max(row.remaining_ns, known.expires_ns - now_ns);
    for (unsigned i = 0; is_tcp && i < 2; ++i) {
        if ((known.flags & kConnLiberal) == 0) { out.peer[i] = merged(row.peer[i], known.peer[i]); }
    }
    out.packets = std::max(row.packets, known.packets);
    out.bytes = std::max(row.bytes, std::uint64_t{known.bytes});
    return out;
}

// True if nothing that handles or counts hang on changes.
bool fits(const Connection& known, const ConnectionImport& row) noexcept {
    const bool opener_stateful = (known.flags & kConnOpenerStateful) != 0;
    const bool responder_stateful = (known.flags & kConnResponderStateful) != 0;
    return known.opener_port == row.opener_port && known.responder_port == row.responder_port &&
           opener_stateful == row.opener_stateful && responder_stateful == row.responder_stateful &&
           ((known.flags & kConnOpenerIsA) != 0) == row.tuple.from_a &&
           is_half_open(known.state) == is_half_open(row.state) && !is_closed(known.state);
}

struct Overlay {
    Connection* record;
    const ConnectionImport* row;
    std::uint64_t now_ns;
};

// Runs under the record's lock.
void lay_over(void* argument) noexcept {
    const auto& overlay = *static_cast<const Overlay*>(argument);
    const ConnectionImport& row = *overlay.row;
    Connection& record = *overlay.record;
    record.peer[0] = row.peer[0];
    record.peer[1] = row.peer[1];
    record.packets = row.packets;
    record.bytes = row.bytes & kConnectionBytesMask;
    const unsigned kept = record.flags & ~kTcpFlagsMask;
    store_relaxed(record.flags,
                  static_cast<std::uint8_t>(kept | (row.is_liberal ? unsigned{kConnLiberal} : 0U)));
    store_relaxed(record.state, row.state);
    store_relaxed(record.expires_ns, overlay.now_ns + row.remaining_ns);
}

}  // namespace

ConnectionImported import_connection(ConnectionTable& table, unsigned worker,
                                     const ConnectionImport& row, std::uint64_t now_ns) noexcept {
    ConnectionImport wanted = row;
    ConnectionImported result;
    result.handle = table.find(row.tuple, now_ns);
    result.is_new = !result.handle.is_set();
    Connection known;
    if (!result.is_new && table.snapshot(result.handle, known)) {
        wanted = merge(row, known, now_ns);
        if (is_closed(wanted.state)) { return result; }  // It ended here since.
        if (!fits(known, wanted)) {
            table.close(worker, result.handle, ConnectionEnd::kEvicted);
            result.handle = ConnectionHandle{};
        }
    } else {
        result.handle = ConnectionHandle{};
    }
    if (!result.handle.is_set()) {
        const OpeningFrame opening(is_half_open(wanted.state));
        const OpenResult opened = table.open(worker, request_of(wanted), opening.frame, now_ns);
        result.handle = opened.handle;
        result.reason = opened.reason;
        if (!opened.handle.is_set()) { return result; }
    }
    Overlay overlay{table.get(result.handle), &wanted, now_ns};
    if (overlay.record != nullptr) { table.run_locked(result.handle, lay_over, &overlay); }
    return result;
}

}  // namespace sluice
