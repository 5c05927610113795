// SPDX-License-Identifier: Apache-2.0
// LearnedTable: what workers learn from frames, one table a host in a mapped arena of plain data:
// MACs behind ports, addresses that vNICs use, multicast groups and routers; and, in a table of its
// own, what controllers tell of MACs and addresses elsewhere. Each fact is a row: a
// key of 32 bytes, compared whole, and a value. Implemented by slot 1 (iochain/swsec). Rows that
// differ only in the port lie together, so that "who else has this address" and "which ports want
// this group" are one lookup.
//
// Change stamps: whatever could alter a decision (a row new, moved, changed, gone, expired) makes
// epoch() grow. Who loads epoch() before it looks rows up, and remembers it, may use what it found
// until epoch() differs. Changes of a port's bindings set its port_epoch() to the same value: who
// used only these asks has_changed() and need not look again if it says no. Several ports may have
// a binding of one address; only its holder()'s counts, the others are kept and wait. So a change
// of one of them sets the port_epoch() of all.
//
// A binding by DHCP (a lease) is worth more than one by first use: a claim never replaces it, nor
// its expiry, and it is counted apart.
//
// Expiry: whole seconds, rounded up. A row is not found from that moment on; pass_time() makes
// epoch() grow when one may have gone, so that a cached decision notices at the same poll.
//
// Threads: of what is learned workers call everything; control calls note_change(), for_each(),
// counts and epochs only (for flushes it sends a WorkerCommand). Of what controllers tell control
// calls everything, workers find() and size(): control counts as one worker more. A byte lock a
// bucket, left out with one worker. No allocation, no system call.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/net/address.h"

namespace sluice {

/// What a row says.
enum class LearnedKind : std::uint8_t {
    kNone = 0,     ///< No row; in a filter: every kind.
    kMac,          ///< (domain, MAC) lives at value.port.
    kBinding,      ///< (domain, port, IP) is used with value.mac.
    kGroupMember,  ///< (domain, port, group MAC): the port wants the group.
    kRouterPort,   ///< (domain, port): a multicast router is there.
    kQuerier,      ///< (domain): a querier of some family was heard at value.port.
    kDhcpClient,   ///< (domain, port, client, transaction): the client waits for a DHCP server. No
                   ///< decision reads it: it changes no epoch.
    kNeighbour,    ///< (domain, IP): a router's neighbour, or a VTEP's on the underlay, has
                   ///< value.mac. Changes epoch(), no port's.
    kPending,      ///< (domain, port, IP): SpoofGuard refused it to the vNIC; value.detail times,
                   ///< value.flags: kPendingRejected. Changes no epoch either.
};
inline constexpr std::size_t kLearnedKindCount = 9;
inline constexpr std::uint8_t kPendingRejected = 1;  ///< The operator does not want to see it.

/// How a row became known.
enum class LearnedSource : std::uint8_t { kData = 0, kArp, kNd, kDhcp, kIgmp, kMld };
using BindingSource = LearnedSource;

/// Identity of a row, 32 bytes without padding. Fields that a kind lacks are zero.
struct LearnedKey {
    DomainId domain;
    PortIndex port{0};                      ///< kBinding, kGroupMember, kRouterPort, kDhcpClient.
    LearnedKind kind = LearnedKind::kNone;  //
    IpFamily family = IpFamily::kNone;      ///< kBinding, kNeighbour, kQuerier, kDhcpClient.
    std::uint8_t address[16] = {};          ///< IP as in IpAddr, or a MAC in the first six bytes.
    std::uint8_t transaction[8] = {};       ///< kDhcpClient: its number.

