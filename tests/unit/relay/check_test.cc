// SPDX-License-Identifier: Apache-2.0
// The rules for QEMU's messages, one bad message of each kind.
#include "relay/check.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "relay/limits.h"
#include "wire.h"

namespace sluice::relay::test {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20U;
constexpr std::uint16_t kPairs = 2;

std::optional<RefuseReason> header_verdict(std::uint32_t number, std::uint32_t flags,
                                           std::uint32_t size) {
    const auto refusal = check_request_header({number, flags, size});
    return refusal ? std::optional{refusal->reason} : std::nullopt;
}

std::optional<RefuseReason> verdict(const Message& message) {
    auto refusal = check_request_header(message.header);
    if (!refusal) { refusal = check_request(message, kPairs); }
    if (refusal) { EXPECT_FALSE(refusal->text.empty()); }
    return refusal ? std::optional{refusal->reason} : std::nullopt;
}

constexpr std::optional<RefuseReason> kPass = std::nullopt;

TEST(RelayCheck, HeadersOfVersionOneAlone) {
    EXPECT_EQ(header_verdict(1, 1, 0), kPass);
    EXPECT_EQ(header_verdict(1, 1 | kFlagNeedReply, 0), kPass);
    EXPECT_EQ(header_verdict(1, 0, 0), RefuseReason::kBadHeader);
    EXPECT_EQ(header_verdict(1, 2, 0), RefuseReason::kBadHeader);
    EXPECT_EQ(header_verdict(1, 1 | kFlagReply, 0), RefuseReason::kBadHeader);
    EXPECT_EQ(header_verdict(1, 0x11, 0), RefuseReason::kBadHeader);
}

TEST(RelayCheck, UnknownAndUnofferedRequests) {
    for (const std::uint32_t number : {0U, 41U, 1000U, 0xffffffffU}) {
        EXPECT_EQ(header_verdict(number, 1, 0), RefuseReason::kUnknownRequest) << number;
    }
    // Log descriptor, back-end channel, IOTLB, endianness, configuration, crypto, post-copy,
    // inflight, GPU, reset, in-band kicks, memory slots, status.
    for (const std::uint32_t number : {7U,  21U, 22U, 23U, 24U, 25U, 26U, 27U, 28U, 29U, 30U,
                                       31U, 32U, 33U, 34U, 35U, 36U, 37U, 38U, 39U, 40U}) {
        EXPECT_EQ(header_verdict(number, 1, 8), RefuseReason::kNotOffered) << number;
    }
}

TEST(RelayCheck, SizesAreExact) {
    EXPECT_EQ(header_verdict(2, 1, 8), kPass);
    EXPECT_EQ(header_verdict(2, 1, 7), RefuseReason::kBadSize);
    EXPECT_EQ(header_verdict(2, 1, 9), RefuseReason::kBadSize);
    EXPECT_EQ(header_verdict(1, 1, 8), RefuseReason::kBadSize);
    EXPECT_EQ(header_verdict(5, 1, 8 + 9 * 32), RefuseReason::kBadSize);
    EXPECT_EQ(header_verdict(9, 1, 39), RefuseReason::kBadSize);
}

TEST(RelayCheck, Features) {
    EXPECT_EQ(verdict(request(Request::kSetFeatures, kVirtioFeatureMask)), kPass);
    for (const unsigned number : {6U, 9U, 10U, 13U, 14U, 21U, 33U, 34U, 40U, 63U}) {
        EXPECT_EQ(verdict(request(Request::kSetFeatures, bit(number))), RefuseReason::kBadFeatures)
            << number;
    }
    EXPECT_EQ(verdict(request(Request::kSetProtocolFeatures, kProtocolFeatureMask)), kPass);
    for (const unsigned number : {5U, 7U, 8U, 9U, 10U, 11U, 12U, 15U, 16U}) {
        EXPECT_EQ(verdict(request(Request::kSetProtocolFeatures, bit(number))),
                  RefuseReason::kBadFeatures)
            << number;
    }
}

TEST(RelayCheck, MemoryTables) {
    const MemoryRegion low{0, kMegabyte, 0x10000, 0};
    const MemoryRegion high{kMegabyte, kMegabyte, 0x10000 + kMegabyte, kMegabyte};
    EXPECT_EQ(verdict(memory_table({low, high}, 2 * kMegabyte)), kPass);
    EXPECT_EQ(verdict(memory_table({low}, kMegabyte - 1)), RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({{0, 0, 0, 0}}, kMegabyte)), RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({{0, kMegabyte, 0, ~0ULL - 100}}, kMegabyte)),
              RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({{~0ULL - 100, kMegabyte, 0, 0}}, kMegabyte)),
              RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({{0, kMegabyte, ~0ULL - 100, 0}}, kMegabyte)),
              RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({low, {kMegabyte - 1, 4096, 0, 0}}, kMegabyte)),
              RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({low, low}, kMegabyte)), RefuseReason::kBadMemory);
    EXPECT_EQ(verdict(memory_table({low, {kMegabyte, 4096, 0x11000, 0}}, kMegabyte)),
              RefuseReason::kBadMemory)
        << "apart in the guest, but not in QEMU";
}

