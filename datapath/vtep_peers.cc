// SPDX-License-Identifier: Apache-2.0
// VtepPeers: see vtep_peers.h.
#include "datapath/vtep_peers.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "datapath/bfd.h"
#include "datapath/stages.h"
#include "datapath/underlay.h"
#include "datapath/underlay_neighbours.h"
#include "datapath/vtep_echo.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kMsNs = 1'000'000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kLocalsNs = 50 * kMsNs;  // How often the uplinks are looked at.
constexpr std::uint64_t kRetryNs = 50 * kMsNs;   // And next hops that are not known.
constexpr std::uint64_t kStallNs = 20 * kMsNs;   // A worker that did not poll for longer was deaf.
constexpr std::uint64_t kLongStallNs = 500 * kMsNs;
constexpr std::uint32_t kFewPeers = 64;     // Of one VTEP: more are probed more rarely.
constexpr std::uint8_t kAnnouncements = 3;  // RFC 5227 §1.1 asks for two.

std::uint16_t vtep_of(std::uint32_t slot) noexcept {
    return static_cast<std::uint16_t>(slot / (kRemoteVtepMax + 1U));
}
std::uint16_t remote_at(std::uint32_t slot) noexcept {
    return static_cast<std::uint16_t>(slot % (kRemoteVtepMax + 1U));
}

VtepPeerState state_of(const VtepPeer& peer) noexcept {
    if (peer.is_unresolved) { return VtepPeerState::kResolving; }
    if (!peer.has_bfd || peer.bfd_end_ns != 0) {
        const bool is_answering = peer.echo.counted > 0 && (peer.echo.lost & 1U) == 0;
        return is_answering ? VtepPeerState::kUp : VtepPeerState::kUnanswered;
    }
    if (peer.bfd.state() == BfdState::kUp) { return VtepPeerState::kUp; }
    if (peer.bfd.state() == BfdState::kInit) { return VtepPeerState::kInit; }
    if (peer.bfd.has_failed()) { return VtepPeerState::kDown; }
    if (!peer.bfd.is_heard()) { return VtepPeerState::kUnanswered; }
    return peer.bfd.remote_state() == BfdState::kAdminDown ? VtepPeerState::kAdminDown
                                                           : VtepPeerState::kInit;
}

}  // namespace

VtepPeers::VtepPeers(std::uint64_t seed)
    : memory_(std::size_t{kSlots} * sizeof(VtepPeer)),
      peers_(static_cast<VtepPeer*>(memory_.get())),
      block_due_ns_((kSlots + kBlock - 1) / kBlock, kNever),
      due_ns_(kNever),
      random_(seed | 1U) {}

// xorshift64* (Vigna 2016).
std::uint32_t VtepPeers::random() noexcept {
    random_ ^= random_ >> 12U;
    random_ ^= random_ << 25U;
    random_ ^= random_ >> 27U;
    return static_cast<std::uint32_t>((random_ * 0x2545f4914f6cdd1dU) >> 32U);
}

const VtepPeer* VtepPeers::find(std::uint16_t vtep, std::uint16_t remote) const noexcept {
    if (vtep >= kVtepMax || remote > kRemoteVtepMax) { return nullptr; }
    const VtepPeer& peer = peers_[number_of(vtep, remote) - 1U];
    return peer.is_active ? &peer : nullptr;
}

VtepPeer* VtepPeers::find(std::uint16_t vtep, std::uint16_t remote) noexcept {
    return const_cast<VtepPeer*>(std::as_const(*this).find(vtep, remote));
}

VtepPeer* VtepPeers::find(std::uint32_t number, std::uint16_t vtep, const IpAddr& ip) noexcept {
    const std::uint32_t slot = number - 1U;
    if (slot >= kSlots || vtep_of(slot) != vtep) { return nullptr; }
    VtepPeer* peer = find(vtep, remote_at(slot));
    return peer != nullptr && peer->ip == ip ? peer : nullptr;
}

