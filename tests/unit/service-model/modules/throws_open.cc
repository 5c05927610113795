// SPDX-License-Identifier: Apache-2.0
// An in-process service that throws when it is opened.
#include "tests/unit/service-model/modules/module.h"

namespace {
int open_badly(const char*, void**, char*, std::size_t) { throw 1; }
constexpr sluice_service_v1 changed() {
    auto module = sluice::test::module_of("throws_open");
    module.open = open_badly;
    return module;
}

}  // namespace

extern "C" const sluice_service_v1 sluice_service;
const sluice_service_v1 sluice_service = changed();
