// SPDX-License-Identifier: Apache-2.0
// Claims: which host has a MAC, of all that say so. Of several claims of one MAC in one segment the
// highest sequence counts, then the newest, then the first by host's name and VTEP. Feeds the fleet
// table with what changed; keeps no reference to rows of a database. Control thread.
//
// A claim that is withdrawn goes on counting until its deadline, behind every other one: what comes
// back in time, or is claimed by another host meanwhile, was never gone. Claims restored from disk
// are behind all others, too. MACs of this host's own vNICs are never told as being elsewhere.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller-agent/fleet/binding.h"

namespace sluice::fleet {

/// What a host says of a MAC.
struct Claim {
    std::int64_t sequence = 0;
    std::int64_t at_ms = 0;   ///< Unix time of the claim, by the host's clock.
    std::vector<IpAddr> ips;  ///< Ascending.

    bool operator==(const Claim&) const = default;
};

/// "SEQUENCE MS IP IP...", as rows of Sluice_Status have it.
[[nodiscard]] std::string to_text(const Claim& claim);
/// nullopt: not of that form, or more than kPortIpMax addresses.
[[nodiscard]] std::optional<Claim> parse_claim(std::string_view text);

/// Who claims: a host, and its VTEP (kNone in a segment without VNI).
struct Claimant {
    std::string host;
    IpAddr vtep;

    auto operator<=>(const Claimant&) const = default;
};

struct SegmentMac {
    std::string segment;
    MacAddr mac;

    auto operator<=>(const SegmentMac&) const = default;
};

/// A MAC that several hosts claim.
struct Duplicate {
    SegmentMac place;
    std::vector<std::string> hosts;  ///< Who counts comes first.
};

class Claims {
public:
    void set(const SegmentMac& place, const Claimant& who, Claim claim);
    /// @param deadline_ms  the claim counts until then; deadlines of later calls are not earlier
    void withdraw(const SegmentMac& place, const Claimant& who, std::int64_t deadline_ms);
    /// A binding from disk.
    void restore(FleetBinding binding);
    /// Withdraws everything that was restored.
    void withdraw_restored(std::int64_t deadline_ms);
    /// Takes away what was withdrawn and is due. Returns the next deadline.
    std::optional<std::int64_t> expire(std::int64_t now_ms);
    /// MACs of vNICs of this host that are up, in place of the ones before.
    void set_own(std::set<SegmentMac> own);

    /// What changed since the last call, each MAC once.
    [[nodiscard]] std::vector<BindingChange> take_changes();

    /// The highest sequence that another host claims; nullopt: nobody does.
    [[nodiscard]] std::optional<std::int64_t> highest(const SegmentMac& place) const;
    /// Hosts that claim it and did not withdraw, who counts first.
    [[nodiscard]] std::vector<std::string> hosts(const SegmentMac& place) const;
    /// MACs that are somewhere, own ones included.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Claims that were left out: of one MAC more than kFleetClaimMax, or more than kFleetRowMax
    /// MACs.
    [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_; }

    /// Up to `count` bindings that count, behind `after` (none: from the first one on).
    [[nodiscard]] std::vector<FleetBinding> bindings(const std::optional<SegmentMac>& after,
                                                     std::size_t count) const;

private:
    struct Entry {
        std::uint32_t who = 0;         // Index into claimants_.
        std::int64_t deadline_ms = 0;  // 0: it stands.
        Claim claim;
    };
    struct Place {
        std::vector<Entry> entries;  // The one that counts first.
        std::uint64_t told = 0;      // Digest of what was told; 0: that it is nowhere.
    };
    using Macs = std::map<MacAddr, Place>;
    struct Deadline {
        std::int64_t at_ms;
        std::uint32_t who;
        SegmentMac place;
    };

    [[nodiscard]] std::uint32_t index_of(const Claimant& who);
    [[nodiscard]] bool is_before(const Entry& a, const Entry& b) const;
    [[nodiscard]] const Place* find(const SegmentMac& place) const;
    [[nodiscard]] FleetBinding binding_of(const SegmentMac& place, const Entry& entry) const;
    void put(const SegmentMac& place, Entry entry);
    void remove(const SegmentMac& place, std::uint32_t who, std::int64_t deadline_ms);
    void mark(const SegmentMac& place) { changed_.insert(place); }

    std::map<std::string, Macs> segments_;
    std::map<Claimant, std::uint32_t> indices_;
    std::vector<Claimant> claimants_;
    std::set<SegmentMac> own_;
    std::set<SegmentMac> changed_;
    std::deque<Deadline> deadlines_;
    std::size_t size_ = 0;
    std::uint64_t left_out_ = 0;
};

}  // namespace sluice::fleet
