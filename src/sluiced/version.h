// SPDX-License-Identifier: Apache-2.0
// The product's version, from CMake.
#pragma once

namespace sluice::daemon {

inline constexpr const char* kVersion = SLUICE_VERSION;

}  // namespace sluice::daemon
