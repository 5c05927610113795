// SPDX-License-Identifier: Apache-2.0
// FleetBinding: where a MAC and its addresses are, as hosts tell each other and controllers of
// other schemas say it. Plain values, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::fleet {

/// In `segment` (segment_name.h), `mac` is behind `vtep` and uses `ips`.
struct FleetBinding {
    std::string segment;
    MacAddr mac;
    std::vector<IpAddr> ips;  ///< Ascending, at most kPortIpMax.
    IpAddr vtep;              ///< kNone in a segment without VNI.

    bool operator==(const FleetBinding&) const = default;
};

/// The one binding of a MAC in a segment is this now, or is gone.
struct BindingChange {
    FleetBinding binding;  ///< If gone, segment and MAC only.
    bool is_gone = false;
};

}  // namespace sluice::fleet
