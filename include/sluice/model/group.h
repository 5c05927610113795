// SPDX-License-Identifier: Apache-2.0
// model::Group: the noun `groups`, a name for the ports that carry some tags. Plain value, any
// thread.
#pragma once

#include <map>
#include <string>

namespace sluice::model {

/// The ports whose tags contain all of these. A group without tags holds no port.
struct Group {
    std::string name;
    std::map<std::string, std::string> tags;

    bool operator==(const Group&) const = default;
};

}  // namespace sluice::model
