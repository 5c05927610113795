// SPDX-License-Identifier: Apache-2.0
// The readers of DHCP messages, byte by byte: RFC 2131, 2132, 3396 (long options), 4039; RFC 8415.
#include "sluice/iochain/dhcp_message.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

constexpr std::size_t kSnameAt = 44, kFileAt = 108, kCookieAt = 236;
constexpr std::uint8_t kAck = 5;

/// A server's message with these options, and fields of BOOTP all filled.
Bytes reply(const Bytes& options) {
    Bytes out(kCookieAt);
    out[0] = 2;
    out[1] = 1;
    out[2] = 6;
    for (std::uint8_t i = 0; i < 4; ++i) {
        out[4 + i] = static_cast<std::uint8_t>(0xa0 + i);   // xid
        out[12 + i] = static_cast<std::uint8_t>(0x10 + i);  // ciaddr
        out[16 + i] = static_cast<std::uint8_t>(0x20 + i);  // yiaddr
        out[24 + i] = static_cast<std::uint8_t>(0x30 + i);  // giaddr
    }
    for (std::uint8_t i = 0; i < 6; ++i) { out[28 + i] = static_cast<std::uint8_t>(2 + i); }
    return out + Bytes{0x63, 0x82, 0x53, 0x63} + options;
}
Bytes with(Bytes message, std::size_t at, const Bytes& bytes) {
    std::copy(bytes.begin(), bytes.end(), message.begin() + static_cast<std::ptrdiff_t>(at));
    return message;
}

TEST(Dhcp4Message, TellsItsFields) {
    const auto m = read_dhcp4(reply({53, 1, kAck, 51, 4, 0, 0, 0x0e, 0x10, 54, 4, 1,  2, 3,
                                     4,  3, 8,    5,  6, 7, 8, 9,    9,    9,  9, 80, 0, 255}));
    ASSERT_TRUE(m);
    EXPECT_EQ(m->operation, Dhcp4Operation::kReply);
    EXPECT_EQ(m->type, Dhcp4Type::kAck);
    EXPECT_EQ(m->xid, 0xa3a2a1a0U);
    EXPECT_EQ(m->client_mac, (MacAddr{{2, 3, 4, 5, 6, 7}}));
    EXPECT_EQ(m->client_ip, IpAddr::v4(0x10111213));
    EXPECT_EQ(m->your_ip, IpAddr::v4(0x20212223));
    EXPECT_EQ(m->relay_ip, IpAddr::v4(0x30313233));
    EXPECT_EQ(m->lease_s, 3600u);
    EXPECT_EQ(m->server_ip, IpAddr::v4(0x01020304));
    EXPECT_EQ(m->router_ip, IpAddr::v4(0x05060708));
    EXPECT_TRUE(m->rapid_commit);
    EXPECT_FALSE(m->requested_ip);
}

TEST(Dhcp4Message, WhatFollowsAnEndIsNotRead) {
    const auto m = read_dhcp4(reply({53, 1, kAck, 255, 51, 4, 0, 0, 0, 9, 51, 200}));
    ASSERT_TRUE(m);
    EXPECT_FALSE(m->lease_s);
    EXPECT_FALSE(read_dhcp4(reply({255, 53, 1, kAck}))) << "nor is a type";
}

TEST(Dhcp4Message, PiecesOfAnOptionAreJoined) {
    const auto m = read_dhcp4(reply({51, 1, 0, 53, 1, kAck, 51, 0, 51, 3, 0, 1, 0, 0, 0, 255}));
    ASSERT_TRUE(m);
    EXPECT_EQ(m->lease_s, 256u);
    EXPECT_FALSE(read_dhcp4(reply({53, 1, kAck, 51, 4, 0, 0, 0, 9, 51, 4, 0, 0, 0, 9})))
        << "8 bytes";
    EXPECT_FALSE(read_dhcp4(reply({53, 1, kAck, 53, 1, kAck}))) << "two types";
    EXPECT_TRUE(read_dhcp4(reply({53, 0, 53, 1, kAck})));
}

