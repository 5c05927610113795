// SPDX-License-Identifier: Apache-2.0
// From the names in a rule to ports and prefixes. Pure functions over a valid Document, implemented
// in controller-agent/resolve.cc; what compiles chains calls them once a snapshot and hands the
// slots plain data. Control thread or a helper of it. Linear in the document: build a Resolver once
// and ask it often.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/model/document.h"

namespace sluice::model {

/// What a `source` or `destination` list stands for.
struct Addresses {
    bool any = false;                ///< Everything, other ethertypes than IP included.
    std::vector<IpPrefix> prefixes;  ///< Sorted, without duplicates. Empty and not `any`: nothing.

    bool operator==(const Addresses&) const = default;
};

/// Which ports a list stands for: indices into Document::ports, ascending, without duplicates.
using PortIndices = std::vector<std::size_t>;

/// Index over one Document, which must outlive it and stay unchanged. Cheap to ask, one pass to
/// build.
class Resolver {
public:
    explicit Resolver(const Document& document);
    ~Resolver();
    Resolver(Resolver&&) noexcept;
    Resolver& operator=(Resolver&&) noexcept;

    /// Addresses of one item: an address or prefix, an address set, or the own addresses of
    /// the ports behind a group, a port group or a port: their `ips` and what `bindings` gives
    /// their MACs; of groups and port groups their `addresses`, too. `any` is any. A name that does
    /// not exist gives nothing.
    [[nodiscard]] Addresses addresses(std::string_view item) const;

    /// Addresses of a whole list. An empty list is any.
    [[nodiscard]] Addresses addresses(const std::vector<std::string>& items) const;

    /// Ports of one item of `applied_to` or `exclude`: `any`, a group, a port group or a port.
    [[nodiscard]] PortIndices ports(std::string_view item) const;

    /// Ports of a whole `applied_to` list. An empty list is every port.
    [[nodiscard]] PortIndices ports(const std::vector<std::string>& items) const;

    /// Ports of `dfw.exclude`. An empty list is no port.
    [[nodiscard]] PortIndices excluded() const;

    /// Object by name, nullptr if there is none.
    [[nodiscard]] const Port* port(std::string_view name) const;
    [[nodiscard]] const PortGroup* port_group(std::string_view name) const;
    [[nodiscard]] const Switch* switch_of(std::string_view name) const;
    [[nodiscard]] const Group* group(std::string_view name) const;
    [[nodiscard]] const AddressSet* address_set(std::string_view name) const;

private:
    struct Index;
    std::unique_ptr<Index> index_;
};

/// True if `tags` contains every tag of the group. A group without tags matches no port.
[[nodiscard]] bool is_member(const Group& group, const Port& port);

}  // namespace sluice::model