TEST(RelayCheck, MemoryTablesAndTheirDescriptors) {
    const MemoryRegion low{0, kMegabyte, 0x10000, 0};
    Message message = memory_table({low}, kMegabyte);
    message.fds.clear();
    EXPECT_EQ(verdict(message), RefuseReason::kBadFds);
    message = memory_table({low}, kMegabyte);
    message.fds.push_back(memory_file(kMegabyte));
    EXPECT_EQ(verdict(message), RefuseReason::kBadFds);
    message = memory_table({low}, kMegabyte);
    message.fds[0] = event_file();
    EXPECT_EQ(verdict(message), RefuseReason::kBadMemory);
    message = memory_table({low}, kMegabyte);
    const std::string path = "/proc/self/fd/" + std::to_string(message.fds[0].get());
    message.fds[0] = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(verdict(message), RefuseReason::kBadMemory) << "cannot be written";
    message = memory_table({low}, kMegabyte);
    for (const std::uint32_t count : {0U, 9U, 0xffffffffU}) {
        std::memcpy(message.payload.data(), &count, sizeof count);
        EXPECT_EQ(verdict(message), RefuseReason::kBadMemory) << count;
    }
    const std::uint32_t two = 2;  // More regions than bytes.
    std::memcpy(message.payload.data(), &two, sizeof two);
    EXPECT_EQ(verdict(message), RefuseReason::kBadSize);
}

TEST(RelayCheck, RingIndices) {
    for (const auto number :
         {Request::kSetVringBase, Request::kGetVringBase, Request::kSetVringEnable}) {
        EXPECT_EQ(verdict(request(number, VringState{3, 1})), kPass);
        EXPECT_EQ(verdict(request(number, VringState{4, 1})), RefuseReason::kBadVring);
        EXPECT_EQ(verdict(request(number, VringState{0xffffffff, 1})), RefuseReason::kBadVring);
    }
    EXPECT_EQ(verdict(request(Request::kSetVringAddr, VringAddress{3, 0, 0, 0, 0, 0})), kPass);
    EXPECT_EQ(verdict(request(Request::kSetVringAddr, VringAddress{4, 0, 0, 0, 0, 0})),
              RefuseReason::kBadVring);
    EXPECT_EQ(verdict(vring_fd(Request::kSetVringKick, 4)), RefuseReason::kBadVring);
}

TEST(RelayCheck, LoggedRings) {
    EXPECT_EQ(verdict(request(Request::kSetVringAddr, VringAddress{0, 1, 0, 0, 0, 0x1000})), kPass);
    EXPECT_EQ(verdict(request(Request::kSetVringAddr, VringAddress{0, 2, 0, 0, 0, 0})),
              RefuseReason::kBadVring);
    EXPECT_EQ(verdict(request(Request::kSetVringAddr, VringAddress{0, 1, 0, 0, 0, ~0ULL - 4096})),
              RefuseReason::kBadVring);
}

TEST(RelayCheck, RingSizesAndStates) {
    EXPECT_EQ(verdict(request(Request::kSetVringNum, VringState{0, 1024})), kPass);
    EXPECT_EQ(verdict(request(Request::kSetVringNum, VringState{0, kVringSizeMax})), kPass);
    for (const std::uint32_t size : {0U, 3U, 1000U, 65536U, 0x80000000U}) {
        EXPECT_EQ(verdict(request(Request::kSetVringNum, VringState{0, size})),
                  RefuseReason::kBadVring)
            << size;
    }
    EXPECT_EQ(verdict(request(Request::kSetVringNum, VringState{4, 256})), RefuseReason::kBadVring);
    EXPECT_EQ(verdict(request(Request::kSetVringEnable, VringState{0, 2})),
              RefuseReason::kBadVring);
    EXPECT_EQ(verdict(request(Request::kSetVringBase, VringState{0, 0x10000})),
              RefuseReason::kBadVring);
}

TEST(RelayCheck, RingDescriptors) {
    for (const auto number :
         {Request::kSetVringKick, Request::kSetVringCall, Request::kSetVringErr}) {
        EXPECT_EQ(verdict(vring_fd(number, 0)), kPass);
        EXPECT_EQ(verdict(request(number, std::uint64_t{0} | kVringFdNone)), kPass);
        EXPECT_EQ(verdict(request(number, std::uint64_t{0})), RefuseReason::kBadFds);
        EXPECT_EQ(verdict(vring_fd(number, kVringFdNone)), RefuseReason::kBadFds);
        EXPECT_EQ(verdict(vring_fd(number, 0x200)), RefuseReason::kBadVring);
        Message message = vring_fd(number, 0);
        message.fds[0] = memory_file(4096);
        EXPECT_EQ(verdict(message), RefuseReason::kBadFds);
    }
}

TEST(RelayCheck, RepliesAreNarrowed) {
    Message reply = request(Request::kGetFeatures, ~std::uint64_t{0});
    EXPECT_FALSE(narrow_reply(reply, kPairs).has_value());
    EXPECT_EQ(reply.as<std::uint64_t>() & (bit(34) | bit(33) | bit(21)), 0U);
    EXPECT_EQ(reply.as<std::uint64_t>() & bit(32), bit(32));
    Message short_reply = request(Request::kGetFeatures, std::uint32_t{1});
    EXPECT_EQ(narrow_reply(short_reply, kPairs)->reason, RefuseReason::kBadReply);
    EXPECT_TRUE(check_reply_header({1, kFlagVersion, 8}).has_value());
    EXPECT_FALSE(check_reply_header({1, kFlagVersion | kFlagReply, 8}).has_value());
    EXPECT_TRUE(check_reply_header({1, kFlagVersion | kFlagReply, 5000}).has_value());
}

}  // namespace
}  // namespace sluice::relay::test
