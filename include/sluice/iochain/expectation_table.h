// SPDX-License-Identifier: Apache-2.0
// ExpectationTable: connections that other connections announced in their payload (FTP, TFTP), to
// be let through once by the rule that let their parent through. Belongs to a ConnectionTable; slot
// 2 implements it (iochain/dfw/ALG.md). Threads: workers; a byte lock a bucket, no allocation after
// construction. Control reads the counters.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "sluice/base/limits.h"
#include "sluice/iochain/connection_table.h"
#include "sluice/iochain/flow_key.h"

namespace sluice {

/// Payload of one packet of a connection with kConnAlg that the connection step let through.
struct AlgPayload {
    const FlowKey& key;  ///< Of the packet.
    DomainId domain;
    ConnectionHandle connection;                    ///< What it announces ends with this one.
    ConnectionSide side = ConnectionSide::kOpener;  ///< That sent it.
    bool is_first = false;                          ///< TCP: it begins what this side sends.
    std::uint32_t sequence = 0;                     ///< TCP: of the first byte.
    std::uint32_t size = 0;                         ///< Of the payload.
    std::span<const std::uint8_t> bytes;            ///< Its beginning, kAlgReadMax at most.
};

/// What became of announcements, summed over workers.
struct ExpectationCounts {
    std::uint64_t made = 0;     ///< Announced and remembered.
    std::uint64_t taken = 0;    ///< Became a connection.
    std::uint64_t refused = 0;  ///< Of another address, a privileged port, or no room.
};

class ExpectationTable {
public:
    /// @param shared  several workers use it
    ExpectationTable(ConnectionTable& connections, bool shared, std::uint64_t seed);
    ~ExpectationTable();
    ExpectationTable(const ExpectationTable&) = delete;
    ExpectationTable& operator=(const ExpectationTable&) = delete;

    /// True if nothing is expected, so that first packets need not ask.
    [[nodiscard]] bool is_empty() const noexcept {
        return __atomic_load_n(&pending_, __ATOMIC_RELAXED) == 0;
    }
    /// Whether a live connection announced the one that a packet of `key` would open (any source
    /// port).
    /// @param parent_key  of that connection's opener: addresses, ports, protocol
    [[nodiscard]] bool find(const FlowKey& key, DomainId domain, std::uint64_t now_ns,
                            FlowKey& parent_key) noexcept;
    /// The same, and the connection was opened: nobody else gets it. False: another worker did.
    [[nodiscard]] bool take(const FlowKey& key, DomainId domain, std::uint64_t now_ns) noexcept;
    /// Who announced the live connection (kConnRelated) that a packet of `opener_key` opened.
    [[nodiscard]] bool parent_of(const FlowKey& opener_key, DomainId domain,
                                 FlowKey& parent_key) noexcept;
    /// Remembers what the payload announces.
    void read(const AlgPayload& payload, std::uint64_t now_ns) noexcept;
    /// Forgets what is over, a bucket a call.
    void sweep(std::uint64_t now_ns) noexcept;

    [[nodiscard]] std::uint32_t pending() const noexcept {
        return __atomic_load_n(&pending_, __ATOMIC_RELAXED);
    }
    [[nodiscard]] ExpectationCounts counts() const noexcept;

private:
    struct Entry;
    struct Bucket;
    struct Line;
    struct Session;
    struct SessionBucket;
    struct Freed {
        void operator()(void* memory) const noexcept;
    };

    [[nodiscard]] Bucket& bucket_of(const FlowKey& key, DomainId domain) const noexcept;
    [[nodiscard]] Entry* find_pending(Bucket& bucket, const FlowKey& key, DomainId domain,
                                      std::uint64_t now_ns) noexcept;
    [[nodiscard]] bool has_parent(const Entry& entry, std::uint64_t now_ns) noexcept;
    [[nodiscard]] bool is_over(const Entry& entry, std::uint64_t now_ns) noexcept;
    [[nodiscard]] Entry* place_for(Bucket& bucket, const Entry& wanted,
                                   std::uint64_t now_ns) noexcept;
    void release(Entry& entry) noexcept;
    void expect(const AlgPayload& from, std::uint16_t port, std::uint64_t now_ns) noexcept;
    void refuse() noexcept;
    void read_lines(const AlgPayload& payload, std::uint64_t now_ns) noexcept;
    [[nodiscard]] Session* session_of(SessionBucket& bucket, const ConnectionTuple& tuple,
                                      std::uint64_t now_ns) noexcept;
    /// True if the line announces something, wanted or not.
    bool take_line(Session& session, const Line& line, const AlgPayload& payload,
                   std::uint64_t now_ns) noexcept;

    ConnectionTable& connections_;
    const bool shared_;
    const std::uint64_t seed_;
    std::unique_ptr<Bucket[], Freed> buckets_;          // workers: rw under each one's lock
    std::unique_ptr<SessionBucket[], Freed> sessions_;  // workers: rw under each one's lock
    std::uint32_t pending_ = 0;                         // workers: rw, relaxed
    std::uint32_t related_ = 0;                         // workers: rw, relaxed. Taken ones.
    std::uint32_t sweep_cursor_ = 0;                    // workers: rw, relaxed
    ExpectationCounts counts_;                          // workers: rw, relaxed; control: ro
};

}  // namespace sluice
