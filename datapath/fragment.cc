// SPDX-License-Identifier: Apache-2.0
// FragmentTable; see fragment.h for what it promises. Chained hash over a fixed pool of entries; a
// FIFO of entries a port.
#include "datapath/fragment.h"

#include <algorithm>
#include <bit>

#include "datapath/parse.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

constexpr std::uint16_t kNone = 0xffff;
constexpr std::uint32_t kExtentMax =
    8;  // Pieces with gaps between them; more is no reordering but an attack.
constexpr std::uint32_t kHeadOffset = 4;    // Of the header in its copy: an offset of 0 means none.
constexpr std::uint32_t kHeadSizeMax = 60;  // Largest TCP header.
constexpr unsigned kSweepCount = 8;

[[nodiscard]] std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

/// What is known of the pieces that came: disjoint, in order, adjacent ones joined. Bytes of the
/// fragmentable part.
struct Extents {
    struct Piece {
        std::uint16_t begin, end;
    };
    std::array<Piece, kExtentMax> pieces;
    std::uint8_t count = 0;
    std::uint16_t total = 0;  ///< End of the last fragment; 0 = it has not come.

    [[nodiscard]] bool is_complete() const noexcept {
        return total != 0 && count == 1 && pieces[0].begin == 0 && pieces[0].end == total;
    }

    /// False if it overlaps, contradicts the end, or makes one gap too many. begin < end <= 65535.
    [[nodiscard]] bool add(std::uint16_t begin, std::uint16_t end, bool last) noexcept {
        if (total != 0 && (last || end > total)) { return false; }
        if (last && count > 0 && pieces[count - 1U].end > end) { return false; }
        std::uint8_t at = 0;
        while (at < count && pieces[at].begin < begin) { ++at; }
        if (at > 0 && pieces[at - 1U].end > begin) { return false; }
        if (at < count && pieces[at].begin < end) { return false; }
        if (!insert(at, Piece{begin, end})) { return false; }
        if (last) { total = end; }
        return true;
    }

private:
    [[nodiscard]] bool insert(std::uint8_t at, Piece piece) noexcept {
        const bool joins_left = at > 0 && pieces[at - 1U].end == piece.begin;
        const bool joins_right = at < count && pieces[at].begin == piece.end;
        if (joins_left && joins_right) {
            pieces[at - 1U].end = pieces[at].end;
            std::copy(pieces.begin() + at + 1, pieces.begin() + count, pieces.begin() + at);
            --count;
        } else if (joins_left) {
            pieces[at - 1U].end = piece.end;
        } else if (joins_right) {
            pieces[at].begin = piece.begin;
        } else {
            if (count == kExtentMax) { return false; }
            std::copy_backward(pieces.begin() + at, pieces.begin() + count,
                               pieces.begin() + count + 1);
            pieces[at] = piece;
            ++count;
        }
        return true;
    }
};

/// How far a datagram has come.
enum class DatagramState : std::uint8_t {
    kOpen,      ///< Head seen or not yet; pieces are added.
    kRefused,   ///< The head was dropped.
    kPoisoned,  ///< Pieces contradict each other.
    kComplete,
};

}  // namespace

struct FragmentTable::Identity {
    std::uint8_t source_ip[16];
    std::uint8_t destination_ip[16];
    std::uint32_t id;
    std::uint32_t tunnel;
    PortIndex port;
    std::uint16_t vlan;
    std::uint8_t flags;  // Family and tag.
    std::uint8_t
        protocol;  // IPv4 only: in IPv6 it may differ from fragment to fragment (RFC 8200 §4.5).
    std::uint16_t reserved;

    [[nodiscard]] static Identity of(const ParsedFrame& frame) noexcept {
        const FlowKey& key = frame.key;
        Identity identity{};
        std::memcpy(identity.source_ip, key.source_ip, 16);
        std::memcpy(identity.destination_ip, key.destination_ip, 16);
        identity.id = frame.fragment_id;
        identity.tunnel = key.tunnel;
        identity.port = key.port;
        identity.vlan = key.vlan;
        identity.flags = key.flags & (kKeyTagged | kKeyIpv4 | kKeyIpv6);
        identity.protocol = key.has(kKeyIpv4) ? key.protocol : std::uint8_t{0};
        return identity;
    }