TEST(Dhcp4Message, OverloadedFieldsHoldOptions) {
    const Bytes both =
        with(with(reply({52, 1, 3, 255}), kFileAt, {0, 53, 1, kAck, 51, 2, 0, 1, 255}), kSnameAt,
             {51, 2, 2, 3, 255});
    auto m = read_dhcp4(both);
    ASSERT_TRUE(m);
    EXPECT_EQ(m->type, Dhcp4Type::kAck);
    EXPECT_EQ(m->lease_s, 0x00010203U) << "file before sname";
    EXPECT_FALSE(read_dhcp4(with(both, 242, {2}))) << "only sname: no type";
    m = read_dhcp4(with(reply({53, 1, kAck, 52, 1, 1, 255}), kSnameAt, {53, 1, 6}));
    ASSERT_TRUE(m);
    EXPECT_EQ(m->type, Dhcp4Type::kAck) << "sname is a name";
    for (const Bytes& overload :
         {Bytes{52, 1, 0}, Bytes{52, 1, 4}, Bytes{52, 2, 1, 1}, Bytes{52, 0}}) {
        EXPECT_FALSE(read_dhcp4(reply(Bytes{53, 1, kAck} + overload)));
    }
    EXPECT_FALSE(read_dhcp4(with(reply({53, 1, kAck, 52, 1, 1}), kFileAt, {52, 1, 2})))
        << "overloading from an overloaded field";
    EXPECT_FALSE(read_dhcp4(with(reply({53, 1, kAck, 52, 1, 2}), kSnameAt, {12, 63})))
        << "runs past its field, into the next";
}

TEST(Dhcp4Message, LengthsOfOptionsAreJudged) {
    for (const Bytes& bad :
         {Bytes{51, 3, 0, 0, 9}, Bytes{50, 5, 1, 2, 3, 4, 5}, Bytes{54, 0}, Bytes{3, 0},
          Bytes{3, 6, 1, 2, 3, 4, 5, 6}, Bytes{12, 9, 'x'}, Bytes{12}}) {
        EXPECT_FALSE(read_dhcp4(reply(Bytes{53, 1, kAck} + bad)));
    }
    EXPECT_TRUE(read_dhcp4(reply({53, 1, kAck, 82, 3, 1, 1, 7}))) << "of relays: as it is";
}

TEST(Dhcp4Message, TypeAndOperationFit) {
    EXPECT_FALSE(read_dhcp4(reply({53, 1, 1, 255})));
    EXPECT_FALSE(read_dhcp4(with(reply({53, 1, kAck, 255}), 0, {1})));
    EXPECT_FALSE(read_dhcp4(with(reply({53, 1, kAck, 255}), 0, {3})));
    EXPECT_TRUE(read_dhcp4(with(reply({53, 1, 7, 255}), 0, {1})));
}

Bytes option(std::uint16_t code, const Bytes& value) {
    return Bytes{static_cast<std::uint8_t>(code >> 8U), static_cast<std::uint8_t>(code),
                 static_cast<std::uint8_t>(value.size() >> 8U),
                 static_cast<std::uint8_t>(value.size())} +
           value;
}
Bytes address(std::uint8_t last, std::uint8_t preferred, std::uint8_t valid,
              const Bytes& inner = {}) {
    Bytes value(16);
    value[0] = 0x20;
    value[15] = last;
    return option(5, value + Bytes{0, 0, 0, preferred, 0, 0, 0, valid} + inner);
}
Bytes association(const Bytes& inner) { return option(3, Bytes(12) + inner); }
Bytes temporary(const Bytes& inner) { return option(4, Bytes(4) + inner); }
const Bytes kHeader = {7, 0x12, 0x34, 0x56};
const Bytes kClient = option(1, {0, 1, 2, 3});

TEST(Dhcp6Message, TellsItsFields) {
    const auto m = read_dhcp6(kHeader + kClient + association(address(1, 5, 9) + address(2, 9, 9)) +
                              option(14, {}) + temporary(address(3, 0, 0)) + option(13, {0, 0}));
    ASSERT_TRUE(m);
    EXPECT_EQ(m->type, Dhcp6Type::kReply);
    EXPECT_EQ(m->transaction, 0x123456u);
    EXPECT_NE(m->client_digest, 0u);
    EXPECT_NE(m->client_digest, read_dhcp6(kHeader + option(1, {0, 1, 2, 4}))->client_digest);
    EXPECT_TRUE(m->rapid_commit);
    EXPECT_TRUE(m->is_success);
    ASSERT_EQ(m->addresses().size(), 3u);
    EXPECT_EQ(m->addresses()[0].valid_s, 9u);
    EXPECT_EQ(m->addresses()[1].ip.bytes[15], 2);
    EXPECT_EQ(m->addresses()[2].valid_s, 0u);
}

