// SPDX-License-Identifier: Apache-2.0
// model::AddressSet: the noun `address_sets`, a name that rules use in place of prefixes. Plain
// value, any thread.
#pragma once

#include <string>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::model {

/// A named list of prefixes, both families mixed. Shared by the rules that name it, never copied
/// per vNIC.
struct AddressSet {
    std::string name;
    std::vector<IpPrefix> members;  ///< Sorted, without duplicates. Empty = matches nothing.

    bool operator==(const AddressSet&) const = default;
};

}  // namespace sluice::model