    [[nodiscard]] std::uint32_t hash(std::uint64_t seed) const noexcept {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(this);
        std::uint64_t h = seed ^ 0x9e3779b97f4a7c15ULL;
        for (unsigned i = 0; i < sizeof *this; i += 16) {
            h = mix(load<std::uint64_t>(bytes + i) ^ h,
                    load<std::uint64_t>(bytes + i + 8) ^ 0xe7037ed1a0b428dbULL);
        }
        return static_cast<std::uint32_t>(h >> 32U);
    }
};

struct FragmentTable::Entry {
    Identity identity;
    std::uint64_t expires_ns = 0;
    std::uint32_t generation = 1;
    std::uint32_t bucket = 0;
    std::uint16_t next_in_bucket = kNone;
    std::uint16_t older = kNone,
                  newer = kNone;  // In the port's FIFO; `newer` also chains free entries.
    bool in_use = false;
    DatagramState state = DatagramState::kOpen;
    bool has_head = false;
    bool lost_one = false;  // A fragment was dropped before the head came: never complete.
    Extents extents;
    FlowKey head_key;
    std::uint16_t l4_begin = 0;  // Of the transport header in the fragmentable part.
    std::uint8_t head_size = 0;  // Bytes of the header kept.
    std::uint8_t tcp_flags = 0, tcp_header_size = 0;
    L4Checksum l4_checksum = L4Checksum::kUnknown;
    std::array<std::uint8_t, kHeadOffset + kHeadSizeMax> head{};

    [[nodiscard]] bool is_over(std::uint64_t now_ns) const noexcept { return now_ns > expires_ns; }

    void end(std::uint64_t now_ns) noexcept {
        state = DatagramState::kComplete;
        expires_ns = now_ns;
    }

    void keep_head(const ParsedFrame& frame, std::uint32_t begin) noexcept {
        has_head = true;
        head_key = frame.key;
        l4_begin = static_cast<std::uint16_t>(begin);
        tcp_flags = frame.tcp_flags;
        tcp_header_size = frame.tcp_header_size;
        l4_checksum = frame.l4_checksum;
        const std::uint32_t here = std::min<std::uint32_t>(
            frame.l4_size, frame.data_size - std::uint32_t{frame.l4_offset});
        head_size = frame.l4_offset == 0 ? std::uint8_t{0}
                                         : static_cast<std::uint8_t>(std::min(here, kHeadSizeMax));
        std::memcpy(head.data() + kHeadOffset, frame.data + frame.l4_offset, head_size);
    }

    /// UDP's own length says more than what came (as parse refuses it in a whole datagram).
    [[nodiscard]] bool overstates() const noexcept {
        if (head_key.protocol != kProtocolUdp || head_size < kUdpSize) { return false; }
        return load_be16(head.data() + kHeadOffset + 4) > extents.total - l4_begin;
    }
};

FragmentTable::FragmentTable(const FragmentLimits& limits, std::uint64_t seed)
    : limits_(limits),
      seed_(seed),
      bucket_mask_(std::bit_ceil(std::uint32_t{limits.capacity}) - 1U),
      entries_(std::make_unique<Entry[]>(limits.capacity)),
      buckets_(std::make_unique<std::uint16_t[]>(bucket_mask_ + 1U)) {
    std::fill_n(buckets_.get(), bucket_mask_ + 1U, kNone);
    for (std::uint16_t i = 0; i < limits.capacity; ++i) {
        entries_[i].newer = static_cast<std::uint16_t>(i + 1U);
    }
    if (limits.capacity == 0) { return; }
    free_oldest_ = 0;
    free_newest_ = static_cast<std::uint16_t>(limits.capacity - 1U);
    entries_[free_newest_].newer = kNone;
}

FragmentTable::~FragmentTable() = default;

