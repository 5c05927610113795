// SPDX-License-Identifier: Apache-2.0
// Tunnel, flooding: broadcast, unknown unicast and multicast to the other hosts of a VNI, by its
// replication mode:
//
//   mode       own subnet of the VTEP        each other subnet
//   unicast    a copy to each remote VTEP    a copy to one, the proxy, with kVxlanReplicate
//   hybrid     the underlay's multicast      the same
//   multicast  the underlay's multicast, which the fabric routes
//   head_end, service_node: a copy to each of the domain's own list, or to one, wherever they are
//
// A proxy copies what it got to the others of its subnet, in the VNI's mode, without that bit; what
// came by a tunnel goes to no tunnel otherwise (split horizon). A subnet with one VTEP needs no
// proxy: so foreign VTEPs, who may refuse the bit, are not sent it. Who floods knows from Reach
// which VTEPs are there. Worker that polls the VTEP's uplink.
#include <rte_mbuf.h>

#include "datapath/esp.h"
#include "datapath/remote_index.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

class Flood {
public:
    Flood(WorkerContext& context, std::uint16_t vtep, const rte_mbuf& frame, std::uint32_t vni,
          const Domain& domain) noexcept
        : context_(context),
          vtep_(vtep),
          from_(context.snapshot->vteps[vtep]),
          frame_(frame),
          vni_(vni),
          domain_(domain) {}

    /// @param to_others  also to the other subnets
    void run(bool to_others) noexcept {
        if (model::uses_flood_vteps(domain_.replication)) {
            if (to_others) { copy_to_listed(); }
            return;
        }
        if (domain_.replication != model::Replication::kUnicast) { copy_to_group(); }
        const RemoteIndex* index = context_.snapshot->remote_index.get();
        if (domain_.replication == model::Replication::kMulticast || index == nullptr) { return; }
        std::span<const std::uint16_t> rest = index->flooded(from_.ip.family);
        while (!rest.empty()) {
            const std::span<const std::uint16_t> subnet = first_subnet(rest);
            rest = rest.subspan(subnet.size());
            if (is_in(address(subnet.front()), from_.ip)) {
                if (domain_.replication == model::Replication::kUnicast) { copy_to_all(subnet); }
            } else if (to_others) {
                copy_to_proxy(subnet);
            }
        }
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

private:
    [[nodiscard]] const IpAddr& address(std::uint16_t remote) const noexcept {
        return context_.snapshot->remotes[remote].ip;
    }
    // All subnets of the underlay are taken to be as large as the VTEP's own.
    [[nodiscard]] bool is_in(const IpAddr& a, const IpAddr& b) const noexcept {
        return IpPrefix{a, from_.prefix_length}.contains(b);
    }
    [[nodiscard]] std::span<const std::uint16_t> first_subnet(
        std::span<const std::uint16_t> remotes) const noexcept {
        std::size_t size = 1;
        while (size < remotes.size() && is_in(address(remotes[0]), address(remotes[size]))) {
            ++size;
        }
        return remotes.first(size);
    }
    // Another switch's VTEPs are no business of this one's networks.
    [[nodiscard]] bool works(std::uint16_t remote) const noexcept {
        const RemoteVtep& to = context_.snapshot->remotes[remote];
        return to.switch_name == from_.switch_name && to.ip.family == from_.ip.family &&
               context_.reach.works(vtep_, remote);
    }

    void copy_to_all(std::span<const std::uint16_t> subnet) noexcept {
        for (const std::uint16_t remote : subnet) {
            if (works(remote)) { copy_to(remote, vni_); }
        }
    }
    // Foreign VTEPs, too: none is asked to be a proxy.
    void copy_to_listed() noexcept {
        if (domain_.replication == model::Replication::kHeadEnd) {
            copy_to_all(domain_.flood_remotes);
        } else {
            copy_to_one(domain_.flood_remotes, vni_);
        }
    }
    void copy_to_proxy(std::span<const std::uint16_t> subnet) noexcept {
        copy_to_one(subnet, subnet.size() > 1 ? vni_ | kAskReplication : vni_);
    }
    // One of those that work, another one for another VNI.
    void copy_to_one(std::span<const std::uint16_t> remotes, std::uint32_t vni) noexcept {
        std::uint32_t working = 0;
        for (const std::uint16_t remote : remotes) { working += works(remote) ? 1U : 0U; }
        if (working == 0) { return; }
        std::uint32_t skipped = vni_ * 0x9e3779b1U % working;
        for (const std::uint16_t remote : remotes) {
            if (!works(remote) || skipped-- > 0) { continue; }
            return copy_to(remote, vni);
        }
    }
    void copy_to(std::uint16_t remote, std::uint32_t vni) noexcept {
        if (rte_mbuf* made = copy()) { send_to_remote(context_, vtep_, made, {vni, remote}); }
    }
    void copy_to_group() noexcept {
        if (rte_mbuf* made = copy()) {
            send_to_group(context_, vtep_, made, vni_, domain_.multicast_group);
        }
    }
    rte_mbuf* copy() noexcept {
        ++count_;
        context_.counters.created.add(1);
        rte_mbuf* made = rte_pktmbuf_copy(&frame_, context_.options.pool, 0, UINT32_MAX);
        if (made == nullptr) {
            count_drop(context_, PortIndex{frame_.port}, DropReason::kNoBuffer);
            return nullptr;
        }
        made->port = frame_.port;
        return made;
    }

    WorkerContext& context_;
    std::uint16_t vtep_;
    const VtepConfig& from_;
    const rte_mbuf& frame_;
    std::uint32_t vni_;
    const Domain& domain_;
    std::size_t count_ = 0;
};

const Domain* find_domain(const Snapshot& snapshot, std::uint16_t vtep,
                          std::uint32_t vni) noexcept {
    const PortConfig* port = snapshot.port(snapshot.vteps[vtep].port);
    const std::uint16_t index = port != nullptr ? domain_of_vni(*port, vni) : kNoDomain;
    return index != kNoDomain ? &snapshot.domains[index] : nullptr;
}

bool is_group(const rte_mbuf& frame) noexcept {
    return (rte_pktmbuf_mtod(&frame, const std::uint8_t*)[0] & 1U) != 0;
}

}  // namespace

