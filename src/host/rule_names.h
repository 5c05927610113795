// SPDX-License-Identifier: Apache-2.0
// Inside of the compilation of rules: what the names in them stand for, resolved once for all rules
// that say the same. Runs on the compile helper thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sluice/iochain/address_expression.h"
#include "sluice/iochain/policy_difference.h"
#include "sluice/model/resolve.h"

namespace sluice::host {

/// One expression an item, shared by all rules that name it.
class Expressions {
public:
    Expressions(const model::Resolver& resolver, const std::vector<PortIndex>& indices)
        : resolver_(resolver), indices_(indices) {}

    bool follows_bindings = false;  ///< Of some item so far.

    /// Empty = any.
    AddressList of(const std::vector<std::string>& items) {
        AddressList list;
        for (const std::string& item : items) {
            const Entry& entry = of_item(item);
            if (!entry) { return {}; }
            list.push_back(entry);
        }
        return list;
    }

private:
    using Entry = std::shared_ptr<const AddressExpression>;  // Null for any.

    const Entry& of_item(const std::string& item) {
        const auto [at, is_new] = by_item_.try_emplace(item);
        if (is_new) {
            model::Addresses addresses = resolver_.addresses(item);
            if (!addresses.any) {
                at->second = std::make_shared<const AddressExpression>(
                    std::move(addresses.prefixes), members_of(item));
                follows_bindings = follows_bindings || !at->second->members().empty();
            }
        }
        return at->second;
    }

    /// Ports behind a group, a port group or a port: what they are bound to belongs to the item.
    std::vector<PortIndex> members_of(const std::string& item) {
        std::vector<PortIndex> members;
        for (const std::size_t port : resolver_.ports(item)) { members.push_back(indices_[port]); }
        return members;
    }

    const model::Resolver& resolver_;
    const std::vector<PortIndex>& indices_;
    std::unordered_map<std::string, Entry> by_item_;
};

/// Ports behind one `applied_to` list, resolved once for all rules with the same list.
struct Target {
    model::PortIndices ports;
    std::shared_ptr<const PortSet> set;
};

class Targets {
public:
    Targets(const model::Resolver& resolver, const std::vector<PortIndex>& indices)
        : resolver_(resolver), indices_(indices) {}

    const Target& of(const std::vector<std::string>& applied_to) {
        const auto [at, is_new] = by_list_.try_emplace(applied_to);
        if (is_new) {
            at->second.ports = resolver_.ports(applied_to);
            auto set = std::make_shared<PortSet>();
            for (const std::size_t port : at->second.ports) { set->set(indices_[port].value); }
            at->second.set = std::move(set);
        }
        return at->second;
    }

private:
    const model::Resolver& resolver_;
    const std::vector<PortIndex>& indices_;
    std::map<std::vector<std::string>, Target> by_list_;
};

}  // namespace sluice::host
