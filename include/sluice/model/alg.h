// SPDX-License-Identifier: Apache-2.0
// model::Alg: which protocol's payload a firewall rule wants read, so that the connections that it
// announces are let through. Plain value, any thread.
#pragma once

#include <cstdint>

namespace sluice::model {

enum class Alg : std::uint8_t {
    kNone,
    kFtp,   ///< TCP: RFC 959, RFC 2428.
    kTftp,  ///< UDP: RFC 1350.
};

}  // namespace sluice::model