VtepPeer* VtepPeers::search(const Snapshot& snapshot, std::uint16_t vtep,
                            const IpAddr& ip) noexcept {
    for (std::size_t remote = 1; remote < snapshot.remotes.size(); ++remote) {
        if (!(snapshot.remotes[remote].ip == ip)) { continue; }
        return find(vtep, static_cast<std::uint16_t>(remote));
    }
    return nullptr;
}

void VtepPeers::set_due(std::uint32_t slot, std::uint64_t due_ns) noexcept {
    peers_[slot].due_ns = due_ns;
    std::uint64_t& block = block_due_ns_[slot / kBlock];
    block = std::min(block, due_ns);
    due_ns_ = std::min(due_ns_, due_ns);
}

void VtepPeers::hurry(const VtepPeer& peer) noexcept {
    set_due(static_cast<std::uint32_t>(&peer - peers_), 0);
}

bool VtepPeers::is_wanted(const Snapshot& snapshot, std::uint16_t vtep,
                          const RemoteVtep& remote) const noexcept {
    const VtepConfig& config = snapshot.vteps[vtep];
    const bool is_own = std::any_of(snapshot.vteps.begin(), snapshot.vteps.end(),
                                    [&](const VtepConfig& own) { return own.ip == remote.ip; });
    return locals_[vtep].is_served && !is_own && remote.ip.family == config.ip.family &&
           remote.switch_name == config.switch_name &&
           next_hop_of(config, remote.ip).family != IpFamily::kNone;
}

void VtepPeers::start(WorkerContext& context, std::uint32_t slot) noexcept {
    const std::uint16_t vtep = vtep_of(slot);
    VtepPeer& peer = peers_[slot];
    peer = VtepPeer{};
    peer.is_active = true;
    peer.ip = context.snapshot->remotes[remote_at(slot)].ip;
    peer.next_hop = next_hop_of(context.snapshot->vteps[vtep], peer.ip);
    peer.since_ns = context.now_ns;
    ++locals_[vtep].peer_count;
    const bool is_crowd = context.snapshot->remotes.size() > kFewPeers;
    set_due(slot, context.now_ns + (is_crowd ? random() % kSecondNs : 0));
}

void VtepPeers::stop(WorkerContext& context, std::uint32_t slot) noexcept {
    VtepPeer& peer = peers_[slot];
    if (!peer.is_active) { return; }
    if (peer.is_failed) { context.reach.set(vtep_of(slot), remote_at(slot), true); }
    --locals_[vtep_of(slot)].peer_count;
    peer = VtepPeer{};
}

void VtepPeers::follow_bfd(WorkerContext& context, std::uint32_t slot) noexcept {
    VtepPeer& peer = peers_[slot];
    const VtepConfig& config = context.snapshot->vteps[vtep_of(slot)];
    const BfdTimers timers{config.bfd_interval_ms * 1000U, config.bfd_multiplier};
    if (config.bfd_interval_ms == 0) {
        if (!peer.has_bfd || peer.bfd_end_ns != 0) { return; }
        peer.bfd_end_ns = context.now_ns + std::max(peer.bfd.detection_ns(), kSecondNs);
        peer.bfd.shut_down(context.now_ns);
    } else if (!peer.has_bfd || peer.bfd_end_ns != 0) {
        peer.has_bfd = true;
        peer.bfd_end_ns = 0;
        peer.bfd = BfdSession(timers, make_discriminator(slot + 1U, random()), context.now_ns);
    } else {
        peer.bfd.configure(timers, context.now_ns);
    }
    set_due(slot, std::min(peer.due_ns, std::max(context.now_ns, peer.bfd.due_ns())));
}

