// SPDX-License-Identifier: Apache-2.0
// model::Host: the noun `host` of the document. Plain value, any thread.
#pragma once

#include <string>

namespace sluice::model {

/// The hypervisor itself.
struct Host {
    std::string name;  ///< Empty if the document gives none.

    bool operator==(const Host&) const = default;
};

}  // namespace sluice::model
