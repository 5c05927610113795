// SPDX-License-Identifier: Apache-2.0
// See rule_cover.h. Canonical address lists make it simple: what a list covers of a prefix, one of
// its prefixes covers alone.
#include "src/host/rule_cover.h"

#include <algorithm>

#include "iochain/address_order.h"

namespace sluice::host {
namespace {

using iochain::host_mask;
using iochain::wide;
using model::RuleDirection;
using Prefixes = std::span<const IpPrefix>;

/// The first prefix that ends at or behind the address.
Prefixes::iterator first_behind(Prefixes list, const IpPrefix& prefix) {
    return std::partition_point(list.begin(), list.end(), [&](const IpPrefix& each) {
        return (wide(each.address) | host_mask(each)) < wide(prefix.address);
    });
}

bool holds(Prefixes list, const IpPrefix& prefix) {
    const auto at = first_behind(list, prefix);
    return at != list.end() && at->length <= prefix.length && at->contains(prefix.address);
}

bool meets(Prefixes list, const IpPrefix& prefix) {
    const auto at = first_behind(list, prefix);
    return at != list.end() && wide(at->address) <= (wide(prefix.address) | host_mask(prefix));
}

bool holds_all(Prefixes a, Prefixes b) {
    return std::all_of(b.begin(), b.end(), [&](const IpPrefix& each) { return holds(a, each); });
}

bool meets_none(Prefixes a, Prefixes b) {
    return std::none_of(b.begin(), b.end(), [&](const IpPrefix& each) { return meets(a, each); });
}

/// a is all of b, as sets of addresses.
bool includes(const NamedAddresses& a, const NamedAddresses& b) {
    return std::includes(a.ports.begin(), a.ports.end(), b.ports.begin(), b.ports.end()) &&
           holds_all(a.fixed->v4(), b.fixed->v4()) && holds_all(a.fixed->v6(), b.fixed->v6());
}

bool list_covers(const NamedAddresses& a, bool negate_a, const NamedAddresses& b, bool negate_b) {
    if (a.any) { return true; }
    if (b.any) { return false; }
    if (&a == &b && negate_a == negate_b) { return true; }
    if (!negate_a) { return !negate_b && includes(a, b); }
    if (negate_b) { return includes(b, a); }
    return a.ports.empty() && b.ports.empty() && meets_none(a.fixed->v4(), b.fixed->v4()) &&
           meets_none(a.fixed->v6(), b.fixed->v6());
}

bool service_covers(const model::Service& a, const model::Service& b) {
    if (a.any) { return true; }
    if (b.any || a.protocol != b.protocol) { return false; }
    if (model::has_ports(a.protocol)) {
        return a.source.first <= b.source.first && b.source.last <= a.source.last &&
               a.destination.first <= b.destination.first &&
               b.destination.last <= a.destination.last;
    }
    if (a.icmp_type && a.icmp_type != b.icmp_type) { return false; }
    return !a.icmp_code || a.icmp_code == b.icmp_code;
}

bool services_cover(const std::vector<model::Service>& a, const std::vector<model::Service>& b) {
    if (a.empty()) { return true; }
    return !b.empty() && std::all_of(b.begin(), b.end(), [&](const model::Service& each) {
        return std::any_of(a.begin(), a.end(), [&](const model::Service& wider) {
            return service_covers(wider, each);
        });
    });
}

/// An absent match covers all, another one itself.
template <typename T>
bool match_covers(const T& a, const T& b) {
    return !a || a == b;
}

bool frames_cover(const model::AclRule& a, const model::AclRule& b) {
    return match_covers(a.source_mac, b.source_mac) &&
           match_covers(a.destination_mac, b.destination_mac) &&
           match_covers(a.ethertype, b.ethertype) && match_covers(a.vlan, b.vlan) &&
           match_covers(a.tcp_flags, b.tcp_flags) && match_covers(a.dscp, b.dscp);
}

struct Families {
    bool v4, v6;
};

Families families_of(const NamedAddresses& list, bool negated) {
    if (list.any || negated || list.may_learn) { return {true, true}; }
    const auto has = [&](auto of) { return std::any_of(list.items.begin(), list.items.end(), of); };
    return {has([](const auto& each) { return !each->v4().empty(); }),
            has([](const auto& each) { return !each->v6().empty(); })};
}

bool are_all(const std::vector<model::Service>& services, std::uint8_t protocol) {
    return !services.empty() &&
           std::all_of(services.begin(), services.end(), [&](const model::Service& each) {
               return !each.any && each.protocol == protocol;
           });
}

}  // namespace

bool covers(const CoverRule& a, const CoverRule& b) {
    if (a.direction != RuleDirection::kBoth && a.direction != b.direction) { return false; }
    if ((*b.applied_to & ~*a.applied_to).any()) { return false; }
    if (a.acl != nullptr && !frames_cover(*a.acl, *b.acl)) { return false; }
    return services_cover(a.services, b.services) &&
           list_covers(*a.source, a.negate_source, *b.source, b.negate_source) &&
           list_covers(*a.destination, a.negate_destination, *b.destination, b.negate_destination);
}

std::string why_never(const CoverRule& rule) {
    if (rule.applied_to->none()) { return "it applies to no port"; }
    const Families source = families_of(*rule.source, rule.negate_source);
    const Families destination = families_of(*rule.destination, rule.negate_destination);
    if (!source.v4 && !source.v6) { return "its source holds no address"; }
    if (!destination.v4 && !destination.v6) { return "its destination holds no address"; }
    const bool v4 = source.v4 && destination.v4;
    const bool v6 = source.v6 && destination.v6;
    if (!v4 && !v6) { return "its source and its destination are of different address families"; }
    if (!v4 && are_all(rule.services, model::kProtocolIcmp)) {
        return "its services are ICMP, its addresses IPv6";
    }
    if (!v6 && are_all(rule.services, model::kProtocolIcmpv6)) {
        return "its services are ICMPv6, its addresses IPv4";
    }
    return {};
}

}  // namespace sluice::host