void flood_tunnels(WorkerContext& context, std::uint16_t vtep, rte_mbuf* frame,
                   std::uint32_t vni) noexcept {
    const Domain* domain = find_domain(*context.snapshot, vtep, vni);
    const PortIndex port = context.snapshot->vteps[vtep].port;
    if (domain == nullptr) { return drop_towards(context, frame, port, DropReason::kUnknownVni); }
    Flood flood(context, vtep, *frame, vni, *domain);
    flood.run(true);
    // A broadcast has reached all there are; a frame for one that nobody knows has not.
    if (flood.count() > 0 || is_group(*frame)) { return consume(context, frame); }
    drop_towards(context, frame, port, DropReason::kUnknownUnicast);
}

namespace {

// A copy for copies, sealed with this host's own key: who gets them knows the proxy for the sender.
// nullptr: there is none, and it is counted.
rte_mbuf* sealed_copy(WorkerContext& context, std::uint16_t vtep, const rte_mbuf& frame,
                      std::uint8_t key_policy) noexcept {
    context.counters.created.add(1);
    rte_mbuf* made = rte_pktmbuf_copy(&frame, context.options.pool, 0, UINT32_MAX);
    if (made == nullptr) {
        count_drop(context, PortIndex{frame.port}, DropReason::kNoBuffer);
        return nullptr;
    }
    made->port = frame.port;
    made->hash.rss = frame.hash.rss;
    DropReason reason{};
    seal_frames(context, vtep, key_policy, {&made, 1}, {&reason, 1});
    if (reason == DropReason::kNone) { return made; }
    drop(context, made, reason);
    return nullptr;
}

}  // namespace

void flood_own_subnet(WorkerContext& context, std::uint16_t vtep, const rte_mbuf& frame,
                      const TunnelMark& mark) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const VtepConfig& own = snapshot.vteps[vtep];
    const Domain* domain = find_domain(snapshot, vtep, mark.vni);
    const bool is_near =
        IpPrefix{snapshot.remotes[mark.remote].ip, own.prefix_length}.contains(own.ip);
    if (domain == nullptr || is_near) { return; }
    if (mark.key_policy == 0) { return Flood(context, vtep, frame, mark.vni, *domain).run(false); }
    rte_mbuf* sealed = sealed_copy(context, vtep, frame, mark.key_policy);
    if (sealed == nullptr) { return; }
    Flood(context, vtep, *sealed, mark.vni, *domain).run(false);
    consume(context, sealed);
}

}  // namespace sluice::datapath
