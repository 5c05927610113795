// SPDX-License-Identifier: Apache-2.0
// VtepPeers: what the VTEPs that one worker serves know of themselves and of the remote ones: BFD
// sessions, echo probes, the way's MTU, answers that they may still give. Each pair of a VTEP and a
// remote one of its switch and family is a VtepPeer, which has a place of its own for as long as
// both are configured.
//
// Timers: a peer is due at one moment, blocks of 64 peers at their earliest, the whole at the
// earliest of these: a poll with nothing due is one comparison. What BFD says goes into Reach.
// Thread: the worker that polls the VTEPs' uplinks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "datapath/bfd_session.h"
#include "datapath/flow_table.h"
#include "datapath/snapshot.h"
#include "sluice/iochain/chain.h"

namespace sluice::datapath {

struct WorkerContext;

/// Echo probes to one peer. The last kEchoWindow of them count.
struct EchoProbe {
    std::uint64_t due_ns = 0;
    std::uint64_t sent_ns = 0;         ///< 0 = none is out.
    std::uint32_t sequence = 0;        ///< Of the last one.
    std::uint32_t cookie = 0;          ///< That only its answer can know.
    std::uint64_t lost = 0;            ///< A bit a probe, the newest lowest.
    std::uint8_t counted = 0;          ///< Probes in `lost`.
    std::uint32_t last_rtt_us = 0;     //
    std::uint32_t average_rtt_us = 0;  ///< Moving, an eighth each; 0 = no answer yet.

    void count(bool is_lost) noexcept;
    [[nodiscard]] std::uint8_t loss_percent() const noexcept;
};
inline constexpr std::uint8_t kEchoWindow = 60;

/// What a list says of a peer, in one word.
enum class VtepPeerState : std::uint8_t {
    kResolving,   ///< The MAC of its next hop is not known.
    kUnanswered,  ///< Never up: it may have no BFD, or is not there. It is used all the same.
    kInit,        ///< On its way up.
    kUp,
    kDown,       ///< Was up: it is not used.
    kAdminDown,  ///< It says itself that BFD is off: it is used.
};

/// A remote VTEP as one of ours sees it.
struct VtepPeer {
    bool is_active = false;
    bool has_bfd = false;
    bool is_unresolved = false;
    bool is_failed = false;  ///< As Reach has it.
    VtepPeerState state = VtepPeerState::kResolving;
    std::uint16_t path_mtu = 0;  ///< 0 = as the VTEP's.
    IpAddr ip;
    IpAddr next_hop;
    BfdSession bfd;
    std::uint64_t bfd_end_ns = 0;  ///< Shut down, and says so until then; 0 = no.
    EchoProbe echo;
    std::uint64_t due_ns = 0;
    std::uint64_t path_mtu_until_ns = 0;
    std::uint64_t since_ns = 0;  ///< Of `state`.
};

/// One of our VTEPs.
struct LocalVtep {
    bool is_served = false;  ///< By this worker.
    bool is_up = false;      ///< Its uplink works.
    PortIndex port = kNoPort;
    IpAddr ip;
    MacAddr mac;
    std::uint16_t vlan = 0;
    std::uint8_t announcements = 0;  ///< Still to be sent.
    std::uint64_t announce_ns = 0;   ///< The next one.
    std::uint32_t peer_count = 0;
    TokenBucket answers;          ///< ARP, ND and echo.
    TokenBucket bfd;              ///< Packets that name no session.
    MacAddr rival;                ///< Who claimed its address last.
    std::uint64_t rival_ns = 0;   ///< When; 0 = nobody.
    std::uint64_t defend_ns = 0;  ///< Not before then again (RFC 5227 §2.4).
};

class VtepPeers {
public:
    explicit VtepPeers(std::uint64_t seed);
    VtepPeers(const VtepPeers&) = delete;
    VtepPeers& operator=(const VtepPeers&) = delete;

    /// Once a poll: follows the snapshot, then does what is due.
    void look(WorkerContext& context) noexcept;