FragmentTable::PortQueue& FragmentTable::queue_of(PortIndex port) noexcept {
    return ports_[std::min<std::size_t>(port.value, kPortMax)];
}

FragmentResult FragmentTable::complete(ParsedFrame& frame, std::uint64_t now_ns) noexcept {
    const Identity identity = Identity::of(frame);
    const std::uint32_t bucket = identity.hash(seed_) & bucket_mask_;
    std::uint16_t index = find(identity, bucket);
    const bool ended = index != kNone && (entries_[index].is_over(now_ns) ||
                                          entries_[index].state == DatagramState::kComplete);
    if (ended) { release(index); }
    if (index == kNone || ended) { index = open(frame, identity, bucket, now_ns); }
    if (index == kNone) { return {DropReason::kFragmentTableFull, {}, false}; }
    FragmentResult result = judge(entries_[index], frame, now_ns);
    result.datagram = {index, entries_[index].generation};
    return result;
}

FragmentResult FragmentTable::judge(Entry& entry, ParsedFrame& frame,
                                    std::uint64_t now_ns) noexcept {
    const FragmentExtent extent = fragment_extent(frame);
    const bool head = frame.fragment_offset == 0;
    if (entry.state == DatagramState::kPoisoned) { return {DropReason::kBadFragment, {}, false}; }
    const bool fits =
        extent.begin < extent.end && extent.end <= kDatagramMax &&
        entry.extents.add(static_cast<std::uint16_t>(extent.begin),
                          static_cast<std::uint16_t>(extent.end), !frame.more_fragments);
    if (!fits) {
        entry.state = DatagramState::kPoisoned;
        return {DropReason::kBadFragment, {}, false};
    }
    if (entry.state == DatagramState::kRefused) { return {DropReason::kFragmentNoHead, {}, false}; }
    if (head) {
        entry.keep_head(frame, extent.l4_begin);
        if (entry.extents.is_complete()) {
            entry.end(now_ns);
        }  // The rest came before and was dropped.
        return {};
    }
    if (!entry.has_head) {
        entry.lost_one = true;
        return {DropReason::kFragmentNoHead, {}, false};
    }
    frame.key.source_port = entry.head_key.source_port;
    frame.key.destination_port = entry.head_key.destination_port;
    frame.key.protocol = entry.head_key.protocol;
    frame.key.flags |= entry.head_key.flags & kKeyPorts;
    frame.tcp_flags = entry.tcp_flags;
    if (!entry.extents.is_complete()) { return {}; }
    if (entry.overstates()) {
        entry.state = DatagramState::kPoisoned;
        return {DropReason::kBadFragment, {}, false};
    }
    entry.end(now_ns);
    return {DropReason::kNone, {}, !entry.lost_one};
}

void FragmentTable::refuse(FragmentHandle datagram) noexcept {
    if (!datagram.is_set()) { return; }
    Entry& entry = entries_[datagram.index];
    if (entry.generation == datagram.generation && entry.state == DatagramState::kOpen) {
        entry.state = DatagramState::kRefused;
    }
}

bool FragmentTable::whole(FragmentHandle datagram, ParsedFrame& out) const noexcept {
    if (!datagram.is_set()) { return false; }
    const Entry& entry = entries_[datagram.index];
    if (entry.generation != datagram.generation || entry.state != DatagramState::kComplete ||
        entry.lost_one) {
        return false;
    }
    out = ParsedFrame{};
    out.key = entry.head_key;
    out.data = entry.head.data();
    out.data_size = static_cast<std::uint16_t>(kHeadOffset + entry.head_size);
    out.frame_size = out.data_size;
    out.l4_offset = entry.head_size == 0 ? std::uint16_t{0} : std::uint16_t{kHeadOffset};
    out.l4_size = std::uint32_t{entry.extents.total} - entry.l4_begin;
    out.fragment = true;
    out.fragment_id = entry.identity.id;
    out.tcp_flags = entry.tcp_flags;
    out.tcp_header_size = entry.tcp_header_size;
    out.l4_checksum = entry.l4_checksum;
    out.frame_class = FrameClass::kFlow;
    return true;
}

