// SPDX-License-Identifier: Apache-2.0
// model::Switch: the noun `switches`. Two switches never exchange a frame. Plain value, any thread.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::model {

/// A virtual switch (VDS): the home of port groups.
struct Switch {
    std::string name;
    std::uint16_t mtu = 1500;  ///< Bytes of layer 3 in the largest frame.

    bool operator==(const Switch&) const = default;
};

}  // namespace sluice::model