    [[nodiscard]] bool operator==(const LearnedKey& other) const noexcept {
        return __builtin_memcmp(this, &other, sizeof *this) == 0;
    }
    [[nodiscard]] static LearnedKey mac(DomainId domain, const MacAddr& mac) noexcept {
        return with_mac(LearnedKind::kMac, domain, PortIndex{0}, mac);
    }
    [[nodiscard]] static LearnedKey binding(DomainId domain, PortIndex port,
                                            const IpAddr& ip) noexcept {
        LearnedKey key{domain, port, LearnedKind::kBinding, ip.family};
        __builtin_memcpy(key.address, ip.bytes.data(), sizeof key.address);
        return key;
    }
    [[nodiscard]] static LearnedKey neighbour(DomainId domain, const IpAddr& ip) noexcept {
        LearnedKey key = binding(domain, PortIndex{0}, ip);
        key.kind = LearnedKind::kNeighbour;
        return key;
    }
    [[nodiscard]] static LearnedKey group_member(DomainId domain, PortIndex port,
                                                 const MacAddr& group) noexcept {
        return with_mac(LearnedKind::kGroupMember, domain, port, group);
    }
    [[nodiscard]] static LearnedKey router_port(DomainId domain, PortIndex port) noexcept {
        return LearnedKey{domain, port, LearnedKind::kRouterPort, IpFamily::kNone};
    }
    [[nodiscard]] static LearnedKey querier(DomainId domain, IpFamily family) noexcept {
        return LearnedKey{domain, PortIndex{0}, LearnedKind::kQuerier, family};
    }
    /// What the port was refused, of the same form.
    [[nodiscard]] static LearnedKey pending(DomainId domain, PortIndex port,
                                            const IpAddr& ip) noexcept {
        LearnedKey key = binding(domain, port, ip);
        key.kind = LearnedKind::kPending;
        return key;
    }
    /// A DHCPv4 client by its hardware address and `xid`, a number in wire order.
    [[nodiscard]] static LearnedKey dhcp4_client(DomainId domain, PortIndex port,
                                                 const MacAddr& client,
                                                 std::uint32_t xid) noexcept {
        LearnedKey key = with_mac(LearnedKind::kDhcpClient, domain, port, client);
        key.family = IpFamily::kV4;
        __builtin_memcpy(key.transaction, &xid, sizeof xid);
        return key;
    }
    /// A DHCPv6 client by its address on the link and its transaction (24 bits).
    [[nodiscard]] static LearnedKey dhcp6_client(DomainId domain, PortIndex port,
                                                 const IpAddr& client,
                                                 std::uint32_t transaction) noexcept {
        LearnedKey key{domain, port, LearnedKind::kDhcpClient, IpFamily::kV6};
        __builtin_memcpy(key.address, client.bytes.data(), sizeof key.address);
        __builtin_memcpy(key.transaction, &transaction, sizeof transaction);
        return key;
    }
    /// The MAC of kMac and kGroupMember.
    [[nodiscard]] MacAddr mac_address() const noexcept {
        MacAddr mac;
        __builtin_memcpy(mac.bytes.data(), address, mac.bytes.size());
        return mac;
    }
    /// The address of kBinding, kNeighbour and kPending.
    [[nodiscard]] IpAddr ip_address() const noexcept {
        IpAddr ip;
        __builtin_memcpy(ip.bytes.data(), address, sizeof address);
        ip.family = family;
        return ip;
    }
    /// Whether rows of the kind belong to `port` of the key; else to value.port.
    [[nodiscard]] bool is_per_port() const noexcept {
        return kind == LearnedKind::kBinding || kind == LearnedKind::kGroupMember ||
               kind == LearnedKind::kRouterPort || kind == LearnedKind::kDhcpClient ||
               kind == LearnedKind::kPending;
    }

private:
    [[nodiscard]] static LearnedKey with_mac(LearnedKind kind, DomainId domain, PortIndex port,
                                             const MacAddr& mac) noexcept {
        LearnedKey key{domain, port, kind, IpFamily::kNone};
        __builtin_memcpy(key.address, mac.bytes.data(), mac.bytes.size());
        return key;
    }
};
static_assert(sizeof(LearnedKey) == 32 && std::has_unique_object_representations_v<LearnedKey>);

/// What is known of a key.
struct LearnedValue {
    MacAddr mac;                                  ///< kBinding, kNeighbour: the address's MAC.
    PortIndex port = kNoPort;                     ///< kMac, kQuerier, kNeighbour: where; else
                                                  ///< ignored.
    LearnedSource source = LearnedSource::kData;  //
    std::uint8_t flags = 0;                       ///< Meaning is the kind's; a change counts.
    std::uint16_t remote = 0;                     ///< kMac at a VTEP's port: the remote VTEP's
                                                  ///< index; a change counts.
    std::uint32_t detail = 0;                     ///< The kind's own; a change does not count.
    std::uint64_t first_seen_ns = 0;              ///< Set by learn() on a new row. Of bindings of
                                                  ///< one address no two are the same.
    std::uint64_t last_seen_ns = 0;               ///< Set by learn() and touch().
    std::uint64_t expires_ns = 0;                 ///< 0 = never. Rounded up to a second.
};
static_assert(sizeof(LearnedValue) == 40);

/// What learn() did.
enum class LearnResult : std::uint8_t {
    kNew,        ///< There was no such row, or only an expired one.
    kRefreshed,  ///< Was there; last_seen, expiry, source, flags and detail are the new ones.
    kMoved,      ///< Was there with another port or MAC, which are the new ones now.
    kLimit,      ///< Its port has `limit` rows of the kind; nothing changed.
    kFull,       ///< No room, or its port has more than its share; nothing changed.
};

/// One row as listings see it.
struct LearnedRow {
    LearnedKey key;
    LearnedValue value;
    /// The port it is charged to.
    [[nodiscard]] PortIndex owner() const noexcept {
        return key.is_per_port() ? key.port : value.port;
    }
};

/// Which rows a flush removes: those that meet all of it.
struct LearnedFilter {
    LearnedKind kind = LearnedKind::kNone;  ///< kNone = all.
    DomainId domain;                        ///< 0 = all.
    bool all_ports = true;                  ///< Else only rows of `ports`.
    std::bitset<kPortMax> ports;

