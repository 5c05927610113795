// SPDX-License-Identifier: Apache-2.0
// The Resolver of sluice/model/resolve.h: hash tables of names, and of tags to ports.
#include "sluice/model/resolve.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "sluice/model/segment.h"
#include "sluice/net/address_text.h"

namespace sluice::model {
namespace {

template <typename T>
using ByName = std::unordered_map<std::string_view, const T*>;

template <typename T>
ByName<T> by_name(const std::vector<T>& items) {
    ByName<T> index;
    index.reserve(items.size());
    for (const T& item : items) { index.emplace(item.name, &item); }
    return index;
}

template <typename T>
const T* find(const ByName<T>& index, std::string_view name) {
    const auto found = index.find(name);
    return found == index.end() ? nullptr : found->second;
}

template <typename T>
void sort_unique(std::vector<T>& items) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
}

}  // namespace

struct Resolver::Index {
    explicit Index(const Document& whole)
        : document(whole),
          switches(by_name(whole.switches)),
          port_groups(by_name(whole.port_groups)),
          groups(by_name(whole.groups)),
          address_sets(by_name(whole.address_sets)) {
        for (std::size_t i = 0; i < whole.ports.size(); ++i) {
            const Port& port = whole.ports[i];
            ports.emplace(port.name, i);
            by_port_group[port.port_group].push_back(i);
            for (const auto& [key, value] : port.tags) { by_tag[tag_key(key, value)].push_back(i); }
        }
        index_bindings();
    }

    /// Bindings of ports' MACs in domains that the ports are in.
    void index_bindings() {
        if (document.bindings.empty()) { return; }
        std::map<std::pair<std::string_view, MacAddr>, PortIndices> by_mac;
        for (std::size_t i = 0; i < document.ports.size(); ++i) {
            const PortGroup* group = find(port_groups, document.ports[i].port_group);
            if (group == nullptr) { continue; }
            by_mac[{group->switch_name, document.ports[i].mac}].push_back(i);
        }
        for (const Binding& binding : document.bindings) {
            const PortGroup* group = find(port_groups, binding.port_group);
            if (group == nullptr) { continue; }
            const auto at = by_mac.find({group->switch_name, binding.mac});
            if (at == by_mac.end()) { continue; }
            for (const std::size_t i : at->second) {
                const Port& port = document.ports[i];
                if (is_in(segment_of(binding, *group), port, *find(port_groups, port.port_group))) {
                    bound[i].push_back(binding.ip);
                }
            }
        }
    }

    [[nodiscard]] std::vector<IpAddr> addresses_of(std::size_t port) const {
        std::vector<IpAddr> all = own_ips(document.ports[port]);
        const auto found = bound.find(port);
        if (found != bound.end()) {
            all.insert(all.end(), found->second.begin(), found->second.end());
        }
        return all;
    }

    /// Lengths first, so that no two pairs share a key.
    static std::string tag_key(const std::string& key, const std::string& value) {
        return std::to_string(key.size()) + ":" + key + value;
    }

    [[nodiscard]] PortIndices all_ports() const {
        PortIndices all(document.ports.size());
        for (std::size_t i = 0; i < all.size(); ++i) { all[i] = i; }
        return all;
    }

    [[nodiscard]] PortIndices members(const Group& group) const {
        if (group.tags.empty()) { return {}; }
        const auto& [key, value] = *group.tags.begin();
        const auto found = by_tag.find(tag_key(key, value));
        if (found == by_tag.end()) { return {}; }
        PortIndices indices;
        for (const std::size_t i : found->second) {
            if (is_member(group, document.ports[i])) { indices.push_back(i); }
        }
        return indices;
    }

    /// Of members on other hosts.
    [[nodiscard]] std::vector<IpPrefix> elsewhere(std::string_view item) const {
        if (const Group* group = find(groups, item)) { return group->addresses; }
        const PortGroup* port_group = find(port_groups, item);
        return port_group == nullptr ? std::vector<IpPrefix>{} : port_group->addresses;
    }

    const Document& document;
    ByName<Switch> switches;
    ByName<PortGroup> port_groups;
    ByName<Group> groups;
    ByName<AddressSet> address_sets;
    std::unordered_map<std::string_view, std::size_t> ports;
    std::unordered_map<std::string_view, PortIndices> by_port_group;
    std::unordered_map<std::string, PortIndices> by_tag;
    std::unordered_map<std::size_t, std::vector<IpAddr>> bound;
};

Resolver::Resolver(const Document& document) : index_(std::make_unique<Index>(document)) {}
Resolver::~Resolver() = default;
Resolver::Resolver(Resolver&&) noexcept = default;
Resolver& Resolver::operator=(Resolver&&) noexcept = default;

Addresses Resolver::addresses(std::string_view item) const {
    if (item == "any") { return Addresses{true, {}}; }
    if (const auto prefix = parse_prefix(item)) { return Addresses{false, {*prefix}}; }
    if (const AddressSet* set = address_set(item)) { return Addresses{false, set->members}; }
    Addresses result;
    result.prefixes = index_->elsewhere(item);
    for (const std::size_t i : ports(item)) {
        for (const IpAddr& ip : index_->addresses_of(i)) {
            const std::uint8_t width = ip.is_v4() ? 32 : 128;
            result.prefixes.push_back(IpPrefix{ip, width});
        }
    }
    sort_unique(result.prefixes);
    return result;
}

Addresses Resolver::addresses(const std::vector<std::string>& items) const {
    if (items.empty()) { return Addresses{true, {}}; }
    if (items.size() == 1) { return addresses(items.front()); }
    Addresses result;
    for (const std::string& item : items) {
        Addresses one = addresses(item);
        if (one.any) { return one; }
        result.prefixes.insert(result.prefixes.end(), one.prefixes.begin(), one.prefixes.end());
    }
    sort_unique(result.prefixes);
    return result;
}

PortIndices Resolver::ports(std::string_view item) const {
    if (item == "any") { return index_->all_ports(); }
    if (const Group* found = group(item)) { return index_->members(*found); }
    const auto in_group = index_->by_port_group.find(item);
    if (in_group != index_->by_port_group.end()) { return in_group->second; }
    const auto single = index_->ports.find(item);
    if (single != index_->ports.end()) { return {single->second}; }
    return {};
}

PortIndices Resolver::ports(const std::vector<std::string>& items) const {
    if (items.empty()) { return index_->all_ports(); }
    PortIndices result;
    for (const std::string& item : items) {
        const PortIndices one = ports(item);
        result.insert(result.end(), one.begin(), one.end());
    }
    sort_unique(result);
    return result;
}

PortIndices Resolver::excluded() const {
    const auto& items = index_->document.dfw.exclude;
    return items.empty() ? PortIndices{} : ports(items);
}

const Port* Resolver::port(std::string_view name) const {
    const auto found = index_->ports.find(name);
    return found == index_->ports.end() ? nullptr : &index_->document.ports[found->second];
}

const PortGroup* Resolver::port_group(std::string_view name) const {
    return find(index_->port_groups, name);
}

const Switch* Resolver::switch_of(std::string_view name) const {
    return find(index_->switches, name);
}

const Group* Resolver::group(std::string_view name) const { return find(index_->groups, name); }

const AddressSet* Resolver::address_set(std::string_view name) const {
    return find(index_->address_sets, name);
}

bool is_member(const Group& group, const Port& port) {
    if (group.tags.empty()) { return false; }
    return std::all_of(group.tags.begin(), group.tags.end(), [&port](const auto& tag) {
        const auto found = port.tags.find(tag.first);
        return found != port.tags.end() && found->second == tag.second;
    });
}

}  // namespace sluice::model
