// SPDX-License-Identifier: Apache-2.0
// An in-process service that does what the first byte of a UDP payload says: 'P' passes, 'D' drops,
// 'B' bypasses the rest, 'T' throws, 'X' answers nonsense, 'C' passes as often as its configuration
// says (by its state), 'S' takes a millisecond. Connections to port 7 pass unseen, to port 9 are
// dropped.
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "tests/unit/service-model/modules/module.h"

namespace {

long g_count = 0;

int open_counting(const char* config, void** service, char* error, std::size_t error_size) {
    *service = nullptr;
    g_count = std::strtol(config, nullptr, 10);
    if (g_count >= 0) { return 0; }
    std::snprintf(error, error_size, "%ld is less than 0", g_count);
    return 1;
}

int decide_by_port(void*, const sluice_service_key* key) {
    if (key->destination_port == 7) { return SLUICE_SERVICE_PASS; }
    return key->destination_port == 9 ? SLUICE_SERVICE_DROP : SLUICE_SERVICE_INSPECT;
}

void spin() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (std::chrono::steady_clock::now() < end) {}
}

int inspect_by_payload(void*, void* state, const sluice_service_packet* packet) {
    if (!packet->from_opener || packet->size < packet->l4_offset + 9U) {
        return SLUICE_SERVICE_PASS;
    }
    auto& seen = *static_cast<long*>(state);
    switch (packet->data[packet->l4_offset + 8]) {
        case 'D': return SLUICE_SERVICE_DROP;
        case 'B': return SLUICE_SERVICE_BYPASS;
        case 'T': throw 1;
        case 'X': return 42;
        case 'C': return ++seen <= g_count ? SLUICE_SERVICE_PASS : SLUICE_SERVICE_DROP;
        case 'S': spin(); return SLUICE_SERVICE_PASS;
        default: return SLUICE_SERVICE_PASS;
    }
}

constexpr sluice_service_v1 changed() {
    auto module = sluice::test::module_of("erratic");
    module.state_size = sizeof(long);
    module.open = open_counting;
    module.decide = decide_by_port;
    module.inspect = inspect_by_payload;
    return module;
}

}  // namespace

extern "C" const sluice_service_v1 sluice_service;
const sluice_service_v1 sluice_service = changed();
