// SPDX-License-Identifier: Apache-2.0
// Methods of the admin socket about how the switch is: `status`, `health`, `show alarms`.
#pragma once

#include "admin/server.h"
#include "src/sluiced/health_watch.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {

/// Both must outlive the server. Control thread.
void add_health_methods(admin::AdminServer& server, const ShowService& show,
                        const HealthWatch& health);

}  // namespace sluice::daemon
