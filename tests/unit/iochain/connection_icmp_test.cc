// SPDX-License-Identifier: Apache-2.0
// judge_icmp_error(): which ICMP errors belong to a connection (RFC 792, RFC 1122 §3.2.2, RFC 4443,
// RFC 5508 §4.2, RFC 5927).
#include <gtest/gtest.h>

#include "connection_rig.h"

namespace sluice::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

Bytes ipv4(std::uint8_t protocol, const FlowKey& key, unsigned fragment = 0) {
    Bytes header(20);
    header[0] = 0x45;
    put16(header, 2, 40);
    put16(header, 6, fragment);
    header[9] = protocol;
    std::memcpy(&header[12], key.source_ip + 12, 4);
    std::memcpy(&header[16], key.destination_ip + 12, 4);
    return header;
}

Bytes l4(std::uint16_t source_port, std::uint16_t destination_port, std::uint32_t third = 0) {
    Bytes header(8);
    put16(header, 0, source_port);
    put16(header, 2, destination_port);
    put32(header, 4, third);
    return header;
}

class ConnectionIcmp : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(rig.send(Segment{From::kA, kTcpSyn, 1000}), DropReason::kNone);
        ASSERT_EQ(rig.send(Segment{From::kB, kTcpSyn | kTcpAck, 5000, 1001}), DropReason::kNone);
        ASSERT_EQ(rig.send(Segment{From::kA, kTcpAck, 1001, 5001}), DropReason::kNone);
    }

    // An error from b's side to a. The frame ends where the quote ends, so that ASan sees a read
    // past it.
    DropReason judge(unsigned type, const Bytes& quote, std::uint8_t protocol = 1,
                     std::uint8_t flags = kKeyIpv4) {
        Bytes bytes(kL4 + 8);
        bytes[kL4] = static_cast<std::uint8_t>(type);
        append(bytes, quote);
        ParsedFrame frame;
        frame.key = outer;
        frame.key.protocol = protocol;
        frame.key.flags = flags;
        frame.data = bytes.data();
        frame.data_size = static_cast<std::uint16_t>(bytes.size());
        frame.l4_offset = kL4;
        frame.l4_size = static_cast<std::uint32_t>(bytes.size() - kL4);
        return judge_icmp_error(rig.table, frame, kDomain, rig.now_ns);
    }
    static Bytes quote_tcp(std::uint32_t sequence = 1001, std::uint16_t source_port = kPortA) {
        Bytes quote = ipv4(6, key_of(From::kA, 6, 0, 0));
        append(quote, l4(source_port, kPortB, sequence));
        return quote;
    }

    ConnectionRig rig;
    FlowKey outer = key_of(From::kB, 1, 0, 0);
};

TEST_F(ConnectionIcmp, RelatesAnErrorToItsConnection) {
    for (const unsigned type : {3U, 11U, 12U}) {
        EXPECT_EQ(judge(type, quote_tcp()), DropReason::kNone) << type;
    }
    outer.source_ip[15] = 99;  // A router on the path.
    EXPECT_EQ(judge(11, quote_tcp()), DropReason::kNone);
}

TEST_F(ConnectionIcmp, DropsRedirectsQuenchesAndWhatIsNoError) {
    for (const unsigned type : {0U, 4U, 5U, 8U, 9U, 42U}) {
        EXPECT_EQ(judge(type, quote_tcp()), DropReason::kBadIcmp) << type;
    }
}

TEST_F(ConnectionIcmp, DropsAnErrorAboutNoConnection) {
    EXPECT_EQ(judge(3, quote_tcp(1001, 40001)), DropReason::kIcmpNoConnection);
    rig.now_ns += 90000 * kSecondNs;
    EXPECT_EQ(judge(3, quote_tcp()), DropReason::kIcmpNoConnection);
}

TEST_F(ConnectionIcmp, DropsAQuoteOfASequenceNeverSent) {
    EXPECT_EQ(judge(3, quote_tcp(1002)), DropReason::kIcmpNoConnection);
    EXPECT_EQ(judge(3, quote_tcp(1001 - 70000)), DropReason::kIcmpNoConnection);
    EXPECT_EQ(judge(3, quote_tcp(1000)), DropReason::kNone);
}

TEST_F(ConnectionIcmp, DropsAQuoteThatTheReceiverDidNotSend) {
    outer.destination_ip[15] = 11;
    EXPECT_EQ(judge(3, quote_tcp()), DropReason::kBadIcmp);
}

TEST_F(ConnectionIcmp, DropsEveryTruncation) {
    const Bytes quote = quote_tcp();
    for (std::size_t size = 0; size < quote.size(); ++size) {
        EXPECT_EQ(judge(3, Bytes(quote.begin(), quote.begin() + static_cast<long>(size))),
                  DropReason::kBadIcmp)
            << size;
    }
}

TEST_F(ConnectionIcmp, DropsAnErrorAboutAnError) {
    for (const unsigned type : {3U, 4U, 5U, 11U, 12U}) {
        Bytes quote = ipv4(1, key_of(From::kA, 1, 0, 0));
        append(quote, l4(static_cast<std::uint16_t>(type << 8U), 0));
        EXPECT_EQ(judge(3, quote), DropReason::kBadIcmp) << type;
    }
}

