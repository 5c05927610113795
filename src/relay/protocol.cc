// SPDX-License-Identifier: Apache-2.0
// The table of requests: which exist, which are relayed, what they carry. Plain data, any thread.
#include "relay/protocol.h"

#include <array>

#include "relay/limits.h"

namespace sluice::relay {
namespace {

constexpr std::uint32_t kTableMin = sizeof(MemoryTableHead) + sizeof(MemoryRegion);
constexpr std::uint32_t kTableMax =
    sizeof(MemoryTableHead) + kMemoryRegionMax * sizeof(MemoryRegion);

constexpr RequestRule plain(const char* name, std::uint32_t size) {
    return {name, true, size, size, FdRule::kNone, false};
}
constexpr RequestRule query(const char* name, std::uint32_t size) {
    return {name, true, size, size, FdRule::kNone, true};
}
constexpr RequestRule vring_fd(const char* name) {
    return {name, true, 8, 8, FdRule::kVring, false};
}
constexpr RequestRule refused(const char* name) {
    return {name, false, 0, kPayloadBytesMax, FdRule::kNone, false};
}

// Indexed by request number; 0 is no request.
constexpr std::array kRules = {
    RequestRule{nullptr, false, 0, 0, FdRule::kNone, false},
    query("GET_FEATURES", 0),
    plain("SET_FEATURES", 8),
    plain("SET_OWNER", 0),
    plain("RESET_OWNER", 0),
    RequestRule{"SET_MEM_TABLE", true, kTableMin, kTableMax, FdRule::kRegions, false},
    RequestRule{"SET_LOG_BASE", true, sizeof(LogArea), sizeof(LogArea), FdRule::kOne, true},
    refused("SET_LOG_FD"),
    plain("SET_VRING_NUM", sizeof(VringState)),
    plain("SET_VRING_ADDR", sizeof(VringAddress)),
    plain("SET_VRING_BASE", sizeof(VringState)),
    query("GET_VRING_BASE", sizeof(VringState)),
    vring_fd("SET_VRING_KICK"),
    vring_fd("SET_VRING_CALL"),
    vring_fd("SET_VRING_ERR"),
    query("GET_PROTOCOL_FEATURES", 0),
    plain("SET_PROTOCOL_FEATURES", 8),
    query("GET_QUEUE_NUM", 0),
    plain("SET_VRING_ENABLE", sizeof(VringState)),
    plain("SEND_RARP", 8),
    plain("NET_SET_MTU", 8),
    refused("SET_BACKEND_REQ_FD"),
    refused("IOTLB_MSG"),
    refused("SET_VRING_ENDIAN"),
    refused("GET_CONFIG"),
    refused("SET_CONFIG"),
    refused("CREATE_CRYPTO_SESSION"),
    refused("CLOSE_CRYPTO_SESSION"),
    refused("POSTCOPY_ADVISE"),
    refused("POSTCOPY_LISTEN"),
    refused("POSTCOPY_END"),
    refused("GET_INFLIGHT_FD"),
    refused("SET_INFLIGHT_FD"),
    refused("GPU_SET_SOCKET"),
    refused("RESET_DEVICE"),
    refused("VRING_KICK"),
    refused("GET_MAX_MEM_SLOTS"),
    refused("ADD_MEM_REG"),
    refused("REM_MEM_REG"),
    refused("SET_STATUS"),
    refused("GET_STATUS"),
};
static_assert(kRules.size() == 41);

}  // namespace

const RequestRule* rule_of(std::uint32_t request) noexcept {
    if (request == 0 || request >= kRules.size()) { return nullptr; }
    return &kRules[request];
}

const char* request_name(std::uint32_t request) noexcept {
    const RequestRule* rule = rule_of(request);
    return rule != nullptr ? rule->name : "unknown request";
}

bool Message::wants_reply() const noexcept {
    const RequestRule* rule = rule_of(header.request);
    return rule != nullptr && (rule->replied || (header.flags & kFlagNeedReply) != 0);
}

}  // namespace sluice::relay
