// SPDX-License-Identifier: Apache-2.0
// Teaming: see teaming.h.
#include "datapath/teaming.h"

#include <algorithm>
#include <span>

#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

// splitmix64's finisher.
std::uint64_t mixed(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31U);
}

std::uint64_t score(std::uint64_t identity, PortIndex way) noexcept {
    return mixed(identity + (std::uint64_t{way.value} + 1U) * 0x9e3779b97f4a7c15ULL);
}

/// The best of `ways` for `identity`: the one with the highest score (rendezvous hashing).
template <typename Usable>
PortIndex best_of(std::span<const PortIndex> ways, std::uint64_t identity,
                  Usable&& usable) noexcept {
    PortIndex best = kNoPort;
    std::uint64_t best_score = 0;
    for (const PortIndex way : ways) {
        if (!usable(way)) { continue; }
        const std::uint64_t points = score(identity, way);
        if (best != kNoPort && points <= best_score) { continue; }
        best = way;
        best_score = points;
    }
    return best;
}

std::uint64_t address_half(const std::uint8_t (&ip)[16], std::uint16_t port) noexcept {
    std::uint64_t words[2];
    std::memcpy(words, ip, sizeof words);
    return mixed(words[0] ^ mixed(words[1] + port));
}

// The same both ways.
std::uint64_t flow_identity(const FlowKey& key) noexcept {
    if (!key.is_ip()) { return key.source_mac.number() + key.destination_mac.number(); }
    return address_half(key.source_ip, key.source_port.raw) +
           address_half(key.destination_ip, key.destination_port.raw) + key.protocol;
}

std::uint64_t identity_of(const Team& team, PortIndex sender, const FlowKey& key) noexcept {
    switch (team.policy) {
        case model::TeamingPolicy::kSourceMac: return mixed(key.source_mac.number());
        case model::TeamingPolicy::kIpHash: return flow_identity(key);
        default: return mixed(sender.value);
    }
}

// Where the sender's frames leave as long as that works.
PortIndex home_of(const Reach& reach, const Team& team, PortIndex sender,
                  std::uint64_t identity) noexcept {
    if (team.policy == model::TeamingPolicy::kExplicit) { return team.active.front(); }
    if (team.policy == model::TeamingPolicy::kLoad) {
        const PortIndex wanted = reach.preferred(sender);
        const bool has_it =
            std::find(team.active.begin(), team.active.end(), wanted) != team.active.end();
        if (wanted != kNoPort && has_it) { return wanted; }
    }
    return best_of(team.active, identity, [](PortIndex) { return true; });
}

PortIndex first_of(const Reach& reach, std::span<const PortIndex> ways) noexcept {
    const auto at =
        std::find_if(ways.begin(), ways.end(), [&](PortIndex way) { return reach.works(way); });
    return at == ways.end() ? kNoPort : *at;
}

// The standby for a failed home: its rank among the failed ones. kNoPort: there are not so many.
PortIndex stand_in(const Reach& reach, const Team& team, PortIndex home) noexcept {
    std::size_t rank = 0;
    for (const PortIndex way : team.active) {
        if (way == home) { break; }
        if (!reach.works(way)) { ++rank; }
    }
    for (const PortIndex way : team.standby) {
        if (reach.works(way) && rank-- == 0) { return way; }
    }
    return kNoPort;
}

PortIndex away_from_home(const Reach& reach, const Team& team, PortIndex home,
                         std::uint64_t identity) noexcept {
    const auto works = [&](PortIndex way) { return reach.works(way); };
    if (team.policy == model::TeamingPolicy::kExplicit) {
        const PortIndex next = first_of(reach, team.active);
        return next != kNoPort ? next : first_of(reach, team.standby);
    }
    if (const PortIndex way = stand_in(reach, team, home); way != kNoPort) { return way; }
    const PortIndex active = best_of(team.active, identity, works);
    const PortIndex standby = best_of(team.standby, identity, works);
    if (active == kNoPort || standby == kNoPort) { return active != kNoPort ? active : standby; }
    return score(identity, active) >= score(identity, standby) ? active : standby;
}

}  // namespace

PortIndex choose_uplink(const Reach& reach, const Team& team, PortIndex sender,
                        const FlowKey& key) noexcept {
    if (team.active.empty()) { return first_of(reach, team.standby); }
    const std::uint64_t identity = identity_of(team, sender, key);
    const PortIndex home = home_of(reach, team, sender, identity);
    return reach.works(home) ? home : away_from_home(reach, team, home, identity);
}

