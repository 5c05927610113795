// SPDX-License-Identifier: Apache-2.0
// ExpectationTable::read(): payloads become lines, lines become expectations. FTP is read line by
// line across segments, in the order of sequence numbers; TFTP by datagram. Workers, for packets of
// connections that a rule's `alg` asks for.
#include <cstring>

#include "iochain/dfw/alg_ftp.h"
#include "iochain/dfw/expectation_buckets.h"
#include "iochain/dfw/tcp_segment.h"

namespace sluice {
namespace {

constexpr std::uint16_t kFtpDataPort = 20;
constexpr std::uint16_t kPrivilegedMax = 1023;

// A request to read or to write (RFC 1350 §5): the answer comes from a port of its own.
bool is_tftp_request(std::span<const std::uint8_t> bytes) noexcept {
    return bytes.size() >= 4 && bytes[0] == 0 && (bytes[1] == 1 || bytes[1] == 2);
}

bool may_listen(std::uint16_t port) noexcept {
    return port > kPrivilegedMax || port == kFtpDataPort;
}

}  // namespace

void ExpectationTable::read(const AlgPayload& payload, std::uint64_t now_ns) noexcept {
    if (payload.key.protocol == 6) { return read_lines(payload, now_ns); }
    if (payload.side == ConnectionSide::kOpener && is_tftp_request(payload.bytes)) {
        expect(payload, payload.key.source_port.host(), now_ns);
    }
}

// The session of a control connection; a closed one's place if there is no other.
ExpectationTable::Session* ExpectationTable::session_of(SessionBucket& bucket,
                                                        const ConnectionTuple& tuple,
                                                        std::uint64_t now_ns) noexcept {
    Session* free = nullptr;
    for (Session& session : bucket.sessions) {
        if (session.in_use && session.tuple == tuple) { return &session; }
        if (!session.in_use && free == nullptr) { free = &session; }
    }
    for (Session& session : bucket.sessions) {
        if (free != nullptr) { break; }
        TupleOfFrame other;
        other.tuple = session.tuple;
        if (!connections_.find(other, now_ns).is_set()) { free = &session; }
    }
    if (free == nullptr) { return nullptr; }
    *free = Session{};
    free->tuple = tuple;
    free->in_use = true;
    return free;
}

void ExpectationTable::read_lines(const AlgPayload& payload, std::uint64_t now_ns) noexcept {
    TupleOfFrame tuple = tuple_of(payload.key, payload.domain);
    connections_.prepare(tuple);
    SessionBucket& bucket = sessions_[tuple.hash % kSessionBuckets];
    const ByteLock lock(bucket.lock, shared_);
    Session* session = session_of(bucket, tuple.tuple, now_ns);
    if (session == nullptr) { return refuse(); }
    Line& line = session->lines[static_cast<std::size_t>(payload.side)];
    if (payload.is_first && payload.side == ConnectionSide::kOpener) { session->epsv_all = false; }
    if (payload.is_first || !line.begun) { line.restart(payload.sequence, payload.is_first); }
    const std::uint32_t end = payload.sequence + payload.size;
    if (!sequence_after(end, line.next)) { return; }  // Read before.
    std::uint32_t at = line.next - payload.sequence;
    if (sequence_after(payload.sequence, line.next)) {  // Something is missing.
        line.restart(payload.sequence, false);
        at = 0;
    }
    std::uint32_t left = kExpectationPerConnection;  // A segment full of them costs no more.
    for (; at < payload.bytes.size(); ++at) {
        const char c = static_cast<char>(payload.bytes[at]);
        if (c == '\n') {
            if (!line.skips && left > 0 && take_line(*session, line, payload, now_ns)) { --left; }
            line.size = 0;
            line.skips = false;
        } else if (line.size == line.text.size()) {
            line.skips = true;
        } else if (!line.skips) {
            line.text[line.size++] = c;
        }
    }
    if (payload.bytes.size() < payload.size) { line.restart(end, false); }
    line.next = end;
}

bool ExpectationTable::take_line(Session& session, const Line& line, const AlgPayload& payload,
                                 std::uint64_t now_ns) noexcept {
    std::string_view text = line.view();
    if (!text.empty() && text.back() == '\r') { text.remove_suffix(1); }
    const bool from_client = payload.side == ConnectionSide::kOpener;
    if (from_client && iochain::is_epsv_all(text)) { session.epsv_all = true; }
    const auto endpoint = iochain::ftp_endpoint(text, from_client);
    if (!endpoint) { return false; }
    const bool is_extended = endpoint->address.family == IpFamily::kNone;
    const bool is_own = is_extended || endpoint->address == payload.key.source();
    if (!is_own || !may_listen(endpoint->port) || (session.epsv_all && !is_extended)) {
        refuse();  // A bounce (RFC 2577 §3), or a promise broken (RFC 2428 §4).
        return true;
    }
    expect(payload, endpoint->port, now_ns);
    return true;
}

}  // namespace sluice
