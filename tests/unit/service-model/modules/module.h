// SPDX-License-Identifier: Apache-2.0
// What the small in-process services of the tests share: one that passes everything, to be changed
// in one point each.
#pragma once

#include <cstdio>

#include "sluice_service.h"

namespace sluice::test {

inline int open_module(const char*, void** service, char*, std::size_t) {
    *service = nullptr;
    return 0;
}
inline void close_module(void*) {}
inline int decide_module(void*, const sluice_service_key*) { return SLUICE_SERVICE_INSPECT; }
inline int inspect_module(void*, void*, const sluice_service_packet*) {
    return SLUICE_SERVICE_PASS;
}

constexpr sluice_service_v1 module_of(const char* name) {
    return {SLUICE_SERVICE_ABI_VERSION,
            sizeof(sluice_service_v1),
            name,
            "1",
            0,
            0,
            open_module,
            close_module,
            decide_module,
            inspect_module};
}

}  // namespace sluice::test
