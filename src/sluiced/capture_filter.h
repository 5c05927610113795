// SPDX-License-Identifier: Apache-2.0
// BPF filters of captures. The command line compiles the user's text (libpcap), because names in it
// may have to be asked for; the daemon takes the program, trusts none of it, and its workers run
// it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "datapath/capture.h"
#include "sluice/base/result.h"

namespace sluice::daemon {

/// @param program  list of [code, jump if true, jump if false, k], at most kCaptureFilterMax; null
/// or an empty list: no filter
/// @return kInvalid if it could jump or read out of bounds, or not end; kLimit if it is too long.
/// Control thread.
[[nodiscard]] Result<std::shared_ptr<const datapath::CaptureFilter>> make_capture_filter(
    const nlohmann::json& program);

}  // namespace sluice::daemon
