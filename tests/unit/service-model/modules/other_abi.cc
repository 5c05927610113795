// SPDX-License-Identifier: Apache-2.0
// An in-process service of another ABI.
#include "tests/unit/service-model/modules/module.h"

namespace {

constexpr sluice_service_v1 changed() {
    auto module = sluice::test::module_of("other_abi");
    module.abi_version = 2;
    return module;
}

}  // namespace

extern "C" const sluice_service_v1 sluice_service;
const sluice_service_v1 sluice_service = changed();
