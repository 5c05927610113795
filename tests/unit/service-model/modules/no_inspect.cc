// SPDX-License-Identifier: Apache-2.0
// An in-process service without one of its functions.
#include "tests/unit/service-model/modules/module.h"

namespace {

constexpr sluice_service_v1 changed() {
    auto module = sluice::test::module_of("no_inspect");
    module.inspect = nullptr;
    return module;
}

}  // namespace

extern "C" const sluice_service_v1 sluice_service;
const sluice_service_v1 sluice_service = changed();