    /// The peer, or nullptr if the pair is not this worker's.
    [[nodiscard]] VtepPeer* find(std::uint16_t vtep, std::uint16_t remote) noexcept;
    [[nodiscard]] const VtepPeer* find(std::uint16_t vtep, std::uint16_t remote) const noexcept;
    /// The peer of a number that number_of() gave, if it is one of `vtep` that has `ip`.
    [[nodiscard]] VtepPeer* find(std::uint32_t number, std::uint16_t vtep,
                                 const IpAddr& ip) noexcept;
    /// The peer of `vtep` that has `ip`. Looks at all of them.
    [[nodiscard]] VtepPeer* search(const Snapshot& snapshot, std::uint16_t vtep,
                                   const IpAddr& ip) noexcept;
    [[nodiscard]] LocalVtep& local(std::uint16_t vtep) noexcept { return locals_[vtep]; }
    [[nodiscard]] const LocalVtep& local(std::uint16_t vtep) const noexcept {
        return locals_[vtep];
    }

    /// A number of the pair that a packet can carry: not 0, below 2^18.
    [[nodiscard]] static std::uint32_t number_of(std::uint16_t vtep,
                                                 std::uint16_t remote) noexcept {
        return static_cast<std::uint32_t>(vtep * (kRemoteVtepMax + 1U) + remote + 1U);
    }
    /// Index into Snapshot::remotes of a peer of this table.
    [[nodiscard]] std::uint16_t remote_of(const VtepPeer& peer) const noexcept {
        return static_cast<std::uint16_t>(static_cast<std::size_t>(&peer - peers_) %
                                          (kRemoteVtepMax + 1));
    }
    /// Makes the peer due at once, after something was heard of it.
    void hurry(const VtepPeer& peer) noexcept;
    [[nodiscard]] std::uint32_t random() noexcept;

private:
    void follow(WorkerContext& context) noexcept;
    void follow_local(WorkerContext& context, std::uint16_t vtep) noexcept;
    void follow_remote(WorkerContext& context, std::uint16_t vtep, std::uint16_t remote) noexcept;
    [[nodiscard]] bool is_wanted(const Snapshot& snapshot, std::uint16_t vtep,
                                 const RemoteVtep& remote) const noexcept;
    void start(WorkerContext& context, std::uint32_t slot) noexcept;
    void stop(WorkerContext& context, std::uint32_t slot) noexcept;
    void follow_bfd(WorkerContext& context, std::uint32_t slot) noexcept;
    void look_at_locals(WorkerContext& context) noexcept;
    void look_at_local(WorkerContext& context, std::uint16_t vtep) noexcept;
    void serve_due(WorkerContext& context) noexcept;
    void serve(WorkerContext& context, std::uint32_t slot) noexcept;
    [[nodiscard]] std::uint64_t talk(WorkerContext& context, std::uint32_t slot) noexcept;
    void judge(WorkerContext& context, std::uint32_t slot) noexcept;
    void set_due(std::uint32_t slot, std::uint64_t due_ns) noexcept;

    static constexpr std::uint32_t kSlots = kVtepMax * (kRemoteVtepMax + 1U);
    static constexpr std::uint32_t kBlock = 64;

    LazyMemory memory_;
    VtepPeer* peers_;  // By slot: number_of() less 1. Zero bytes: not active.
    std::vector<std::uint64_t> block_due_ns_;
    std::array<LocalVtep, kVtepMax> locals_{};
    std::array<std::uint16_t, kVtepMax> remote_counts_{};  // Remote VTEPs of the last snapshot.
    std::uint64_t due_ns_ = 0;                             // The earliest of peers and locals.
    std::uint64_t polled_ns_ = 0;
    std::uint64_t grace_ns_ = 0;  // Until then nobody is found dead: we were asleep ourselves.
    std::uint64_t locals_due_ns_ = 0;
    std::uint64_t random_;
    std::uint32_t generation_ = 0;
};

}  // namespace sluice::datapath
