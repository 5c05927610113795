// SPDX-License-Identifier: Apache-2.0
// The vhost-user protocol as far as the relay must read it: header, requests, payloads, feature
// bits. Source: QEMU's docs/interop/vhost-user.rst. Integers are in host byte order. Plain data,
// any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "relay/fd.h"

namespace sluice::relay {

/// Request numbers; replies carry the number of their request.
enum class Request : std::uint32_t {
    kGetFeatures = 1,
    kSetFeatures = 2,
    kSetOwner = 3,
    kResetOwner = 4,
    kSetMemTable = 5,
    kSetLogBase = 6,
    kSetVringNum = 8,
    kSetVringAddr = 9,
    kSetVringBase = 10,
    kGetVringBase = 11,
    kSetVringKick = 12,
    kSetVringCall = 13,
    kSetVringErr = 14,
    kGetProtocolFeatures = 15,
    kSetProtocolFeatures = 16,
    kGetQueueNum = 17,
    kSetVringEnable = 18,
    kSendRarp = 19,
    kNetSetMtu = 20,
};

/// The twelve bytes in front of every message.
struct Header {
    std::uint32_t request = 0;
    std::uint32_t flags = 0;
    std::uint32_t size = 0;  ///< Bytes of the payload that follows.
};
static_assert(sizeof(Header) == 12);

inline constexpr std::uint32_t kFlagVersionMask = 0x3;
inline constexpr std::uint32_t kFlagVersion = 0x1;
inline constexpr std::uint32_t kFlagReply = 0x4;
inline constexpr std::uint32_t kFlagNeedReply = 0x8;

struct MemoryRegion {
    std::uint64_t guest_address;
    std::uint64_t size;  ///< Bytes.
    std::uint64_t user_address;
    std::uint64_t mmap_offset;  ///< Bytes into the descriptor's file.
};
static_assert(sizeof(MemoryRegion) == 32);

struct MemoryTableHead {
    std::uint32_t region_count;
    std::uint32_t padding;
};

struct VringState {
    std::uint32_t index;
    std::uint32_t value;  ///< Size, base or enable, by request.
};

struct VringAddress {
    std::uint32_t index;
    std::uint32_t flags;
    std::uint64_t descriptors;
    std::uint64_t used;
    std::uint64_t available;
    std::uint64_t log;
};
static_assert(sizeof(VringAddress) == 40);

/// Bytes of the largest used ring: head, elements, wish for kicks (virtio 1.1 section 2.6.8).
inline constexpr std::uint64_t kUsedRingBytesMax = 4 + 8 * 32768 + 2;

/// Bit of VringAddress::flags: writes to the used ring are logged at guest address `log`.
inline constexpr std::uint32_t kVringLogged = 0x1;

/// Where dirty pages are marked: a bit a page of 4 KiB, in the file of the message's descriptor.
struct LogArea {
    std::uint64_t mmap_size;    ///< Bytes.
    std::uint64_t mmap_offset;  ///< Bytes into the file.
};
static_assert(sizeof(LogArea) == 16);

inline constexpr std::uint64_t kVringFdIndexMask = 0xff;
inline constexpr std::uint64_t kVringFdNone = 0x100;  ///< No descriptor comes with this message.

/// One message with the descriptors that came with it.
struct Message {
    Header header;
    std::vector<std::byte> payload;
    std::vector<Fd> fds;

    [[nodiscard]] Request request() const noexcept { return static_cast<Request>(header.request); }
    /// The first sizeof(T) bytes of the payload. The payload must be at least that long (check.h).
    template <typename T>
    [[nodiscard]] T as() const noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        std::memcpy(&value, payload.data(),
                    payload.size() < sizeof(T) ? payload.size() : sizeof(T));
        return value;
    }
    template <typename T>
    void set(const T& value) {
        const auto bytes = std::as_bytes(std::span{&value, 1});
        payload.assign(bytes.begin(), bytes.end());
        header.size = static_cast<std::uint32_t>(sizeof(T));
    }
    /// Does the library answer this request? (By its number, or because the sender asked for it.)
    [[nodiscard]] bool wants_reply() const noexcept;
};

/// What a request carries.
enum class FdRule : std::uint8_t { kNone, kRegions, kVring, kOne };
struct RequestRule {
    const char* name;
    bool relayed;  ///< False: known to the protocol, refused here.
    std::uint32_t size_min;
    std::uint32_t size_max;  ///< Bytes of payload.
    FdRule fds;
    bool replied;
};

/// The rule of a request number; nullptr if the protocol has no such request.
[[nodiscard]] const RequestRule* rule_of(std::uint32_t request) noexcept;
/// Name of a request for texts, "request 99" style numbers included by the caller.
[[nodiscard]] const char* request_name(std::uint32_t request) noexcept;

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

/// Device writes are to be marked in the dirty log; set and cleared while rings run.
inline constexpr unsigned kLogAllBit = 26;

/// Virtio and vhost feature bits that may be offered and accepted. Left out on purpose: GSO (6),
/// ECN (9, 13), UFO (10, 14), GUEST_ANNOUNCE (21), IOMMU_PLATFORM (33), RING_PACKED (34), and what
/// is unknown.
inline constexpr std::uint64_t kVirtioFeatureMask =
    bit(0) | bit(1) |              // CSUM, GUEST_CSUM
    bit(3) | bit(5) |              // MTU, MAC
    bit(7) | bit(8) |              // GUEST_TSO4, GUEST_TSO6
    bit(11) | bit(12) |            // HOST_TSO4, HOST_TSO6
    bit(15) | bit(16) |            // MRG_RXBUF, STATUS
    bit(17) | bit(18) |            // CTRL_VQ, CTRL_RX: the front-end's own business
    bit(22) | bit(24) |            // MQ, NOTIFY_ON_EMPTY
    bit(kLogAllBit) | bit(27) |    // LOG_ALL, ANY_LAYOUT
    bit(28) | bit(29) | bit(30) |  // INDIRECT_DESC, EVENT_IDX, PROTOCOL_FEATURES
    bit(32) | bit(35) | bit(36);   // VERSION_1, IN_ORDER, ORDER_PLATFORM

/// Protocol features that may be offered and accepted: MQ, LOG_SHMFD, RARP, REPLY_ACK, NET_MTU. So
/// there is no back-end request channel, no inflight area, no page-fault channel, no configuration
/// space.
inline constexpr std::uint64_t kProtocolFeatureMask = bit(0) | bit(1) | bit(2) | bit(3) | bit(4);

}  // namespace sluice::relay