    [[nodiscard]] static LearnedFilter of_port(PortIndex port,
                                               LearnedKind kind = LearnedKind::kNone) {
        LearnedFilter filter;
        filter.kind = kind;
        filter.all_ports = false;
        filter.ports.set(port.value);
        return filter;
    }
    [[nodiscard]] bool matches(const LearnedRow& row) const noexcept {
        const PortIndex owner = row.owner();
        return (kind == LearnedKind::kNone || kind == row.key.kind) &&
               (domain.value == 0 || domain == row.key.domain) &&
               (all_ports || (owner.value < kPortMax && ports[owner.value]));
    }
};

/// What a table lives in, 4 KiB aligned, zero-filled or never touched.
struct LearnedMemory {
    void* index = nullptr;    ///< LearnedTable::index_bytes(): of this process.
    void* records = nullptr;  ///< LearnedTable::record_bytes(): may come from another one.
};

/// What adopt() found in the rows of another process.
struct LearnedAdoption {
    std::uint32_t adopted = 0;
    std::uint32_t bindings = 0;  ///< Of these.
    std::uint32_t expired = 0;   ///< Meanwhile.
    std::uint32_t damaged = 0;   ///< Dropped: fails its check, makes no sense, or is there twice.
};

struct LearnedArena;   // Layout: iochain/swsec/learned_arena.h.
struct LearnedRecord;  // A row in it.

class LearnedTable {
public:
    [[nodiscard]] static std::size_t index_bytes(std::uint32_t capacity) noexcept;
    [[nodiscard]] static std::size_t record_bytes(std::uint32_t capacity) noexcept;
    /// Both in one piece.
    [[nodiscard]] static std::size_t arena_bytes(std::uint32_t capacity) noexcept {
        return index_bytes(capacity) + record_bytes(capacity);
    }
    /// Lays an empty table out. Touches nothing. `capacity` is 1..kLearnedMax. With one worker no
    /// lock is taken. Rows that another process left are taken over by adopt(), under the same
    /// seed.
    LearnedTable(const LearnedMemory& memory, std::uint32_t capacity, unsigned worker_count,
                 std::uint64_t hash_seed) noexcept;
    /// `arena`: arena_bytes(capacity).
    LearnedTable(void* arena, std::uint32_t capacity, unsigned worker_count,
                 std::uint64_t hash_seed) noexcept
        : LearnedTable({arena, static_cast<char*>(arena) + index_bytes(capacity)}, capacity,
                       worker_count, hash_seed) {}

