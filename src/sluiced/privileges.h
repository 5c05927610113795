// SPDX-License-Identifier: Apache-2.0
// Privileges: what a daemon with --user gives away before it reads anything that comes from others.
// In order, while there is one thread: folders that it will write get their owner, the helper is
// forked with the rights for interfaces in namespaces, the daemon becomes the user with no rights
// but those that uplinks need, and its system calls are filtered. ADR 53.
#pragma once

#include "privileged/capabilities.h"
#include "privileged/helper.h"
#include "sluice/base/result.h"
#include "src/sluiced/options.h"

namespace sluice::daemon {

/// What the daemon keeps.
struct KeptRights {
    privileged::Capabilities capabilities = 0;
    bool allows_bpf = false;  ///< AF_XDP.
};

/// By --allow-uplinks, and where that is "auto" by the uplinks of the stored document and of the
/// host's own file; a fleet's uplinks are known too late, and count as af_packet. Any thread.
[[nodiscard]] KeptRights kept_rights(const Options& options);

/// Forks the helper, or connects to one that runs, and, if there is --user, gives away what is not
/// kept. One thread.
[[nodiscard]] Result<privileged::Helper> start_confined(const Options& options);

}  // namespace sluice::daemon