std::uint16_t FragmentTable::find(const Identity& identity, std::uint32_t bucket) const noexcept {
    std::uint16_t index = buckets_[bucket];
    while (index != kNone &&
           std::memcmp(&entries_[index].identity, &identity, sizeof identity) != 0) {
        index = entries_[index].next_in_bucket;
    }
    return index;
}

// A port at its quota loses its own oldest datagram; a full table first looks for ended ones, then
// takes the port's oldest.
bool FragmentTable::make_room(PortQueue& queue, std::uint64_t now_ns) noexcept {
    if (limits_.capacity == 0) { return false; }
    for (unsigned i = 0; i < kSweepCount && free_oldest_ == kNone; ++i) {
        sweep_ = static_cast<std::uint16_t>(sweep_ + 1U < limits_.capacity ? sweep_ + 1U : 0U);
        if (entries_[sweep_].in_use && entries_[sweep_].is_over(now_ns)) { release(sweep_); }
    }
    const bool over_quota = queue.count >= limits_.per_port;
    if ((over_quota || free_oldest_ == kNone) && queue.oldest != kNone) { release(queue.oldest); }
    return free_oldest_ != kNone && queue.count < limits_.per_port;
}

std::uint16_t FragmentTable::open(const ParsedFrame& frame, const Identity& identity,
                                  std::uint32_t bucket, std::uint64_t now_ns) noexcept {
    PortQueue& queue = queue_of(frame.key.port);
    if (!make_room(queue, now_ns)) { return kNone; }
    const std::uint16_t index = free_oldest_;
    Entry& entry = entries_[index];
    free_oldest_ = entry.newer;
    if (free_oldest_ == kNone) { free_newest_ = kNone; }
    const std::uint32_t generation = entry.generation + 1U;
    entry = Entry{};
    entry.generation = generation;
    entry.identity = identity;
    entry.in_use = true;
    entry.expires_ns =
        now_ns + (frame.key.has(kKeyIpv4) ? limits_.timeout_v4_ns : limits_.timeout_v6_ns);
    entry.bucket = bucket;
    entry.next_in_bucket = buckets_[bucket];
    buckets_[bucket] = index;
    entry.older = queue.newest;
    (queue.newest == kNone ? queue.oldest : entries_[queue.newest].newer) = index;
    queue.newest = index;
    ++queue.count;
    ++size_;
    return index;
}

void FragmentTable::unlink_from_bucket(std::uint16_t index) noexcept {
    std::uint16_t* link = &buckets_[entries_[index].bucket];
    while (*link != index) { link = &entries_[*link].next_in_bucket; }
    *link = entries_[index].next_in_bucket;
}

void FragmentTable::unlink_from_queue(std::uint16_t index) noexcept {
    const Entry& entry = entries_[index];
    PortQueue& queue = queue_of(entry.identity.port);
    (entry.older == kNone ? queue.oldest : entries_[entry.older].newer) = entry.newer;
    (entry.newer == kNone ? queue.newest : entries_[entry.newer].older) = entry.older;
    --queue.count;
}

void FragmentTable::release(std::uint16_t index) noexcept {
    unlink_from_bucket(index);
    unlink_from_queue(index);
    Entry& entry = entries_[index];
    entry.in_use = false;
    entry.newer = kNone;
    (free_newest_ == kNone ? free_oldest_ : entries_[free_newest_].newer) = index;
    free_newest_ = index;
    --size_;
}

void FragmentTable::flush() noexcept {
    for (PortQueue& queue : ports_) {
        while (queue.oldest != kNone) { release(queue.oldest); }
    }
}

void FragmentTable::flush(PortIndex port) noexcept {
    PortQueue& queue = queue_of(port);
    if (port.value < kPortMax) {
        while (queue.oldest != kNone) { release(queue.oldest); }
        return;
    }
    for (std::uint16_t index = queue.oldest; index != kNone;) {
        const std::uint16_t newer = entries_[index].newer;
        if (entries_[index].identity.port == port) { release(index); }
        index = newer;
    }
}

}  // namespace sluice::datapath
