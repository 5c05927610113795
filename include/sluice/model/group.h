// SPDX-License-Identifier: Apache-2.0
// model::Group: the noun `groups`, a name for the ports that carry some tags. Plain value, any
// thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::model {

/// The ports whose tags contain all of these. A group without tags holds no port. Rules that name
/// it as source or destination mean its ports' addresses, and those of its members elsewhere.
struct Group {
    std::string name;
    std::map<std::string, std::string> tags;
    std::vector<IpPrefix> addresses = {};  ///< Of members on other hosts. Sorted, no duplicates.

    bool operator==(const Group&) const = default;
};

}  // namespace sluice::model
