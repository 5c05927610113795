// SPDX-License-Identifier: Apache-2.0
// The rules of check.h, one function a kind of payload.
#include "relay/check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "relay/limits.h"

namespace sluice::relay {
namespace {

using Verdict = std::optional<Refusal>;

template <typename... Args>
Verdict refuse(RefuseReason reason, std::uint32_t request, fmt::format_string<Args...> text,
               Args&&... args) {
    return Refusal{reason, fmt::format("{}: {}", request_name(request),
                                       fmt::format(text, std::forward<Args>(args)...))};
}

bool is_eventfd(int fd) {
    char link[64];
    char target[64];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = ::readlink(link, target, sizeof target);
    return size > 0 &&
           std::string_view{target, static_cast<std::size_t>(size)} == "anon_inode:[eventfd]";
}

Verdict check_fd_count(const Message& message, std::size_t expected) {
    if (message.fds.size() == expected) { return std::nullopt; }
    return refuse(RefuseReason::kBadFds, message.header.request, "{} descriptors came, {} expected",
                  message.fds.size(), expected);
}

// As the library will: read-only, sealed and path-only descriptors cannot be mapped, and of a table
// that it can't map the library leaks the descriptors.
bool can_be_mapped(int fd, std::uint64_t bytes) {
    void* const at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    return at != MAP_FAILED && ::munmap(at, bytes) == 0;
}

// The file behind the region is as long as the region says, now. (It may shrink later:
// guest_memory_guard.h.)
Verdict check_region(const Message& message, const MemoryRegion& region, int fd,
                     std::size_t number) {
    const auto request = message.header.request;
    std::uint64_t end = 0;
    std::uint64_t ignored = 0;
    if (region.size == 0) {
        return refuse(RefuseReason::kBadMemory, request, "region {} has 0 bytes", number);
    }
    if (__builtin_add_overflow(region.mmap_offset, region.size, &end) ||
        __builtin_add_overflow(region.guest_address, region.size, &ignored) ||
        __builtin_add_overflow(region.user_address, region.size, &ignored)) {
        return refuse(RefuseReason::kBadMemory, request,
                      "region {} of {} bytes passes the end of addresses", number, region.size);
    }
    struct stat file {};
    if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        return refuse(RefuseReason::kBadMemory, request, "region {} is not backed by a file",
                      number);
    }
    if (file.st_size < 0 || static_cast<std::uint64_t>(file.st_size) < end) {
        return refuse(RefuseReason::kBadMemory, request,
                      "region {} ends at byte {} of a file of {} bytes", number, end, file.st_size);
    }
    if (!can_be_mapped(fd, end)) {
        return refuse(RefuseReason::kBadMemory, request,
                      "the file of region {} cannot be mapped to read and write", number);
    }
    return std::nullopt;
}

bool overlap(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
    return a < b + b_size && b < a + a_size;
}

// In the guest's addresses, or in QEMU's own: rings are found by the latter.
bool overlap(const MemoryRegion& a, const MemoryRegion& b) {
    return overlap(a.guest_address, a.size, b.guest_address, b.size) ||
           overlap(a.user_address, a.size, b.user_address, b.size);
}

Verdict check_memory_table(const Message& message) {
    const auto head = message.as<MemoryTableHead>();
    const auto request = message.header.request;
    if (head.region_count == 0 || head.region_count > kMemoryRegionMax) {
        return refuse(RefuseReason::kBadMemory, request, "{} regions, 1 to {} expected",
                      head.region_count, kMemoryRegionMax);
    }
    if (message.payload.size() != sizeof head + head.region_count * sizeof(MemoryRegion)) {
        return refuse(RefuseReason::kBadSize, request, "{} bytes do not hold {} regions",
                      message.payload.size(), head.region_count);
    }
    if (auto verdict = check_fd_count(message, head.region_count)) { return verdict; }
    MemoryRegion regions[kMemoryRegionMax];
    std::memcpy(regions, message.payload.data() + sizeof head,
                head.region_count * sizeof(MemoryRegion));
    for (std::size_t i = 0; i < head.region_count; ++i) {
        if (auto verdict = check_region(message, regions[i], message.fds[i].get(), i)) {
            return verdict;
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (overlap(regions[i], regions[j])) {
                return refuse(RefuseReason::kBadMemory, request, "regions {} and {} overlap", j, i);
            }
        }
    }
    return std::nullopt;
}

Verdict check_index(const Message& message, std::uint64_t index, std::uint16_t queue_pair_max) {
    if (index < 2U * queue_pair_max) { return std::nullopt; }
    return refuse(RefuseReason::kBadVring, message.header.request, "ring {} is outside 0..{}",
                  index, 2U * queue_pair_max - 1U);
}

Verdict check_vring_fd(const Message& message, std::uint16_t queue_pair_max) {
    const auto value = message.as<std::uint64_t>();
    const bool none = (value & kVringFdNone) != 0;
    if ((value & ~(kVringFdIndexMask | kVringFdNone)) != 0) {
        return refuse(RefuseReason::kBadVring, message.header.request,
                      "reserved bits are set in {:#x}", value);
    }
    if (auto verdict = check_index(message, value & kVringFdIndexMask, queue_pair_max)) {
        return verdict;
    }
    if (auto verdict = check_fd_count(message, none ? 0 : 1)) { return verdict; }
    if (!none &&
        !is_eventfd(message.fds[0].get())) {  // A pipe that nobody reads would block a worker.
        return refuse(RefuseReason::kBadFds, message.header.request,
                      "the descriptor is not an eventfd");
    }
    // As QEMU's are. A blocking one that counts no further would stop the worker that calls.
    if (!none) { ::fcntl(message.fds[0].get(), F_SETFL, O_NONBLOCK); }
    return std::nullopt;
}

Verdict check_vring_address(const Message& message, std::uint16_t queue_pair_max) {
    const auto address = message.as<VringAddress>();
    std::uint64_t end = 0;
    if ((address.flags & ~kVringLogged) != 0) {
        return refuse(RefuseReason::kBadVring, message.header.request, "flags {:#x} are reserved",
                      address.flags);
    }
    if ((address.flags & kVringLogged) != 0 &&
        __builtin_add_overflow(address.log, kUsedRingBytesMax, &end)) {
        return refuse(RefuseReason::kBadVring, message.header.request,
                      "the used ring at {:#x} passes the end of addresses", address.log);
    }
    return check_index(message, address.index, queue_pair_max);
}

Verdict check_features(const Message& message, std::uint64_t mask) {
    const std::uint64_t extra = message.as<std::uint64_t>() & ~mask;
    if (extra == 0) { return std::nullopt; }
    return refuse(RefuseReason::kBadFeatures, message.header.request, "bits {:#x} were not offered",
                  extra);
}

Verdict check_payload(const Message& message, std::uint16_t queue_pair_max) {
    const auto request = message.header.request;
    switch (message.request()) {
        case Request::kSetFeatures: return check_features(message, kVirtioFeatureMask);
        case Request::kSetProtocolFeatures: return check_features(message, kProtocolFeatureMask);
        case Request::kSetMemTable: return check_memory_table(message);
        case Request::kSetVringKick:
        case Request::kSetVringCall:
        case Request::kSetVringErr: return check_vring_fd(message, queue_pair_max);
        case Request::kSetVringBase:
        case Request::kGetVringBase: {
            const auto state = message.as<VringState>();
            if (state.value > 0xffff && message.request() == Request::kSetVringBase) {
                return refuse(RefuseReason::kBadVring, request, "base {} is outside 0..65535",
                              state.value);
            }
            return check_index(message, state.index, queue_pair_max);
        }
        case Request::kSetVringAddr: return check_vring_address(message, queue_pair_max);
        case Request::kSetVringNum: {
            const auto state = message.as<VringState>();
            if (state.value > kVringSizeMax || !std::has_single_bit(state.value)) {
                return refuse(RefuseReason::kBadVring, request,
                              "size {} is not a power of two up to {}", state.value, kVringSizeMax);
            }
            return check_index(message, state.index, queue_pair_max);
        }
        case Request::kSetVringEnable: {
            const auto state = message.as<VringState>();
            if (state.value > 1) {
                return refuse(RefuseReason::kBadVring, request, "enable {} is neither 0 nor 1",
                              state.value);
            }
            return check_index(message, state.index, queue_pair_max);
        }
        default: return std::nullopt;
    }
}

Verdict check_size(const Header& header, std::uint32_t size_min, std::uint32_t size_max,
                   RefuseReason reason) {
    if (header.size >= size_min && header.size <= size_max) { return std::nullopt; }
    return refuse(reason, header.request, "{} bytes of payload, {} to {} expected", header.size,
                  size_min, size_max);
}

}  // namespace

