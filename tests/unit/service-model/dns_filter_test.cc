// SPDX-License-Identifier: Apache-2.0
// The worked example by its ABI: which questions it refuses over UDP and TCP, malformed messages,
// and that no bytes make it read beyond a packet.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "sluice_service.h"

namespace sluice {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes question(const std::string& name) {
    Bytes message = {0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    std::size_t at = 0;
    while (at <= name.size()) {
        const std::size_t dot = std::min(name.find('.', at), name.size());
        message.push_back(static_cast<std::uint8_t>(dot - at));
        message.insert(message.end(), name.begin() + static_cast<std::ptrdiff_t>(at),
                       name.begin() + static_cast<std::ptrdiff_t>(dot));
        at = dot + 1;
    }
    for (const int byte : {0, 0, 1, 0, 1}) { message.push_back(static_cast<std::uint8_t>(byte)); }
    return message;
}

class DnsFilter : public testing::Test {
protected:
    void SetUp() override {
        library_ = dlopen(SLUICE_TEST_SERVICES "/dns-filter.so", RTLD_NOW);
        ASSERT_NE(library_, nullptr) << dlerror();
        table_ = static_cast<const sluice_service_v1*>(dlsym(library_, SLUICE_SERVICE_SYMBOL));
        char error[64] = "";
        ASSERT_EQ(table_->open("# refused\nAds.Example\n\nmalware.example.\n", &service_, error,
                               sizeof error),
                  0)
            << error;
        state_.assign(table_->state_size, 0);
    }
    void TearDown() override {
        if (service_ != nullptr) { table_->close(service_); }
        if (library_ != nullptr) { dlclose(library_); }
    }

    /// A packet whose memory ends where the packet does.
    int inspect(std::uint8_t protocol, const Bytes& transport, bool from_opener = true) {
        const Bytes ip = {0x45, 0, static_cast<std::uint8_t>((20 + transport.size()) >> 8U),
                          static_cast<std::uint8_t>(20 + transport.size())};
        const std::size_t size = 34 + transport.size();
        const auto frame = std::make_unique<std::uint8_t[]>(size);
        std::memcpy(frame.get() + 14, ip.data(), ip.size());
        if (!transport.empty()) {
            std::memcpy(frame.get() + 34, transport.data(), transport.size());
        }
        sluice_service_packet packet{};
        packet.data = frame.get();
        packet.size = packet.frame_size = static_cast<std::uint32_t>(size);
        packet.l3_offset = 14;
        packet.l4_offset = 34;
        packet.from_opener = from_opener ? 1 : 0;
        packet.protocol = protocol;
        return table_->inspect(service_, state_.data(), &packet);
    }
    int udp(const Bytes& message, bool from_opener = true) {
        Bytes datagram(8);
        datagram.insert(datagram.end(), message.begin(), message.end());
        return inspect(17, datagram, from_opener);
    }
    int tcp(std::uint32_t sequence, std::uint8_t flags, const Bytes& payload) {
        Bytes segment(20);
        for (unsigned i = 0; i < 4; ++i) {
            segment[4 + i] = static_cast<std::uint8_t>(sequence >> (24 - 8 * i));
        }
        segment[12] = 0x50;
        segment[13] = flags;
        segment.insert(segment.end(), payload.begin(), payload.end());
        return inspect(6, segment);
    }

    void* library_ = nullptr;
    const sluice_service_v1* table_ = nullptr;
    void* service_ = nullptr;
    std::vector<std::uint8_t> state_;
};

constexpr int kPass = SLUICE_SERVICE_PASS, kDrop = SLUICE_SERVICE_DROP;

TEST_F(DnsFilter, LooksAtDnsOnly) {
    sluice_service_key key{};
    key.ip_version = 4;
    key.protocol = 17;
    key.destination_port = 53;
    EXPECT_EQ(table_->decide(service_, &key), SLUICE_SERVICE_INSPECT);
    key.destination_port = 54;
    EXPECT_EQ(table_->decide(service_, &key), kPass);
    key.destination_port = 53;
    key.protocol = 132;
    EXPECT_EQ(table_->decide(service_, &key), kPass);
}

TEST_F(DnsFilter, RefusesListedNamesAndAllBelow) {
    EXPECT_EQ(udp(question("ads.example")), kDrop);
    EXPECT_EQ(udp(question("X.ADS.example")), kDrop);
    EXPECT_EQ(udp(question("www.malware.example")), kDrop);
    EXPECT_EQ(udp(question("example")), kPass);
    EXPECT_EQ(udp(question("nads.example")), kPass);
    EXPECT_EQ(udp(question("www.example")), kPass);
    EXPECT_EQ(udp(Bytes(3), false), kPass) << "answers are not looked at";
}

TEST_F(DnsFilter, MalformedQuestionsAreRefused) {
    const Bytes good = question("www.example");
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_EQ(udp(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))), kDrop)
            << size;
    }
    Bytes pointer = good;
    pointer[12] = 0xc0;
    EXPECT_EQ(udp(pointer), kDrop) << "a compressed name";
    Bytes two = good;
    two[5] = 2;
    EXPECT_EQ(udp(two), kDrop) << "two questions";
    std::string long_name = "a";
    for (int i = 0; i < 130; ++i) { long_name += ".a"; }
    EXPECT_EQ(udp(question(long_name)), kDrop) << "a name of 261 bytes";
    EXPECT_EQ(inspect(17, Bytes(7)), kDrop) << "no UDP header";
    EXPECT_EQ(inspect(6, Bytes(19)), kDrop) << "no TCP header";
}

TEST_F(DnsFilter, FollowsMessagesOverTcpHoweverTheyAreCut) {
    const auto prefixed = [](Bytes message) {
        const auto size = static_cast<std::uint8_t>(message.size());
        message.insert(message.begin(), {0, size});
        return message;
    };
    const Bytes good = prefixed(question("www.example"));
    const Bytes bad = prefixed(question("x.ads.example"));
    Bytes stream = good;
    stream.insert(stream.end(), bad.begin(), bad.end());
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
        state_.assign(state_.size(), 0);
        EXPECT_EQ(tcp(0xfffffff0U, 2, {}), kPass);
        const auto middle = stream.begin() + static_cast<std::ptrdiff_t>(cut);
        const auto next = static_cast<std::uint32_t>(0xfffffff1U + cut);
        EXPECT_EQ(tcp(next, 0x10, Bytes(middle, stream.end())), kDrop) << "a gap, cut " << cut;
        EXPECT_EQ(tcp(0xfffffff1U, 0x10, Bytes(stream.begin(), middle)), kPass) << cut;
        EXPECT_EQ(tcp(0xfffffff1U, 0x10, Bytes(stream.begin(), middle)), kPass) << "again";
        EXPECT_EQ(tcp(next, 0x10, Bytes(middle, stream.end())), kDrop) << "refused, cut " << cut;
        EXPECT_EQ(tcp(next, 0x10, {}), kPass) << "an acknowledgement";
    }
}

TEST_F(DnsFilter, NoBytesMakeItReadBeyondThem) {
    std::mt19937 random(7);
    int passed = 0;
    for (int i = 0; i < 200000; ++i) {
        Bytes bytes = question("www.example");
        bytes.resize(random() % 64);
        for (int flips = static_cast<int>(random() % 4); flips > 0 && !bytes.empty(); --flips) {
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        }
        passed += udp(bytes) == kPass ? 1 : 0;
        tcp(static_cast<std::uint32_t>(random() % 128), 0x10, bytes);
    }
    EXPECT_GT(passed, 0);
}

}  // namespace
}  // namespace sluice
