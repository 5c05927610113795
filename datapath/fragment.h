// SPDX-License-Identifier: Apache-2.0
// FragmentTable: the stage between parse and lookup that gives later fragments the ports of their
// head, so that a rule on ports judges every piece alike. Fragments are not reassembled. One table
// a worker, memory fixed at construction.
//
// Theory of operation. A datagram in pieces is known by (ingress port, VLAN, tunnel, source,
// destination, id) and, in IPv4, protocol (RFC 791 §3.2, RFC 8200 §4.5). Its first fragment must
// hold the whole transport header (parse sees to it) and leaves ports, protocol and a copy of that
// header here; later fragments take them over. All of them carry kKeyFragment: they are a flow of
// their own, in each direction of the conversation.
//
//   fragment of a datagram                         what becomes of it
//   head                                           goes on; those that wait follow it (next_held())
//   later, head has gone on                        goes on with the head's ports
//   later, before the head                         held
//   any, of a conversation with the switch         held; with the last one kGathered (gather())
//   nothing of it is new                           kBadFragment, alone: the path delivered it twice
//   overlap, two ends, behind the end, malformed   kBadFragment, and so is all that waits and
//     (condemn())                                    follows (RFC 5722 §4)
//   of a datagram that was refuse()d               kFragmentNoHead, and so is all that waits
//   one for which there is no room to wait         kFragmentTableFull, and so is all that waits
//
// The piece that fills the last gap makes the datagram `complete`: only now may a connection open,
// and UDP's length and the transport checksum are judged. Entries end with the timeout, counted
// from the first fragment that came (what waits: kFragmentTimeout), or with end() after completion.
// Thread: the worker that owns it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "datapath/fragment_store.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/frame.h"

namespace sluice::datapath {

/// What a FragmentTable is made with.
struct FragmentLimits {
    std::uint16_t capacity = 4096;  ///< Datagrams, at most 65534.
    std::uint16_t per_port = 512;   ///< Datagrams of one ingress port; the oldest makes room.
    FragmentStoreLimits held = {};
};

/// How long a datagram may take.
struct FragmentTimeouts {
    std::uint64_t v4_ns = 15'000'000'000ULL;
    std::uint64_t v6_ns = 60'000'000'000ULL;  ///< RFC 8200 §4.5.
};

/// A datagram in the table. Stale once its entry was reused. index 0xffff = none.
struct FragmentHandle {
    std::uint16_t index = 0xffff;
    std::uint32_t generation = 0;
    [[nodiscard]] bool is_set() const noexcept { return index != 0xffff; }
};

/// Where a fragment goes.
enum class FragmentFate : std::uint8_t {
    kDropped,   ///< By the caller, with the result's reason.
    kGoesOn,    ///< Its key is complete. What waits for it is to follow: next_held().
    kHeld,      ///< The table has it.
    kGathered,  ///< The table has it, and with it all of a conversation: gather(), next_held().
};

/// What became of one fragment.
struct FragmentResult {
    FragmentFate fate = FragmentFate::kDropped;
    DropReason reason = DropReason::kNone;  ///< Of kDropped.
    bool complete = false;  ///< With this fragment the whole datagram has come and may go on.
    FragmentHandle datagram = {};  ///< Set unless nothing could be kept.
};

struct FragmentExtent;
enum class FragmentFit : std::uint8_t;

class FragmentTable {
public:
    /// Drops a frame that the table held: frees and counts it.
    using Drop = void (*)(void* context, rte_mbuf& frame, DropReason reason);

    /// @param seed  of the hash, so that nobody can choose what collides.
    FragmentTable(const FragmentLimits& limits, std::uint64_t seed, Drop drop, void* context);
    FragmentTable(const FragmentTable&) = delete;
    FragmentTable& operator=(const FragmentTable&) = delete;
    /// Frees what is held, uncounted.
    ~FragmentTable();

    /// For datagrams that begin from here on.
    void configure(const FragmentTimeouts& timeouts) noexcept { timeouts_ = timeouts; }

    /// Takes a frame that parse found well-formed and a fragment (parsed.fragment). If it goes on,
    /// the key of a later one is complete: ports, kKeyPorts and the protocol behind IPv6 extension
    /// headers. A head with an inspect kind makes its datagram one that is gathered.
    /// @param now_ns  monotonic
    [[nodiscard]] FragmentResult offer(rte_mbuf& frame, ParsedFrame& parsed,
                                       std::uint64_t now_ns) noexcept;

    /// A fragment was malformed (kBadFragment), or is a head that was not let through
    /// (kFragmentNoHead): all of its datagram that waits or follows is dropped with that reason.
    /// `parsed` need only know its addresses and id.
    void condemn(const ParsedFrame& parsed, DropReason reason, std::uint64_t now_ns) noexcept;

    /// What the datagram begins with was dropped: what waits, and what follows, is kFragmentNoHead.
    /// A stale handle is ignored.
    void refuse(FragmentHandle datagram) noexcept;

