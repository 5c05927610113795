// SPDX-License-Identifier: Apache-2.0
// An in-process service whose file has another name.
#include "tests/unit/service-model/modules/module.h"

extern "C" const sluice_service_v1 sluice_service;
const sluice_service_v1 sluice_service = sluice::test::module_of("somebody");
