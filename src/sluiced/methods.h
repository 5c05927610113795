// SPDX-License-Identifier: Apache-2.0
// Methods: the CLI's commands as JSON-RPC methods of the admin socket. Control thread.
#pragma once

#include "admin/server.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/rule_checks.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {

/// Adds every method. The services must outlive the server. Of a source that is not local, the
/// methods that change the configuration say where it is changed.
void add_methods(admin::AdminServer& server, ConfigService& config, ShowService& show,
                 const Source& source);

/// `rule check`.
void add_rule_methods(admin::AdminServer& server, RuleChecks& checks);

}  // namespace sluice::daemon