TEST(Dhcp6Message, FailuresLeaveAddressesOut) {
    const Bytes failure = option(13, {0, 2});
    EXPECT_FALSE(read_dhcp6(kHeader + failure)->is_success);
    const auto count = [](const Bytes& options) {
        const auto m = read_dhcp6(kHeader + options);
        return m ? int{m->lease_count} : -1;
    };
    EXPECT_EQ(count(association(address(1, 5, 9) + failure) + association(address(2, 5, 9))), 1);
    EXPECT_EQ(count(association(address(1, 5, 9, failure) + address(2, 5, 9))), 1);
    EXPECT_EQ(count(association(address(1, 10, 9))), 0) << "preferred longer than valid";
    EXPECT_EQ(count(option(25, Bytes(12) + option(26, Bytes(25)))), 0) << "a prefix";
    Bytes many;
    for (std::uint8_t i = 0; i < 40; ++i) { many = many + address(i, 1, 1); }
    EXPECT_EQ(count(association(many)), static_cast<int>(kDhcp6LeaseMax));
}

TEST(Dhcp6Message, EachOptionLiesInWhatHoldsIt) {
    EXPECT_FALSE(read_dhcp6(kHeader + Bytes{0, 8, 0}));
    EXPECT_FALSE(read_dhcp6(kHeader + Bytes{0, 8, 0, 1}));
    EXPECT_FALSE(read_dhcp6(kHeader + option(3, Bytes(11))));
    EXPECT_FALSE(read_dhcp6(kHeader + option(4, Bytes(3))));
    EXPECT_FALSE(read_dhcp6(kHeader + association(option(5, Bytes(23)))));
    EXPECT_FALSE(read_dhcp6(kHeader + association({0, 5, 0, 24}) + Bytes(24)));
    EXPECT_FALSE(read_dhcp6(kHeader + association(address(1, 1, 1, {0, 13, 0, 2}))));
    EXPECT_FALSE(read_dhcp6(kHeader + option(13, {0})));
    EXPECT_FALSE(read_dhcp6(kHeader + kClient + kClient)) << "two clients";
    EXPECT_FALSE(read_dhcp6({}));
    EXPECT_FALSE(read_dhcp6(Bytes{7, 0, 0}));
    EXPECT_FALSE(read_dhcp6(Bytes{0, 0, 0, 1}));
}

TEST(Dhcp6Message, RelayedMessagesAreReadInside) {
    const auto relayed = [](const Bytes& inner) {
        return Bytes{12} + Bytes(33) + option(18, {1, 2}) + option(9, inner);
    };
    Bytes message = Bytes{1, 0, 0, 9} + kClient;
    for (unsigned depth = 1; depth <= kDhcp6RelayMax; ++depth) {
        message = relayed(message);
        const auto m = read_dhcp6(message);
        ASSERT_TRUE(m) << depth;
        EXPECT_EQ(m->relays, depth);
        EXPECT_EQ(m->type, Dhcp6Type::kSolicit);
        EXPECT_EQ(m->transaction, 9u);
    }
    EXPECT_FALSE(read_dhcp6(relayed(message))) << "too deep";
    EXPECT_FALSE(read_dhcp6(Bytes{12} + Bytes(33))) << "empty";
    EXPECT_FALSE(read_dhcp6(Bytes{13} + Bytes(32)));
    EXPECT_FALSE(read_dhcp6(Bytes{12} + Bytes(33) + option(9, kHeader) + option(9, kHeader)));
    EXPECT_FALSE(read_dhcp6(relayed({1, 0, 0})));
}

TEST(DhcpMessage, NoBytesMakeAReaderLeaveThem) {
    std::mt19937 random(3);
    for (int i = 0; i < 100000; ++i) {
        // A block of its own, so that a sanitizer sees what is read past it.
        Bytes bytes = i % 2 == 0
                          ? reply({53, 1, kAck, 52, 1, 3, 51, 4, 0, 0, 0, 9, 255})
                          : kHeader + kClient + association(address(1, 5, 9) + option(13, {0, 0}));
        for (auto edits = random() % 6; edits > 0; --edits) {
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random() % 60);
        }
        bytes.resize(random() % 3 == 0 ? random() % (bytes.size() + 1) : bytes.size());
        bytes.shrink_to_fit();
        const auto v4 = read_dhcp4(bytes);
        const auto v6 = read_dhcp6(bytes);
        EXPECT_TRUE(!v4 || bytes.size() >= 240);
        EXPECT_TRUE(!v6 || v6->lease_count <= kDhcp6LeaseMax);
    }
}

}  // namespace
}  // namespace sluice