Verdict check_request_header(const Header& header) {
    if ((header.flags & ~kFlagNeedReply) != kFlagVersion) {
        return refuse(RefuseReason::kBadHeader, header.request, "flags {:#x}, version 1 expected",
                      header.flags);
    }
    const RequestRule* rule = rule_of(header.request);
    if (rule == nullptr) {
        return Refusal{RefuseReason::kUnknownRequest,
                       fmt::format("request number {} does not exist", header.request)};
    }
    if (!rule->relayed) {
        return refuse(RefuseReason::kNotOffered, header.request, "the feature was not offered");
    }
    return check_size(header, rule->size_min, rule->size_max, RefuseReason::kBadSize);
}

Verdict check_reply_header(const Header& header) {
    const std::uint32_t needed = kFlagVersion | kFlagReply;
    if ((header.flags & ~kFlagNeedReply) != needed || rule_of(header.request) == nullptr) {
        return refuse(RefuseReason::kBadReply, header.request,
                      "flags {:#x} of request number {} in a reply", header.flags, header.request);
    }
    return check_size(header, 0, kPayloadBytesMax, RefuseReason::kBadReply);
}

Verdict check_request(const Message& message, std::uint16_t queue_pair_max) {
    const RequestRule* rule = rule_of(message.header.request);
    if (rule->fds == FdRule::kNone || rule->fds == FdRule::kOne) {
        const std::size_t expected = rule->fds == FdRule::kOne ? 1 : 0;
        if (auto verdict = check_fd_count(message, expected)) { return verdict; }
    }
    return check_payload(message, queue_pair_max);
}

Verdict narrow_reply(Message& message, std::uint16_t queue_pair_max) {
    const auto request = message.request();
    if (!message.fds.empty()) {
        return refuse(RefuseReason::kBadReply, message.header.request,
                      "a descriptor came with the reply");
    }
    const bool number = request == Request::kGetFeatures ||
                        request == Request::kGetProtocolFeatures ||
                        request == Request::kGetQueueNum;
    if (!number) { return std::nullopt; }
    if (message.payload.size() != sizeof(std::uint64_t)) {
        return refuse(RefuseReason::kBadReply, message.header.request, "{} bytes, 8 expected",
                      message.payload.size());
    }
    const auto offered = message.as<std::uint64_t>();
    if (request == Request::kGetFeatures) { message.set(offered & kVirtioFeatureMask); }
    if (request == Request::kGetProtocolFeatures) { message.set(offered & kProtocolFeatureMask); }
    if (request == Request::kGetQueueNum) {
        message.set(std::min<std::uint64_t>(offered, queue_pair_max));
    }
    return std::nullopt;
}

}  // namespace sluice::relay
