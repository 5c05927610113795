// SPDX-License-Identifier: Apache-2.0
// The helper against a daemon that was taken over: requests of random bytes, requests with one
// thing changed, descriptors that nobody asked for. It answers or lets go, touches no interface
// that it did not make, and keeps nothing.
#include <dirent.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <random>
#include <thread>

#include "privileged/helper.h"
#include "privileged/message.h"
#include "sluice/net/address_text.h"

namespace sluice::privileged {
namespace {

constexpr unsigned kSeed = 20261122;

std::size_t descriptor_count() {
    DIR* folder = opendir("/proc/self/fd");
    std::size_t count = 0;
    while (readdir(folder) != nullptr) { ++count; }
    closedir(folder);
    return count;
}

/// Reading only: what a random request may not be let through as.
void expect_harmless(const InterfaceSpec& spec) {
    EXPECT_TRUE(!spec.name.empty() && spec.name.size() <= kInterfaceNameMax);
    EXPECT_LE(spec.netns.size(), kNameLengthMax);
    for (const std::string& text : {spec.name, spec.netns}) {
        EXPECT_EQ(text.find('/'), std::string::npos) << text;
        EXPECT_TRUE(text != "." && text != "..");
        EXPECT_EQ(text.find('\0'), std::string::npos);
    }
    EXPECT_EQ(spec.name.find_first_of("%: \n"), std::string::npos) << spec.name;
    EXPECT_FALSE(spec.mac.is_group());
    EXPECT_LE(spec.addresses.size(), kKernelAddressMax);
    for (const auto& address : spec.addresses) {
        EXPECT_LE(address.prefix_length, address.ip.is_v4() ? 32 : 128);
    }
}

Request plain_request() {
    InterfaceSpec spec;
    spec.netns = "no-such-netns-here";
    spec.name = "vmk0";
    spec.mac = *parse_mac("02:00:00:00:00:01");
    spec.mtu = 1500;
    spec.addresses = {{*parse_ip("10.0.9.1"), 24}};
    return make_request(1, Operation::kOpen, 0, spec);
}

TEST(HostileRequests, RandomBytesAndFlippedBitsAreNeverMoreThanASpec) {
    std::mt19937 random(kSeed);
    unsigned accepted = 0;
    for (unsigned round = 0; round < 200000; ++round) {
        Request request = plain_request();
        auto* bytes = reinterpret_cast<std::uint8_t*>(&request);
        if (round % 2 == 0) {
            for (std::size_t i = 0; i < sizeof request; ++i) {
                bytes[i] = static_cast<std::uint8_t>(random());
            }
        } else {
            for (unsigned flips = random() % 8 + 1; flips > 0; --flips) {
                bytes[random() % sizeof request] ^= static_cast<std::uint8_t>(1U << random() % 8);
            }
        }
        const auto spec = read_request(request);
        if (!spec) { continue; }
        ++accepted;
        expect_harmless(*spec);
    }
    EXPECT_GT(accepted, 1000u) << "flips in a MAC or an address make another legal request";
}

class HostileDaemon : public testing::Test {
protected:
    HostileDaemon() {
        int pair[2] = {-1, -1};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ours_.reset(pair[0]);
        thread_ = std::thread([socket = pair[1]] {
            const relay::Fd its{socket};
            serve(its.get());
        });
    }
    ~HostileDaemon() override {
        ours_.reset();
        thread_.join();
    }
    Answer ask(const Request& request) {
        EXPECT_TRUE(send_message(ours_.get(), request));
        Answer answer;
        relay::Fd descriptor;
        EXPECT_EQ(receive_message(ours_.get(), answer, descriptor, true), Received::kMessage);
        EXPECT_FALSE(descriptor.valid());
        return answer;
    }
    relay::Fd ours_;
    std::thread thread_;
};

TEST_F(HostileDaemon, CannotChangeAnInterfaceThatIsNotItsOwn) {
    Request request = plain_request();
    request.operation = Operation::kConfigure;
    request.netns = {};
    std::memcpy(request.name.data(), "lo\0\0", 4);
    request.index = if_nametoindex("lo");
    ASSERT_NE(request.index, 0u);
    const Answer answer = ask(request);
    EXPECT_EQ(answer.failed, 1u);
    EXPECT_STREQ(answer.message.data(), "interface \"lo\" is none that the helper has made");
}

TEST_F(HostileDaemon, DescriptorsThatNobodyAskedForAreClosed) {
    ask(plain_request());
    const std::size_t before = descriptor_count();
    for (unsigned round = 0; round < 100; ++round) {
        const Request request = plain_request();
        iovec part{const_cast<Request*>(&request), sizeof request};
        alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE((round % 16 + 1) * sizeof(int));
        cmsghdr* right = CMSG_FIRSTHDR(&header);
        right->cmsg_level = SOL_SOCKET;
        right->cmsg_type = SCM_RIGHTS;
        right->cmsg_len = CMSG_LEN((round % 16 + 1) * sizeof(int));
        for (unsigned i = 0; i <= round % 16; ++i) {
            const int fd = STDERR_FILENO;
            std::memcpy(CMSG_DATA(right) + i * sizeof fd, &fd, sizeof fd);
        }
        ASSERT_EQ(sendmsg(ours_.get(), &header, 0), static_cast<ssize_t>(sizeof request));
        // One descriptor is let go, more make the request a broken one: then there is no answer.
        if (round % 16 == 0) {
            Answer answer;
            relay::Fd descriptor;
            ASSERT_EQ(receive_message(ours_.get(), answer, descriptor, true), Received::kMessage);
        }
    }
    ask(plain_request());
    EXPECT_EQ(descriptor_count(), before) << "the helper is a thread of this process";
}

TEST_F(HostileDaemon, GarbageOfAnySizeIsLetGo) {
    std::mt19937 random(kSeed);
    std::array<std::uint8_t, 4096> bytes{};
    for (unsigned round = 0; round < 5000; ++round) {
        const std::size_t size = random() % bytes.size() + 1;
        if (size == sizeof(Request)) { continue; }
        for (std::size_t i = 0; i < size; ++i) { bytes[i] = static_cast<std::uint8_t>(random()); }
        ASSERT_EQ(send(ours_.get(), bytes.data(), size, 0), static_cast<ssize_t>(size));
    }
    EXPECT_EQ(ask(plain_request()).id, 1u) << "it still answers";
}

}  // namespace
}  // namespace sluice::privileged