void VtepPeers::follow_remote(WorkerContext& context, std::uint16_t vtep,
                              std::uint16_t remote) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const std::uint32_t slot = number_of(vtep, remote) - 1U;
    VtepPeer& peer = peers_[slot];
    const bool is_wanted = vtep < snapshot.vteps.size() && remote < snapshot.remotes.size() &&
                           this->is_wanted(snapshot, vtep, snapshot.remotes[remote]);
    if (peer.is_active && (!is_wanted || !(peer.ip == snapshot.remotes[remote].ip))) {
        stop(context, slot);
    }
    if (!is_wanted) { return; }
    if (!peer.is_active) { start(context, slot); }
    peer.next_hop = next_hop_of(snapshot.vteps[vtep], peer.ip);
    follow_bfd(context, slot);
}

// A VTEP that is another one than before under its number begins anew.
void VtepPeers::follow_local(WorkerContext& context, std::uint16_t vtep) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    LocalVtep& local = locals_[vtep];
    LocalVtep next;
    if (vtep < snapshot.vteps.size()) {
        const VtepConfig& config = snapshot.vteps[vtep];
        const PortConfig* port = snapshot.port(config.port);
        next.is_served = port != nullptr && port->worker == context.options.index;
        next.port = config.port;
        next.ip = config.ip;
        next.mac = config.mac;
        next.vlan = config.vlan;
    }
    if (next.is_served == local.is_served && next.port == local.port && next.ip == local.ip &&
        next.mac == local.mac && next.vlan == local.vlan) {
        return;
    }
    for (std::uint16_t remote = 1; remote < remote_counts_[vtep]; ++remote) {
        stop(context, number_of(vtep, remote) - 1U);
    }
    local = next;
}

void VtepPeers::follow(WorkerContext& context) noexcept {
    generation_ = context.snapshot->generation;
    const auto count = static_cast<std::uint16_t>(context.snapshot->remotes.size());
    bool is_any_served = false;
    for (std::uint16_t vtep = 0; vtep < kVtepMax; ++vtep) {
        follow_local(context, vtep);
        const std::uint16_t end = std::max(count, remote_counts_[vtep]);
        remote_counts_[vtep] = locals_[vtep].is_served ? count : std::uint16_t{0};
        is_any_served = is_any_served || locals_[vtep].is_served;
        if (!locals_[vtep].is_served) { continue; }
        for (std::uint16_t remote = 1; remote < end; ++remote) {
            follow_remote(context, vtep, remote);
        }
    }
    locals_due_ns_ = is_any_served ? context.now_ns : kNever;
    due_ns_ = std::min(due_ns_, locals_due_ns_);
}

void VtepPeers::look_at_local(WorkerContext& context, std::uint16_t vtep) noexcept {
    LocalVtep& local = locals_[vtep];
    const VtepConfig& config = context.snapshot->vteps[vtep];
    const PortConfig* uplink = context.snapshot->port(config.uplink);
    const bool is_up = uplink != nullptr && uplink->is_enabled && uplink->device->is_up() &&
                       context.reach.works(config.port);
    if (is_up && !local.is_up) {
        local.announcements = kAnnouncements;
        local.announce_ns = context.now_ns;
    }
    local.is_up = is_up;
    if (!is_up || local.announcements == 0 || context.now_ns < local.announce_ns) { return; }
    --local.announcements;
    local.announce_ns = context.now_ns + kSecondNs;
    announce_vtep(context, config);
}

void VtepPeers::look_at_locals(WorkerContext& context) noexcept {
    locals_due_ns_ = kNever;
    const auto count = static_cast<std::uint16_t>(context.snapshot->vteps.size());
    for (std::uint16_t vtep = 0; vtep < count; ++vtep) {
        if (!locals_[vtep].is_served) { continue; }
        locals_due_ns_ = context.now_ns + kLocalsNs;
        look_at_local(context, vtep);
    }
}

