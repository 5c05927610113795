// SPDX-License-Identifier: Apache-2.0
// FragmentStore; see fragment_store.h.
#include "datapath/fragment_store.h"

#include <rte_mbuf.h>

namespace sluice::datapath {

FragmentStore::FragmentStore(const FragmentStoreLimits& limits)
    : limits_(limits), places_(std::make_unique<Place[]>(limits.buffers)) {
    for (std::uint16_t i = limits.buffers; i > 0; --i) {
        places_[i - 1U].next = free_;
        free_ = static_cast<std::uint16_t>(i - 1U);
    }
}

bool FragmentStore::has_room(PortIndex port, const rte_mbuf& frame) const noexcept {
    const Use& use = ports_[slot_of(port)];
    const std::uint32_t buffers = frame.nb_segs;
    const std::uint32_t bytes = frame.pkt_len;
    return free_ != kNone && all_.buffers + buffers <= limits_.buffers &&
           all_.bytes + bytes <= limits_.bytes &&
           use.buffers + buffers <= limits_.buffers_per_port &&
           use.bytes + bytes <= limits_.bytes_per_port;
}

void FragmentStore::hold(HeldList& list, std::uint16_t owner, PortIndex port,
                         const HeldFragment& held) noexcept {
    const std::uint16_t at = free_;
    Place& place = places_[at];
    free_ = place.next;
    place.held = held;
    place.owner = owner;
    place.port = port;
    std::uint16_t* link = &list.first;
    while (*link != kNone && places_[*link].held.begin < held.begin) {
        link = &places_[*link].next;
    }
    place.next = *link;
    *link = at;
    Use& use = ports_[slot_of(port)];
    place.older = use.newest;
    place.newer = kNone;
    (use.newest == kNone ? use.oldest : places_[use.newest].newer) = at;
    use.newest = at;
    for (Use* each : {&use, &all_}) {
        each->buffers = static_cast<std::uint16_t>(each->buffers + held.frame->nb_segs);
        each->bytes += held.frame->pkt_len;
    }
    ++size_;
}

rte_mbuf* FragmentStore::take(HeldList& list) noexcept {
    if (list.is_empty()) { return nullptr; }
    const std::uint16_t at = list.first;
    Place& place = places_[at];
    list.first = place.next;
    unlink_from_port(at);
    place.next = free_;
    free_ = at;
    --size_;
    return place.held.frame;
}

void FragmentStore::unlink_from_port(std::uint16_t at) noexcept {
    const Place& place = places_[at];
    Use& use = ports_[slot_of(place.port)];
    (place.older == kNone ? use.oldest : places_[place.older].newer) = place.newer;
    (place.newer == kNone ? use.newest : places_[place.newer].older) = place.older;
    for (Use* each : {&use, &all_}) {
        each->buffers = static_cast<std::uint16_t>(each->buffers - place.held.frame->nb_segs);
        each->bytes -= place.held.frame->pkt_len;
    }
}

std::uint16_t FragmentStore::oldest_owner(PortIndex port) const noexcept {
    const std::uint16_t oldest = ports_[slot_of(port)].oldest;
    return oldest == kNone ? kNone : places_[oldest].owner;
}

}  // namespace sluice::datapath