PortIndex choose_vtep(const Snapshot& snapshot, const Reach& reach, const Domain& domain,
                      PortIndex sender) noexcept {
    std::array<PortIndex, kVtepMax> ports;
    const std::size_t count = std::min(domain.vteps.size(), ports.size());
    for (std::size_t i = 0; i < count; ++i) { ports[i] = snapshot.vteps[domain.vteps[i]].port; }
    const std::span<const PortIndex> ways(ports.data(), count);
    return best_of(ways, mixed(sender.value), [&](PortIndex way) { return reach.works(way); });
}

std::uint16_t team_of(const Snapshot& snapshot, const Domain& domain, PortIndex sender) noexcept {
    const PortConfig* from = snapshot.port(sender);
    return from != nullptr && from->team != kNoTeam ? from->team : domain.team;
}

namespace {

// What the router sends has its MAC, whoever's packet it is: the fabric must see that in one place.
bool is_from_router(const Snapshot& snapshot, const Domain& domain, const FlowKey& key) noexcept {
    return domain.router != kNoRouter && key.source_mac == snapshot.routers[domain.router].pmac;
}

}  // namespace

PortIndex find_way_out(const Snapshot& snapshot, const Reach& reach, std::uint16_t index,
                       PortIndex sender, const FlowKey& key) noexcept {
    const Domain& domain = snapshot.domains[index];
    if (is_from_router(snapshot, domain, key)) { sender = kNoPort; }
    if (domain.vni != 0) { return choose_vtep(snapshot, reach, domain, sender); }
    const std::uint16_t team = team_of(snapshot, domain, sender);
    return team == kNoTeam ? kNoPort : choose_uplink(reach, snapshot.teams[team], sender, key);
}

PortIndex way_out(const WorkerContext& context, std::uint16_t index, PortIndex sender,
                  const FlowKey& key) noexcept {
    return find_way_out(*context.snapshot, context.reach, index, sender, key);
}

namespace {

IpPrefix subnet_of(const VtepConfig& vtep) noexcept { return {vtep.ip, vtep.prefix_length}; }

// Who is in our subnet sends a copy to each VTEP of ours; who is not, one to the proxy.
bool comes_by_each_vtep(const Snapshot& snapshot, const PortConfig& in,
                        const FlowKey& key) noexcept {
    return key.vlan < snapshot.remotes.size() &&
           subnet_of(snapshot.vteps[in.vtep]).contains(snapshot.remotes[key.vlan].ip);
}

// To the fabric the active uplinks of a LAG are one, by LACP or because an IP hash says so: one
// copy comes by them, and one by each standby.
bool comes_by_each_uplink(const Snapshot& snapshot, const Domain& domain, const FlowKey& key,
                          PortIndex receiver) noexcept {
    const std::uint16_t index = team_of(snapshot, domain, receiver);
    if (index == kNoTeam) { return false; }
    const Team& team = snapshot.teams[index];
    const bool is_active =
        std::find(team.active.begin(), team.active.end(), key.port) != team.active.end();
    return !(is_active && (team.is_lag || team.policy == model::TeamingPolicy::kIpHash));
}

}  // namespace

bool takes_from_fabric(const Snapshot& snapshot, const Reach& reach, std::uint16_t index,
                       const FlowKey& key, PortIndex receiver) noexcept {
    const Domain& domain = snapshot.domains[index];
    if (domain.fabric.size() < 2) { return true; }
    const PortConfig& in = *snapshot.port(key.port);
    const PortConfig& out = *snapshot.port(receiver);
    if (!in.is_uplink || out.is_uplink) { return true; }
    if ((key.tunnel & kTunnelledForAll) != 0) { return true; }  // By multicast, or as a proxy.
    const bool comes_again = in.vtep != kNoVtep
                                 ? comes_by_each_vtep(snapshot, in, key)
                                 : comes_by_each_uplink(snapshot, domain, key, receiver);
    if (!comes_again) { return true; }
    FlowKey own;
    own.source_mac = out.mac;
    const PortIndex way = find_way_out(snapshot, reach, index, receiver, own);
    return way == key.port || way == kNoPort;
}

}  // namespace sluice::datapath