    /// control, no worker runs: makes index and counts anew from what the first `record_count`
    /// records say (the rest is zero), whoever wrote them; what does not check out is freed. Every
    /// epoch grows. May be called again.
    /// @param has_checks  false: records of schema 3, which have no check; they get one
    LearnedAdoption adopt(std::uint32_t record_count, std::uint64_t now_ns, bool has_checks = true);
    /// control: records below `count` may be used; all, if it is never called. Never fewer than
    /// before.
    void set_ready(std::uint32_t count) noexcept;
    [[nodiscard]] std::uint32_t ready_count() const noexcept {
        return __atomic_load_n(&ready_count_, __ATOMIC_ACQUIRE);
    }

    /// A copy of the row, if it is there and not expired.
    [[nodiscard]] std::optional<LearnedValue> find(const LearnedKey& key,
                                                   std::uint64_t now_ns) const noexcept;
    /// Calls visit(const LearnedRow&) for the live rows of `key`'s kind, family, domain and
    /// address, whatever their port. `visit` runs under the bucket's lock: short, and without a
    /// call of this table.
    template <typename Visit>
    void for_each_port(const LearnedKey& key, std::uint64_t now_ns, Visit&& visit) const noexcept {
        using Callable = std::remove_reference_t<Visit>;
        walk(
            key, now_ns,
            [](void* context, const LearnedRow& row) noexcept {
                (*static_cast<Callable*>(context))(row);
            },
            const_cast<void*>(static_cast<const void*>(&visit)));
    }

    /// The port whose binding of `ip` counts in the domain: a lease before first use, then the
    /// oldest. kNoPort if there is none. What the document says (AddressTable) comes before it.
    [[nodiscard]] PortIndex holder(DomainId domain, const IpAddr& ip,
                                   std::uint64_t now_ns) const noexcept;

    /// Learns or refreshes a row. A port may have as many rows (of all kinds) as are free in the
    /// whole table, so that none can crowd the others out; one that has more can only refresh.
    /// @param limit  rows of the kind (of a binding: of its family, leases or others) that the
    /// row's port may have; 0 = none
    LearnResult learn(const LearnedKey& key, const LearnedValue& value, std::uint32_t limit,
                      std::uint64_t now_ns) noexcept;
    /// Defers last_seen and expiry (0 = never; a lease keeps its own) of a live row, neither goes
    /// back. False if there is no such row. Never changes an epoch.
    bool touch(const LearnedKey& key, std::uint64_t seen_ns, std::uint64_t expires_ns,
               std::uint64_t now_ns) noexcept;
    /// Removes a row. False if there was none.
    bool forget(const LearnedKey& key) noexcept;

    /// Once a poll, first of all: notices that rows may have expired since the last one.
    void pass_time(std::uint64_t now_ns) noexcept {
        if (now_ns >= next_second_ns()) [[unlikely]] { pass_second(now_ns); }
    }
    /// Looks at up to `budget` rows from where the last sweep ended and frees expired ones. Returns
    /// how many.
    std::uint32_t sweep(std::uint32_t budget, std::uint64_t now_ns) noexcept;
    /// Removes what `filter` names from `cursor` on, looking at up to `budget` rows; advances
    /// cursor, which reaches capacity() at the end. Returns how many.
    std::uint32_t flush(const LearnedFilter& filter, std::uint32_t& cursor,
                        std::uint32_t budget) noexcept;

    /// Calls visit(const LearnedRow&) for live rows of records [first, first + count), each a
    /// consistent copy. Any thread; worker changes beside it may be missed or seen.
    template <typename Visit>
    void for_each(std::uint32_t first, std::uint32_t count, std::uint64_t now_ns,
                  Visit&& visit) const {
        const std::uint32_t used = used_count();
        LearnedRow copy;
        for (std::uint32_t i = first; i < used && i - first < count; ++i) {
            if (copy_live(i, now_ns, copy)) { visit(static_cast<const LearnedRow&>(copy)); }
        }
    }

