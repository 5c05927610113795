// SPDX-License-Identifier: Apache-2.0
// RemoteMacs: the rows of Ucast_Macs_Remote in the networks of this host as bindings, and what of
// them the data path has not been told yet. A row that changes costs what concerns its MAC,
// whatever else there is. Control thread; called by Source.
//
// Several rows of one MAC with one locator are one binding with several addresses. With different
// locators the row with the least id counts, and the others are problems.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller-agent/fleet/binding.h"
#include "controller-agent/ovsdb/value.h"
#include "controller-agent/vtep/networks.h"

namespace sluice::vtep {

class RemoteMacs {
public:
    explicit RemoteMacs(const OwnHost& own) : own_(own) {}

    /// What a process before this one told the data path.
    void remember(const std::vector<fleet::FleetBinding>& told);
    /// All rows, for other networks than before.
    void rebuild(const ovsdb::Tables& tables, const Networks& networks);
    /// Rows that came, went or changed.
    void change(const ovsdb::Tables& tables, const Networks& networks,
                const std::set<ovsdb::Uuid>& rows);

    /// What the data path has to be told to know the same; from then on it does.
    [[nodiscard]] std::vector<fleet::BindingChange> take_changes();
    /// What it has been told.
    [[nodiscard]] std::vector<fleet::FleetBinding> told() const;
    [[nodiscard]] std::size_t told_count() const noexcept { return told_.size(); }
    /// VTEPs behind which the MACs are, and were as far as it has been told.
    [[nodiscard]] std::set<IpAddr> vteps() const;
    /// Of rows that can't be used, at most kFleetProblemMax.
    [[nodiscard]] std::vector<Problem> problems() const;

private:
    using Key = std::pair<std::string, MacAddr>;  // Segment and MAC.
    struct Line {
        Key key;
        IpAddr vtep;
        IpAddr ip;  // kNone: the row says none.
    };

    void put(const ovsdb::Tables& tables, const Networks& networks, const ovsdb::Uuid& id);
    void drop(const ovsdb::Uuid& id);
    void read(const ovsdb::Tables& tables, const Network& network, const ovsdb::Row& row,
              const ovsdb::Uuid& id);
    [[nodiscard]] fleet::FleetBinding binding_of(const Key& key,
                                                 const std::set<ovsdb::Uuid>& rows) const;

    const OwnHost& own_;
    std::map<ovsdb::Uuid, Line> lines_;
    std::map<Key, std::set<ovsdb::Uuid>> rows_;
    std::map<ovsdb::Uuid, Problem> bad_;
    std::map<Key, fleet::FleetBinding> told_;
    std::map<IpAddr, std::size_t> used_;  // By lines and by what was told.
    std::set<Key> dirty_;
};

}  // namespace sluice::vtep
