// SPDX-License-Identifier: Apache-2.0
// FragmentTable; see fragment.h for what it promises. Chained hash over a fixed pool of entries; a
// FIFO of entries a port, and one a family in order of age. Workers call it for each fragment, and
// to age.
#include "datapath/fragment.h"

#include <rte_mbuf.h>

#include <bit>

#include "datapath/checksum.h"
#include "datapath/fragment_entry.h"
#include "datapath/parse.h"

namespace sluice::datapath {
namespace {

constexpr unsigned kSweepMax = 256;  // Datagrams of a family that end at once.

/// Sum over what the fragment carries of the transport header and what is behind it.
[[nodiscard]] std::uint16_t sum_of(const rte_mbuf& frame, const FragmentExtent& part) noexcept {
    return raw_sum(frame, part.at + part.l4_begin, part.end - part.begin - part.l4_begin);
}

}  // namespace

FragmentTable::FragmentTable(const FragmentLimits& limits, std::uint64_t seed, Drop drop,
                             void* context)
    : limits_(limits),
      seed_(seed),
      drop_(drop),
      drop_context_(context),
      store_(limits.held),
      bucket_mask_(std::bit_ceil(std::uint32_t{limits.capacity}) - 1U),
      entries_(std::make_unique<Entry[]>(limits.capacity)),
      buckets_(std::make_unique<std::uint16_t[]>(bucket_mask_ + 1U)),
      gathered_(std::make_unique<std::uint8_t[]>(kFragmentGatheredMax)) {
    std::fill_n(buckets_.get(), bucket_mask_ + 1U, kNoEntry);
    for (std::uint16_t i = 0; i < limits.capacity; ++i) { append(free_, i, &Entry::in_port); }
}

// The counters of its owner may be gone by now.
FragmentTable::~FragmentTable() {
    drop_ = [](void*, rte_mbuf& frame, DropReason) { rte_pktmbuf_free(&frame); };
    flush();
}

FragmentTable::Queue& FragmentTable::queue_of(PortIndex port) noexcept {
    return ports_[std::min<std::size_t>(port.value, kPortMax)];
}

std::uint16_t FragmentTable::find_or_open(const ParsedFrame& parsed,
                                          std::uint64_t now_ns) noexcept {
    const Identity identity = Identity::of(parsed);
    const std::uint32_t bucket = identity.hash(seed_) & bucket_mask_;
    const std::uint16_t index = find(identity, bucket);
    if (index == kNoEntry) { return open(parsed, identity, bucket, now_ns); }
    const Entry& entry = entries_[index];
    if (!entry.is_over(now_ns) && entry.state != DatagramState::kComplete) { return index; }
    release(index, DropReason::kFragmentTimeout);
    return open(parsed, identity, bucket, now_ns);
}

FragmentResult FragmentTable::offer(rte_mbuf& frame, ParsedFrame& parsed,
                                    std::uint64_t now_ns) noexcept {
    const std::uint16_t index = find_or_open(parsed, now_ns);
    if (index == kNoEntry) { return {FragmentFate::kDropped, DropReason::kFragmentTableFull}; }
    FragmentResult result = judge(index, frame, parsed, now_ns);
    result.datagram = {index, entries_[index].generation};
    return result;
}

FragmentFit FragmentTable::fit(Entry& entry, const FragmentExtent& part, bool is_last) noexcept {
    if (part.begin >= part.end || part.end > kDatagramMax) { return FragmentFit::kContradiction; }
    return entry.extents.add(static_cast<std::uint16_t>(part.begin),
                             static_cast<std::uint16_t>(part.end), is_last);
}

FragmentResult FragmentTable::judge(std::uint16_t index, rte_mbuf& frame, ParsedFrame& parsed,
                                    std::uint64_t now_ns) noexcept {
    Entry& entry = entries_[index];
    if (entry.state == DatagramState::kCondemned) {
        return {FragmentFate::kDropped, DropReason::kBadFragment};
    }
    const FragmentExtent part = fragment_extent(parsed);
    switch (fit(entry, part, !parsed.more_fragments)) {
        case FragmentFit::kNew: break;
        case FragmentFit::kDuplicate: return {FragmentFate::kDropped, DropReason::kBadFragment};
        case FragmentFit::kContradiction: return fail(index, DropReason::kBadFragment);
    }
    if (entry.state == DatagramState::kRefused) {
        return {FragmentFate::kDropped, DropReason::kFragmentNoHead};
    }
    entry.sum += sum_of(frame, part);
    if (parsed.fragment_offset == 0) {
        entry.keep_head(parsed, part.l4_begin);
        entry.any_sum = parsed.l4_offset != 0 && is_source_routed(parsed);
    }
    const bool waits = !entry.has_head || entry.gathered_as != InspectKind::kNone;
    return waits ? judge_waiting(index, frame, part, now_ns) : judge_going(index, parsed, now_ns);
}

// Before the head, or of a conversation.
FragmentResult FragmentTable::judge_waiting(std::uint16_t index, rte_mbuf& frame,
                                            const FragmentExtent& part,
                                            std::uint64_t now_ns) noexcept {
    Entry& entry = entries_[index];
    if (!make_room_to_wait(index, frame)) { return fail(index, DropReason::kFragmentTableFull); }
    const HeldFragment held{&frame, static_cast<std::uint16_t>(part.begin),
                            static_cast<std::uint16_t>(part.at),
                            static_cast<std::uint16_t>(part.end - part.begin)};
    store_.hold(entry.held, index, entry.identity.port, held);
    if (entry.gathered_as == InspectKind::kNone || !entry.extents.is_complete()) {
        return {FragmentFate::kHeld};
    }
    entry.end(now_ns);
    return {FragmentFate::kGathered, DropReason::kNone, true};
}

// The head, or behind a head that has gone on.
FragmentResult FragmentTable::judge_going(std::uint16_t index, ParsedFrame& parsed,
                                          std::uint64_t now_ns) noexcept {
    Entry& entry = entries_[index];
    entry.complete(parsed);
    if (!entry.extents.is_complete()) { return {FragmentFate::kGoesOn}; }
    if (entry.overstates()) { return fail(index, DropReason::kBadFragment); }
    const std::uint8_t* header = entry.head.data() + Entry::kHeadOffset;
    if (!entry.any_sum && entry.head_size >= kUdpSize &&
        !l4_sum_ok(entry.head_key, header, entry.l4_size(), entry.sum)) {
        return fail(index, DropReason::kBadL4Checksum);
    }
    entry.end(now_ns);
    return {FragmentFate::kGoesOn, DropReason::kNone, true};
}

// The datagram can't be whole any more: what waits goes with this piece, what follows is bad.
FragmentResult FragmentTable::fail(std::uint16_t index, DropReason reason) noexcept {
    Entry& entry = entries_[index];
    entry.state = reason == DropReason::kFragmentTableFull ? DatagramState::kRefused
                                                           : DatagramState::kCondemned;
    drop_held(entry, reason);
    return {FragmentFate::kDropped, reason};
}

// The port's datagram that has waited longest makes room, unless it is this one.
bool FragmentTable::make_room_to_wait(std::uint16_t index, const rte_mbuf& frame) noexcept {
    const PortIndex port = entries_[index].identity.port;
    while (!store_.has_room(port, frame)) {
        const std::uint16_t owner = store_.oldest_owner(port);
        if (owner == kNoEntry || owner == index) { return false; }
        entries_[owner].state = DatagramState::kRefused;
        drop_held(entries_[owner], DropReason::kFragmentTableFull);
    }
    return true;
}

void FragmentTable::drop_held(Entry& entry, DropReason reason) noexcept {
    while (rte_mbuf* frame = store_.take(entry.held)) { drop_(drop_context_, *frame, reason); }
}

void FragmentTable::condemn(const ParsedFrame& parsed, DropReason reason,
                            std::uint64_t now_ns) noexcept {
    const std::uint16_t index = find_or_open(parsed, now_ns);
    if (index == kNoEntry) { return; }
    Entry& entry = entries_[index];
    const bool is_bad = reason == DropReason::kBadFragment;
    entry.state = is_bad ? DatagramState::kCondemned : DatagramState::kRefused;
    drop_held(entry, reason);
}

FragmentTable::Entry* FragmentTable::entry_of(FragmentHandle datagram) const noexcept {
    if (!datagram.is_set()) { return nullptr; }
    Entry& entry = entries_[datagram.index];
    return entry.in_use && entry.generation == datagram.generation ? &entry : nullptr;
}

void FragmentTable::refuse(FragmentHandle datagram) noexcept {
    Entry* entry = entry_of(datagram);
    if (entry == nullptr) { return; }
    if (entry->state == DatagramState::kOpen) { entry->state = DatagramState::kRefused; }
    drop_held(*entry, DropReason::kFragmentNoHead);
}

rte_mbuf* FragmentTable::next_held(FragmentHandle datagram) noexcept {
    Entry* entry = entry_of(datagram);
    return entry == nullptr ? nullptr : store_.take(entry->held);
}

void FragmentTable::complete(FragmentHandle datagram, ParsedFrame& frame) const noexcept {
    const Entry* entry = entry_of(datagram);
    if (entry != nullptr) { entry->complete(frame); }
}

bool FragmentTable::whole(FragmentHandle datagram, ParsedFrame& out) const noexcept {
    const Entry* entry = entry_of(datagram);
    if (entry == nullptr || entry->state != DatagramState::kComplete) { return false; }
    out = ParsedFrame{};
    out.key = entry->head_key;
    out.data = entry->head.data();
    out.data_size = static_cast<std::uint16_t>(Entry::kHeadOffset + entry->head_size);
    out.frame_size = out.data_size;
    out.l4_offset = entry->head_size == 0 ? std::uint16_t{0} : std::uint16_t{Entry::kHeadOffset};
    out.l4_size = entry->l4_size();
    out.fragment = true;
    out.fragment_id = entry->identity.id;
    out.tcp_flags = entry->tcp_flags;
    out.tcp_header_size = entry->tcp_header_size;
    out.l4_checksum = entry->l4_checksum;
    out.frame_class = FrameClass::kFlow;
    return true;
}

std::uint16_t FragmentTable::find(const Identity& identity, std::uint32_t bucket) const noexcept {
    std::uint16_t index = buckets_[bucket];
    while (index != kNoEntry &&
           std::memcmp(&entries_[index].identity, &identity, sizeof identity) != 0) {
        index = entries_[index].next_in_bucket;
    }
    return index;
}

// A port at its quota loses its own oldest datagram; a full table first looks for ended ones, then
// takes the port's oldest.
bool FragmentTable::make_room(Queue& queue, std::uint64_t now_ns) noexcept {
    if (limits_.capacity == 0) { return false; }
    if (free_.oldest == kNoEntry) { sweep(now_ns); }
    const bool over_quota = queue.count >= limits_.per_port;
    if ((over_quota || free_.oldest == kNoEntry) && queue.oldest != kNoEntry) {
        release(queue.oldest, DropReason::kFragmentTableFull);
    }
    return free_.oldest != kNoEntry && queue.count < limits_.per_port;
}

std::uint16_t FragmentTable::open(const ParsedFrame& parsed, const Identity& identity,
                                  std::uint32_t bucket, std::uint64_t now_ns) noexcept {
    Queue& queue = queue_of(parsed.key.port);
    if (!make_room(queue, now_ns)) { return kNoEntry; }
    const std::uint16_t index = free_.oldest;
    unlink(free_, index, &Entry::in_port);
    Entry& entry = entries_[index];
    const std::uint32_t generation = entry.generation + 1U;
    entry = Entry{};
    entry.generation = generation;
    entry.identity = identity;
    entry.in_use = true;
    entry.expires_ns = now_ns + (parsed.key.has(kKeyIpv4) ? timeouts_.v4_ns : timeouts_.v6_ns);
    entry.bucket = bucket;
    entry.next_in_bucket = buckets_[bucket];
    buckets_[bucket] = index;
    append(queue, index, &Entry::in_port);
    append(by_age_[entry.is_v6() ? 1 : 0], index, &Entry::in_time);
    ++size_;
    return index;
}

void FragmentTable::unlink_from_bucket(std::uint16_t index) noexcept {
    std::uint16_t* link = &buckets_[entries_[index].bucket];
    while (*link != index) { link = &entries_[*link].next_in_bucket; }
    *link = entries_[index].next_in_bucket;
}

void FragmentTable::append(Queue& queue, std::uint16_t index, Links Entry::*links) noexcept {
    (entries_[index].*links) = {queue.newest, kNoEntry};
    (queue.newest == kNoEntry ? queue.oldest : (entries_[queue.newest].*links).newer) = index;
    queue.newest = index;
    ++queue.count;
}

void FragmentTable::unlink(Queue& queue, std::uint16_t index, Links Entry::*links) noexcept {
    const Links& own = entries_[index].*links;
    (own.older == kNoEntry ? queue.oldest : (entries_[own.older].*links).newer) = own.newer;
    (own.newer == kNoEntry ? queue.newest : (entries_[own.newer].*links).older) = own.older;
    --queue.count;
}

void FragmentTable::release(std::uint16_t index, DropReason reason) noexcept {
    drop_held(entries_[index], reason);
    unlink_from_bucket(index);
    Entry& entry = entries_[index];
    unlink(queue_of(entry.identity.port), index, &Entry::in_port);
    unlink(by_age_[entry.is_v6() ? 1 : 0], index, &Entry::in_time);
    entry.in_use = false;
    append(free_, index, &Entry::in_port);
    --size_;
}

// Datagrams of one family end in the order in which they began, unless the timeouts were changed
// between.
void FragmentTable::sweep(std::uint64_t now_ns) noexcept {
    for (const Queue& queue : by_age_) {
        for (unsigned i = 0; i < kSweepMax && queue.oldest != kNoEntry; ++i) {
            if (!entries_[queue.oldest].is_over(now_ns)) { break; }
            release(queue.oldest, DropReason::kFragmentTimeout);
        }
    }
}

void FragmentTable::end(FragmentHandle datagram) noexcept {
    if (entry_of(datagram) != nullptr) { release(datagram.index, DropReason::kFragmentNoHead); }
}

void FragmentTable::flush() noexcept {
    for (Queue& queue : ports_) {
        while (queue.oldest != kNoEntry) { release(queue.oldest, DropReason::kFragmentNoHead); }
    }
}

void FragmentTable::flush(PortIndex port) noexcept {
    Queue& queue = queue_of(port);
    if (port.value < kPortMax) {
        while (queue.oldest != kNoEntry) { release(queue.oldest, DropReason::kFragmentNoHead); }
        return;
    }
    for (std::uint16_t index = queue.oldest; index != kNoEntry;) {
        const std::uint16_t newer = entries_[index].in_port.newer;
        if (entries_[index].identity.port == port) { release(index, DropReason::kFragmentNoHead); }
        index = newer;
    }
}

}  // namespace sluice::datapath
