// SPDX-License-Identifier: Apache-2.0
// An in-process service that would keep more of a connection than one may.
#include "tests/unit/service-model/modules/module.h"

namespace {

constexpr sluice_service_v1 changed() {
    auto module = sluice::test::module_of("large_state");
    module.state_size = SLUICE_SERVICE_STATE_MAX + 1;
    return module;
}

}  // namespace

extern "C" const sluice_service_v1 sluice_service;
const sluice_service_v1 sluice_service = changed();