    /// Makes epoch() grow for a change of something else that decisions hang on (Reach, the fleet's
    /// table). Any thread.
    void note_change() noexcept;
    /// Grows with every change that could alter a decision. Any thread.
    [[nodiscard]] std::uint32_t epoch() const noexcept;
    /// epoch() right after the last change of a binding of the port. Any thread.
    [[nodiscard]] std::uint32_t port_epoch(PortIndex port) const noexcept;
    /// True if bindings of the port changed, or may have expired, after `epoch` was loaded; right
    /// across the wrap.
    [[nodiscard]] bool has_changed(PortIndex port, std::uint32_t epoch) const noexcept {
        return static_cast<std::int32_t>(port_epoch(port) - epoch) > 0;
    }

    /// Rows of a port, expired ones not yet swept included. Any thread.
    [[nodiscard]] std::uint32_t count(PortIndex port, LearnedKind kind,
                                      IpFamily family = IpFamily::kNone) const noexcept;
    /// Those of its bindings that are not leases.
    [[nodiscard]] std::uint32_t first_use_count(PortIndex port, IpFamily family) const noexcept;
    [[nodiscard]] std::uint32_t size() const noexcept;  ///< The same of all ports.
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    /// Records that were ever in use: for_each() has nothing to show from there on.
    [[nodiscard]] std::uint32_t used_count() const noexcept;

private:
    using Visitor = void (*)(void* context, const LearnedRow& row) noexcept;
    void walk(const LearnedKey& key, std::uint64_t now_ns, Visitor visit,
              void* context) const noexcept;
    [[nodiscard]] std::uint64_t next_second_ns() const noexcept;
    void pass_second(std::uint64_t now_ns) noexcept;
    [[nodiscard]] std::uint32_t bucket_of(const LearnedKey& key) const noexcept;
    [[nodiscard]] std::uint32_t check_of(const LearnedRecord& record) const noexcept;
    void clear_index() noexcept;
    /// False: the row is void.
    bool enter(std::uint32_t index, std::uint64_t now_ns, bool has_checks,
               LearnedAdoption& found) noexcept;
    [[nodiscard]] std::uint32_t lookup(std::uint32_t bucket, const LearnedKey& key) const noexcept;
    [[nodiscard]] LearnResult refuse(const LearnedKey& key, const LearnedValue& value,
                                     std::uint32_t limit) const noexcept;
    [[nodiscard]] std::uint64_t first_seen(std::uint32_t bucket, const LearnedKey& key,
                                           std::uint64_t now_ns) const noexcept;
    LearnResult insert(std::uint32_t bucket, const LearnedKey& key, const LearnedValue& value,
                       std::uint64_t now_ns) noexcept;
    [[nodiscard]] LearnResult update(std::uint32_t bucket, LearnedRecord& record,
                                     const LearnedValue& value, std::uint32_t limit,
                                     std::uint64_t now_ns) noexcept;
    void set_expiry(LearnedRecord& record, std::uint64_t expires_ns) noexcept;
    /// Unlinks and frees a record; the caller holds the bucket's lock.
    void remove(std::uint32_t bucket, std::uint32_t index) noexcept;
    template <typename Condition>
    bool remove_if(std::uint32_t index, Condition&& condition) noexcept;
    [[nodiscard]] bool copy_live(std::uint32_t index, std::uint64_t now_ns,
                                 LearnedRow& out) const noexcept;
    void count_row(const LearnedRecord& record, bool present) noexcept;
    void changed(std::uint32_t bucket, const LearnedKey& key) noexcept;

    LearnedArena* arena_;
    struct LearnedBucket* buckets_;
    std::uint32_t* next_;  // By record: index + 1 in its bucket or the free list.
    LearnedRecord* records_;
    std::uint32_t capacity_;
    std::uint32_t ready_count_;  // control: rw; workers: ro, atomic
    std::uint32_t bucket_mask_;
    bool shared_;  // More than one worker: locks are taken.
    std::uint64_t hash_keys_[5];
};

}  // namespace sluice