    /// The next frame, in order of offset, of a datagram whose head has gone on, or that was
    /// gathered; the caller's from here on. Null if none waits.
    [[nodiscard]] rte_mbuf* next_held(FragmentHandle datagram) noexcept;
    /// Completes the key of a frame that next_held() gave back and parse read again.
    void complete(FragmentHandle datagram, ParsedFrame& frame) const noexcept;

    /// The datagram of a `complete` fragment as the connection step wants it: the head's key, flags
    /// and transport header (in memory of the table, good until the next offer()), l4_size of
    /// the whole. False if the handle is stale.
    [[nodiscard]] bool whole(FragmentHandle datagram, ParsedFrame& out) const noexcept;

    /// A gathered datagram as one frame without fragment fields, copied into memory of the table
    /// (good until the next gather()) and parsed, checksum included.
    /// @return kNone, or why the datagram is malformed (fragment_gather.cc)
    [[nodiscard]] DropReason gather(FragmentHandle datagram, PortIndex port,
                                    ParsedFrame& out) noexcept;

    /// Forgets a `complete` datagram: nothing of it waits.
    void end(FragmentHandle datagram) noexcept;
    /// Drops what has waited too long. To be called every millisecond or so.
    void sweep(std::uint64_t now_ns) noexcept;
    /// Forgets all, or those that came in by one port; what waits is kFragmentNoHead.
    void flush() noexcept;
    void flush(PortIndex port) noexcept;
    /// Forgets those of the ports for which is_gone(PortIndex) is true.
    template <typename IsGone>
    void flush_if(IsGone&& is_gone) noexcept {
        for (std::uint16_t i = 0; i < kPortMax && size_ > 0; ++i) {
            if (ports_[i].count > 0 && is_gone(PortIndex{i})) { flush(PortIndex{i}); }
        }
    }
    /// Datagrams kept.
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    /// Frames held.
    [[nodiscard]] std::uint32_t held_count() const noexcept { return store_.size(); }
    /// Buffers of those of one port.
    [[nodiscard]] std::uint32_t held_buffers(PortIndex port) const noexcept {
        return store_.held_buffers(port);
    }

private:
    struct Entry;
    struct Identity;
    struct Links {
        std::uint16_t older = 0xffff, newer = 0xffff;
    };
    struct Queue {
        std::uint16_t oldest = 0xffff, newest = 0xffff, count = 0;
    };

    [[nodiscard]] std::uint16_t find(const Identity& identity, std::uint32_t bucket) const noexcept;
    [[nodiscard]] std::uint16_t find_or_open(const ParsedFrame& parsed,
                                             std::uint64_t now_ns) noexcept;
    [[nodiscard]] std::uint16_t open(const ParsedFrame& parsed, const Identity& identity,
                                     std::uint32_t bucket, std::uint64_t now_ns) noexcept;
    [[nodiscard]] bool make_room(Queue& queue, std::uint64_t now_ns) noexcept;
    [[nodiscard]] static FragmentFit fit(Entry& entry, const FragmentExtent& part,
                                         bool is_last) noexcept;
    [[nodiscard]] FragmentResult judge(std::uint16_t index, rte_mbuf& frame, ParsedFrame& parsed,
                                       std::uint64_t now_ns) noexcept;
    [[nodiscard]] FragmentResult judge_waiting(std::uint16_t index, rte_mbuf& frame,
                                               const FragmentExtent& part,
                                               std::uint64_t now_ns) noexcept;
    [[nodiscard]] FragmentResult judge_going(std::uint16_t index, ParsedFrame& parsed,
                                             std::uint64_t now_ns) noexcept;
    [[nodiscard]] FragmentResult fail(std::uint16_t index, DropReason reason) noexcept;
    [[nodiscard]] bool make_room_to_wait(std::uint16_t index, const rte_mbuf& frame) noexcept;
    void drop_held(Entry& entry, DropReason reason) noexcept;
    [[nodiscard]] Entry* entry_of(FragmentHandle datagram) const noexcept;
    [[nodiscard]] Queue& queue_of(PortIndex port) noexcept;
    void release(std::uint16_t index, DropReason reason) noexcept;
    void unlink_from_bucket(std::uint16_t index) noexcept;
    void append(Queue& queue, std::uint16_t index, Links Entry::*links) noexcept;
    void unlink(Queue& queue, std::uint16_t index, Links Entry::*links) noexcept;

    FragmentLimits limits_;
    FragmentTimeouts timeouts_;
    std::uint64_t seed_;
    Drop drop_;
    void* drop_context_;
    FragmentStore store_;
    std::uint32_t bucket_mask_;
    std::uint32_t size_ = 0;
    Queue free_;
    std::array<Queue, 2> by_age_;  // IPv4, IPv6.
    std::unique_ptr<Entry[]> entries_;
    std::unique_ptr<std::uint16_t[]> buckets_;
    std::unique_ptr<std::uint8_t[]> gathered_;
    std::array<Queue, kPortMax + 1> ports_;  // The last one serves every index past kPortMax.
};

}  // namespace sluice::datapath