TEST_F(ConnectionIcmp, RelatesToAnEcho) {
    ASSERT_EQ(rig.send(icmp(From::kA, 8, 0, 7)), DropReason::kNone);
    Bytes quote = ipv4(1, key_of(From::kA, 1, 0, 0));
    append(quote, l4(8 << 8, 0, 7U << 16U));
    EXPECT_EQ(judge(11, quote), DropReason::kNone);
    quote.back() = 0;
    quote[25] = 8;
    EXPECT_EQ(judge(11, quote), DropReason::kIcmpNoConnection);
}

// b answered, and a router between them could not deliver that: the error goes to b.
TEST_F(ConnectionIcmp, RelatesToWhatTheResponderSent) {
    outer = key_of(From::kA, 1, 0, 0);
    outer.source_ip[15] = 99;
    Bytes quote = ipv4(6, key_of(From::kB, 6, 0, 0));
    append(quote, l4(kPortB, kPortA, 5000));
    EXPECT_EQ(judge(3, quote), DropReason::kNone);
    EXPECT_EQ(judge(11, quote), DropReason::kNone);
    ASSERT_EQ(rig.send(udp(From::kA, 50000, 5353)), DropReason::kNone);
    quote = ipv4(17, key_of(From::kB, 17, 0, 0));
    append(quote, l4(5353, 50000));
    EXPECT_EQ(judge(3, quote), DropReason::kNone);
    ASSERT_EQ(rig.send(icmp(From::kA, 8, 0, 7)), DropReason::kNone);
    quote = ipv4(1, key_of(From::kB, 1, 0, 0));
    append(quote, l4(0, 0, 7U << 16U));
    EXPECT_EQ(judge(3, quote), DropReason::kNone);
}

TEST_F(ConnectionIcmp, RelatesToEveryProtocol) {
    for (const std::uint8_t protocol : {std::uint8_t{17}, std::uint8_t{132}}) {
        ASSERT_EQ(rig.send(datagram(From::kA, protocol, 50000, 9000)), DropReason::kNone);
        Bytes quote = ipv4(protocol, key_of(From::kA, protocol, 0, 0));
        append(quote, l4(50000, 9000));
        EXPECT_EQ(judge(3, quote), DropReason::kNone) << unsigned{protocol};
        quote[20] ^= 1U;
        EXPECT_EQ(judge(3, quote), DropReason::kIcmpNoConnection) << unsigned{protocol};
    }
    for (const std::uint8_t protocol :
         {std::uint8_t{33}, std::uint8_t{47}, std::uint8_t{136}}) {  // By addresses.
        Frame frame = datagram(From::kA, protocol, 0, 0);
        frame.parsed.key.flags = kKeyIpv4;
        ASSERT_EQ(rig.send(frame), DropReason::kNone);
        Bytes quote = ipv4(protocol, key_of(From::kA, protocol, 0, 0));
        append(quote, l4(0x2000, 0x0800));
        EXPECT_EQ(judge(3, quote), DropReason::kNone) << unsigned{protocol};
        quote[9] = 50;
        EXPECT_EQ(judge(3, quote), DropReason::kIcmpNoConnection) << unsigned{protocol};
    }
}

TEST_F(ConnectionIcmp, DropsAQuotedLaterFragmentAndBadHeaders) {
    Bytes quote = ipv4(6, key_of(From::kA, 6, 0, 0), 100);
    append(quote, l4(kPortA, kPortB, 1001));
    EXPECT_EQ(judge(3, quote), DropReason::kIcmpNoConnection);
    for (const unsigned first : {0x44U, 0x4fU, 0x65U, 0x05U}) {
        quote = quote_tcp();
        quote[0] = static_cast<std::uint8_t>(first);
        EXPECT_EQ(judge(3, quote), DropReason::kBadIcmp) << first;
    }
}

TEST_F(ConnectionIcmp, WalksQuotedIpv6Extensions) {
    FlowKey forth = key_of(From::kA, 17, 50000, 5353);
    forth.flags = kKeyIpv6 | kKeyPorts;
    Frame frame = udp(From::kA, 50000, 5353);
    frame.parsed.key = forth;
    ASSERT_EQ(rig.send(frame), DropReason::kNone);
    Bytes quote(40 + 8);
    quote[0] = 0x60;
    quote[6] = 60;  // Destination options of 8 bytes, then UDP.
    std::memcpy(&quote[8], forth.source_ip, 16);
    std::memcpy(&quote[24], forth.destination_ip, 16);
    quote[40] = 17;
    append(quote, l4(50000, 5353));
    EXPECT_EQ(judge(1, quote, 58, kKeyIpv6), DropReason::kNone);
    EXPECT_EQ(judge(2, quote, 58, kKeyIpv6), DropReason::kNone);
    EXPECT_EQ(judge(137, quote, 58, kKeyIpv6), DropReason::kBadIcmp);
    EXPECT_EQ(judge(1, quote, 1, kKeyIpv6), DropReason::kBadIcmp);
    for (std::size_t size = 0; size < quote.size(); ++size) {
        EXPECT_EQ(
            judge(1, Bytes(quote.begin(), quote.begin() + static_cast<long>(size)), 58, kKeyIpv6),
            DropReason::kBadIcmp)
            << size;
    }
    quote[41] = 255;  // The extension ends past the frame.
    EXPECT_EQ(judge(1, quote, 58, kKeyIpv6), DropReason::kBadIcmp);
}

}  // namespace
}  // namespace sluice::test
