// SPDX-License-Identifier: Apache-2.0
// FleetBindings: where MACs and addresses of other hosts are, as agents of controllers tell it, put
// into the table that workers look at (Dataplane::fleet()). What is wanted is kept here, by name of
// segment and address of VTEP, and resolved against the snapshot that runs: what this host has no
// domain or no VTEP for waits, and counts once it has. The document's own MACs and owners of
// addresses come first in every lookup (datapath/fleet.cc), so nothing of them is looked at here.
//
// Of several MACs that claim an address in one segment the newest claim counts, the others wait.
//
// A few changes are in force when change() returns. Many are put in force a slice a turn of the
// control loop, in their order. Memory: about 130 bytes a binding with one address, beside its two
// rows of 80. Control thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controller-agent/fleet/binding.h"
#include "datapath/dataplane.h"

namespace sluice::daemon {

class FleetBindings {
public:
    /// @param executor  of the control loop: runs the slices
    FleetBindings(datapath::Dataplane& dataplane, boost::asio::any_io_executor executor);
    FleetBindings(const FleetBindings&) = delete;
    FleetBindings& operator=(const FleetBindings&) = delete;

    /// In order, behind what still waits. Give many by rvalue: they are kept. What names no segment
    /// (segment_name.h), or a MAC that no vNIC has (a group's, zero), is counted as refused.
    void change(std::vector<fleet::BindingChange> changes);
    /// After each snapshot: what it made come, go or change its number is resolved again.
    void on_snapshot();

    /// Bindings that are wanted.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// True if nothing waits for a slice.
    [[nodiscard]] bool is_settled() const noexcept { return queue_.empty() && stale_.empty(); }
    /// How often a row was not written since the table is full, or a change made no sense.
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

private:
    /// What is wanted of one MAC.
    struct Entry {
        IpAddr vtep;
        std::vector<IpAddr> ips;
    };
    struct Segment {
        bool has_vni = false;
        DomainId domain;                         ///< 0: no snapshot had it yet.
        bool is_here = false;                    ///< The snapshot has it.
        std::map<std::uint64_t, Entry> entries;  ///< By MacAddr::number().
        std::map<IpAddr, std::size_t> vteps;     ///< How many entries are behind each.
    };
    using Segments = std::map<std::string, Segment, std::less<>>;

    void turn();
    void run_changes();
    void run_stale();
    void end_turn();
    void make(const fleet::BindingChange& change);
    void set(Segment& segment, const fleet::FleetBinding& binding);
    void remove(Segment& segment, const MacAddr& mac);
    /// Writes the rows of an entry, or takes them out if this host can't use them now.
    void put(const Segment& segment, const MacAddr& mac, const Entry& entry);
    void claim(DomainId domain, const IpAddr& ip, const MacAddr& mac);
    void release(DomainId domain, const IpAddr& ip, const MacAddr& mac);
    void write(const LearnedKey& key, const LearnedValue& value);
    void forget(const LearnedKey& key);
    [[nodiscard]] std::uint16_t remote_of(const IpAddr& vtep) const noexcept;
    [[nodiscard]] Segment* segment_of(const std::string& name);
    void place(const std::string& name, Segment& segment) const;
    void note_domains();
    [[nodiscard]] std::set<IpAddr> take_changed_remotes();

    datapath::Dataplane& dataplane_;
    boost::asio::any_io_executor executor_;
    Segments segments_;
    std::unordered_map<std::string, DomainId> domains_;  // Of the snapshot, by segment.
    std::vector<IpAddr> remotes_;                        // By index; kNone: nobody, or this host.
    // MACs that claim an address that another one has, newest last.
    std::map<std::pair<DomainId, IpAddr>, std::vector<MacAddr>> waiting_;
    std::deque<std::vector<fleet::BindingChange>> queue_;
    std::size_t queue_at_ = 0;                    // In its first batch.
    std::map<std::string, std::uint64_t> stale_;  // To be resolved again, from this MAC on.
    std::size_t left_ = kFleetBindingSlice;       // Of this turn of the control loop.
    std::size_t size_ = 0;
    std::uint64_t refused_ = 0;
    bool has_written_ = false;  // Workers have yet to be told.
    bool is_posted_ = false;
    std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace sluice::daemon