// Sends what is due; returns when that is next.
std::uint64_t VtepPeers::talk(WorkerContext& context, std::uint32_t slot) noexcept {
    VtepPeer& peer = peers_[slot];
    const std::uint16_t vtep = vtep_of(slot);
    const VtepConfig& config = context.snapshot->vteps[vtep];
    if (!locals_[vtep].is_up) { return context.now_ns + kRetryNs; }
    const auto mac = find_neighbour(context, config.underlay, peer.next_hop);
    peer.is_unresolved = !mac;
    if (!mac) {
        want_neighbour(context, underlay_question(*context.snapshot, vtep, peer.next_hop, nullptr));
        return context.now_ns + kRetryNs;
    }
    if (peer.has_bfd) {
        while (const auto packet = peer.bfd.send(context.now_ns, random())) {
            send_bfd(context, config, slot + 1U, peer, *mac, *packet);
        }
    }
    if (context.now_ns >= peer.echo.due_ns) {
        const std::uint64_t seconds = locals_[vtep].peer_count > kFewPeers ? 5 : 1;
        peer.echo.due_ns = context.now_ns + seconds * kSecondNs;
        send_echo(context, config, slot + 1U, peer, *mac);
    }
    return peer.has_bfd ? std::min(peer.bfd.due_ns(), peer.echo.due_ns) : peer.echo.due_ns;
}

void VtepPeers::judge(WorkerContext& context, std::uint32_t slot) noexcept {
    VtepPeer& peer = peers_[slot];
    const bool has_failed = peer.has_bfd && peer.bfd.has_failed();
    if (has_failed != peer.is_failed) {
        peer.is_failed = has_failed;
        context.reach.set(vtep_of(slot), remote_at(slot), !has_failed);
    }
    const VtepPeerState state = state_of(peer);
    if (state == peer.state) { return; }
    peer.state = state;
    peer.since_ns = context.now_ns;
}

void VtepPeers::serve(WorkerContext& context, std::uint32_t slot) noexcept {
    VtepPeer& peer = peers_[slot];
    if (peer.has_bfd && context.now_ns >= grace_ns_) { peer.bfd.expire(context.now_ns); }
    if (peer.bfd_end_ns != 0 && context.now_ns >= peer.bfd_end_ns) {
        peer.has_bfd = false;
        peer.bfd_end_ns = 0;
        peer.bfd = BfdSession();
    }
    if (peer.path_mtu != 0 && context.now_ns >= peer.path_mtu_until_ns) {
        peer.path_mtu = 0;
        context.learned.note_change();  // Tunnels keep what they were told.
    }
    const std::uint64_t due_ns = talk(context, slot);
    judge(context, slot);
    set_due(slot, due_ns <= context.now_ns ? std::max(grace_ns_, context.now_ns + kMsNs) : due_ns);
}

void VtepPeers::serve_due(WorkerContext& context) noexcept {
    due_ns_ = locals_due_ns_;
    for (std::uint32_t block = 0; block < block_due_ns_.size(); ++block) {
        if (block_due_ns_[block] > context.now_ns) {
            due_ns_ = std::min(due_ns_, block_due_ns_[block]);
            continue;
        }
        block_due_ns_[block] = kNever;
        const std::uint32_t end = std::min((block + 1) * kBlock, kSlots);
        for (std::uint32_t slot = block * kBlock; slot < end; ++slot) {
            if (!peers_[slot].is_active) { continue; }
            if (peers_[slot].due_ns <= context.now_ns) {
                serve(context, slot);
            } else {
                set_due(slot, peers_[slot].due_ns);
            }
        }
    }
}

void VtepPeers::look(WorkerContext& context) noexcept {
    const std::uint64_t gap_ns = context.now_ns - std::exchange(polled_ns_, context.now_ns);
    // One that is short of its core all the time must still notice who is gone.
    const bool is_starved = context.now_ns < grace_ns_ + kSecondNs && gap_ns < kLongStallNs;
    if (gap_ns > kStallNs && !is_starved) {
        grace_ns_ = context.now_ns + std::min(gap_ns, kSecondNs);
    }
    if (generation_ != context.snapshot->generation) { follow(context); }
    if (context.now_ns < due_ns_) { return; }
    if (context.now_ns >= locals_due_ns_) { look_at_locals(context); }
    serve_due(context);
}

}  // namespace sluice::datapath
