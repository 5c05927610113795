// SPDX-License-Identifier: Apache-2.0
// FragmentTable: the stage between parse and lookup that gives later fragments the ports of their
// head, so that a rule on ports judges every piece alike. Fragments are not reassembled. One table
// a worker, memory fixed at construction.
//
// Theory of operation. A datagram in pieces is known by (ingress port, VLAN, tunnel, source,
// destination, id) and, in IPv4, protocol (RFC 791 §3.2, RFC 8200 §4.5). Its first fragment must
// hold the whole transport header (parse sees to it) and leaves ports, protocol and a copy of that
// header here; later fragments take them over. All of them carry kKeyFragment: they are a flow of
// their own, in each direction of the conversation: a datagram from a to b and one from b to a have
// different entries and keys, and each is judged like an unfragmented packet of its side.
//   head           kNone; the entry waits for the rest
//   later          kNone with the head's ports; the one that fills the last gap is `complete`: only
//   now may a connection open before head    kFragmentNoHead, and remembered: the datagram can't
//   complete any more, and what overlaps it is refused overlap, exact duplicate, two ends, bytes
//   behind the end: kBadFragment, and so is all that follows (RFC 5722 §4) head refused (refuse():
//   a rule or the connection step dropped it) all that follows: kFragmentNoHead
// Entries end with the timeout, counted from the first fragment that came, or one poll after
// completion. Thread: the worker that owns it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "sluice/base/limits.h"
#include "sluice/iochain/frame.h"

namespace sluice::datapath {

/// What a FragmentTable is made with.
struct FragmentLimits {
    std::uint16_t capacity = 4096;  ///< Datagrams, at most 65534.
    std::uint16_t per_port = 512;   ///< Datagrams of one ingress port; the oldest makes room.
    std::uint64_t timeout_v4_ns = 15'000'000'000ULL;
    std::uint64_t timeout_v6_ns = 60'000'000'000ULL;  ///< RFC 8200 §4.5.
};

/// A datagram in the table. Stale once its entry was reused. index 0xffff = none.
struct FragmentHandle {
    std::uint16_t index = 0xffff;
    std::uint32_t generation = 0;
    [[nodiscard]] bool is_set() const noexcept { return index != 0xffff; }
};

/// What became of one fragment.
struct FragmentResult {
    DropReason reason = DropReason::kNone;  ///< kNone: it may go on, its key is complete.
    FragmentHandle datagram;                ///< Set unless nothing could be kept.
    bool complete = false;  ///< With this fragment the whole datagram has come and gone on.
};

class FragmentTable {
public:
    /// @param seed  of the hash, so that nobody can choose what collides.
    explicit FragmentTable(const FragmentLimits& limits = {}, std::uint64_t seed = 0);
    FragmentTable(const FragmentTable&) = delete;
    FragmentTable& operator=(const FragmentTable&) = delete;
    ~FragmentTable();

    /// Takes a frame that parse found well-formed and a fragment (frame.fragment). Completes the
    /// key of a later one: ports, kKeyPorts and the protocol behind IPv6 extension headers; and its
    /// tcp_flags are the head's. @param now_ns  monotonic.
    [[nodiscard]] FragmentResult complete(ParsedFrame& frame, std::uint64_t now_ns) noexcept;

    /// The head was dropped: what follows of the datagram is kFragmentNoHead. A stale handle is
    /// ignored.
    void refuse(FragmentHandle datagram) noexcept;

    /// The datagram of a `complete` fragment as the connection step wants it: the head's key, flags
    /// and transport header (in memory of the table, good until the next complete()), l4_size of
    /// the whole. False if the handle is stale.
    [[nodiscard]] bool whole(FragmentHandle datagram, ParsedFrame& out) const noexcept;

    /// Forgets all, or those that came in by one port.
    void flush() noexcept;
    void flush(PortIndex port) noexcept;
    /// Datagrams kept, ended ones that were not reused yet included.
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

private:
    struct Entry;
    struct Identity;
    struct PortQueue {
        std::uint16_t oldest = 0xffff, newest = 0xffff, count = 0;
    };

    [[nodiscard]] std::uint16_t find(const Identity& identity, std::uint32_t bucket) const noexcept;
    [[nodiscard]] std::uint16_t open(const ParsedFrame& frame, const Identity& identity,
                                     std::uint32_t bucket, std::uint64_t now_ns) noexcept;
    [[nodiscard]] bool make_room(PortQueue& queue, std::uint64_t now_ns) noexcept;
    [[nodiscard]] FragmentResult judge(Entry& entry, ParsedFrame& frame,
                                       std::uint64_t now_ns) noexcept;
    [[nodiscard]] PortQueue& queue_of(PortIndex port) noexcept;
    void release(std::uint16_t index) noexcept;
    void unlink_from_bucket(std::uint16_t index) noexcept;
    void unlink_from_queue(std::uint16_t index) noexcept;

    FragmentLimits limits_;
    std::uint64_t seed_;
    std::uint32_t bucket_mask_;
    std::uint32_t size_ = 0;
    std::uint16_t free_oldest_ = 0xffff,
                  free_newest_ = 0xffff;  // FIFO, so that a released entry lives on a while.
    std::uint16_t sweep_ = 0;             // Where the search for ended entries goes on.
    std::unique_ptr<Entry[]> entries_;
    std::unique_ptr<std::uint16_t[]> buckets_;
    std::array<PortQueue, kPortMax + 1> ports_;  // The last one serves every index past kPortMax.
};

}  // namespace sluice::datapath
