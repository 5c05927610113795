// SPDX-License-Identifier: Apache-2.0
// TCP windows, resets, options and super-frames (RFC 9293 §3.10.7.4, RFC 5961, RFC 7323).
#include "tcp_rig.h"

namespace sluice::test {
namespace {

using State = ConnectionState;
using TcpWindow = TcpTest;

class TcpReset : public TcpTest {
protected:
    void SetUp() override {  // b sent 100 bytes, a acknowledged them.
        establish();
        pass(b(kPA, 5001, 1001, 100));
        pass(a(kA, 1001, 5101));
    }
    void expect_alive() {
        expect_state(State::kTcpEstablished);
        pass(a(kPA, 1001, 5101, 10));
        pass(b(kA, 5101, 1011));
    }
};

TEST_F(TcpReset, ClosesOnTheExactSequence) {
    pass(with_window(b(kR, 5101), 0));
    expect_state(State::kTcpClose);
    pass(b(kPA, 5101, 1001, 10));  // A straggler; the record dies at its time all the same.
    rig.now_ns += 11 * kSecondNs;
    drop(b(kPA, 5101, 1001, 10), DropReason::kDfwDeny);
}

TEST_F(TcpReset, LivesOnAfterAnInexactOne) {
    pass(b(kR, 5142));
    expect_alive();
}

TEST_F(TcpReset, DropsOneBelowTheWindow) {
    drop(b(kR, 4000), DropReason::kTcpWindow);
    drop(b(kR, 5100), DropReason::kTcpWindow);
    expect_alive();
}

TEST_F(TcpReset, DropsOneAboveTheWindow) {
    drop(b(kR, 5101 + 65536), DropReason::kTcpWindow);
    expect_alive();
}

TEST_F(TcpReset, DropsOneWithZeroAckBehindTheWindow) {
    drop(b(kRA, 3000, 0), DropReason::kTcpWindow);
    expect_alive();
}

TEST_F(TcpReset, DropsOneWithAnImpossibleAck) {
    drop(b(kRA, 5101, 99999), DropReason::kTcpWindow);
    expect_alive();
}

TEST_F(TcpReset, ClosesBehindUnacknowledgedData) {
    pass(b(kPA, 5101, 1001, 19));
    pass(b(kR, 5120));
    expect_state(State::kTcpClose);
}

TEST_F(TcpReset, ClosesAClosingConnectionInexactly) {
    pass(b(kFA, 5101, 1001));
    pass(b(kR, 5150));
    expect_state(State::kTcpClose);
}

TEST_F(TcpWindow, ResetBeforeAGapIsExact) {
    establish();
    pass(b(kPA, 5101, 1001, 100));  // 5001..5100 were lost before they came here.
    pass(a(kA, 1001, 5001));
    pass(b(kRA, 5001, 1001));
    expect_state(State::kTcpClose);
}

TEST_F(TcpWindow, ClientResetsAHalfOpenConnection) {
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    pass(a(kR, 1001));
    expect_state(State::kTcpClose);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 0U);
}

TEST_F(TcpWindow, PassesOldDataAgain) {
    establish();
    pass(b(kPA, 5001, 1001, 1000));
    pass(a(kA, 1001, 6001));
    pass(b(kPA, 6001, 1001, 1000));
    pass(a(kA, 1001, 7001));
    pass(b(kPA, 5001, 1001, 1000));
}

TEST_F(TcpWindow, DropsAnAckFromLongAgoAndLives) {
    establish();
    std::uint32_t next = 1001;
    for (int i = 0; i < 60; ++i) {
        pass(a(kA, next, 5001, 1400));
        next += 1400;
        pass(b(kA, 5001, next));
    }
    drop(b(kA, 5001, 1001), DropReason::kTcpWindow);
    pass(a(kPA, next, 5001, 5));
    pass(b(kA, 5001, next + 5));
}

TEST_F(TcpWindow, DropsAnAckOfWhatWasNeverSent) {
    establish();
    drop(b(kA, 5001, 1002), DropReason::kTcpWindow);
    pass(b(kA, 5001, 1001));
}

TEST_F(TcpWindow, DropsDataBeyondTheWindow) {
    establish();
    pass(b(kPA, 5001 + 65535, 1001, 1));
    drop(b(kPA, 5001 + 65536, 1001, 1), DropReason::kTcpWindow);
}

TEST_F(TcpWindow, DropsDataOlderThanAWindow) {
    establish();
    std::uint32_t next = 5001;
    for (int i = 0; i < 100; ++i) {
        pass(b(kPA, next, 1001, 1000));
        next += 1000;
        pass(a(kA, 1001, next));
    }
    drop(b(kPA, 5001, 1001, 1000), DropReason::kTcpWindow);
}

TEST_F(TcpWindow, TreatsAScaleOf255As14) {
    establish_scaled(255, 255);
    pass(a(kA, 1001, 5001));
    EXPECT_EQ(rig.record().peer[0].scale, 14);
    pass(b(kPA, 1005001, 1001, 10));
    drop(b(kPA, 5001U + (65535U << 14U) + 20U, 1001, 10), DropReason::kTcpWindow);
}

TEST_F(TcpWindow, DoesNotScaleUnlessBothOffer) {
    pass(with_options(a(kS, 1000), {1, 3, 3, 7}));
    pass(b(kSA, 5000, 1001));
    pass(a(kA, 1001, 5001));
    EXPECT_EQ(rig.record().peer[0].scale, 0);
    drop(b(kPA, 5001 + 70000, 1001, 10), DropReason::kTcpWindow);
}

TEST_F(TcpWindow, DoesNotScaleTheWindowOfASyn) {
    establish_scaled(7, 7,
                     1000);  // The last ACK grants 1000 << 7 to b; the SYN/ACK granted 1000 to a.
    drop(a(kPA, 1001 + 1001, 5001, 10), DropReason::kTcpWindow);
    pass(b(kPA, 5001 + 128000, 1001, 10));
}

TEST_F(TcpWindow, PassesKeepalives) {
    establish();
    pass(a(kA, 1000, 5001));
    pass(b(kA, 5001, 1001));
    pass(a(kA, 1000, 5001, 1));
    pass(b(kA, 5001, 1001));
}

TEST_F(TcpWindow, PassesAZeroWindowProbe) {
    establish();
    pass(with_window(b(kA, 5001, 1001), 0));
    pass(a(kPA, 1001, 5001, 1));
    pass(with_window(b(kA, 5001, 1002), 0));
    pass(a(kPA, 1002, 5001, 1));
}

TEST_F(TcpWindow, WrapsAroundZero) {
    const std::uint32_t first = 4294967216U;
    pass(a(kS, first));
    pass(b(kSA, 5000, first + 1U));
    pass(a(kA, first + 1U, 5001));
    pass(a(kPA, first + 1U, 5001, 200));
    pass(b(kA, 5001, first + 201U));
    pass(b(kPA, 5001, first + 201U, 5));
    pass(a(kFA, first + 201U, 5006));
    pass(b(kFA, 5006, first + 202U));
    pass(a(kA, first + 202U, 5007));
    expect_state(State::kTcpTimeWait);
}

TEST_F(TcpWindow, CarriesSuperFrames) {
    establish_scaled(7, 7);
    std::uint32_t next = 1001;
    for (int i = 0; i < 50; ++i) {
        pass(a(kPA, next, 5001, 65495));
        next += 65495;
        pass(b(kA, 5001, next));
    }
}

TEST_F(TcpWindow, CountsLaterFragmentsAsSent) {
    establish();
    Frame head = tcp_frame(b(kPA, 5001, 1001, 484));
    head.parsed.fragment = head.parsed.more_fragments = true;
    EXPECT_EQ(rig.send(head), DropReason::kNone);
    Frame tail = tcp_frame(b(0, 0));
    tail.parsed.fragment = true;
    tail.parsed.fragment_offset = 504;
    tail.parsed.tcp_flags = tail.parsed.tcp_header_size = 0;
    tail.parsed.l4_offset = 0;
    tail.parsed.l4_size = 504;
    EXPECT_EQ(rig.send(tail), DropReason::kNone);
    pass(a(kA, 1001, 5989));
}

TEST_F(TcpWindow, LaterFragmentOpensNothing) {
    Frame tail = tcp_frame(a(0, 0));
    tail.parsed.fragment = true;
    tail.parsed.fragment_offset = 504;
    tail.parsed.tcp_header_size = 0;
    EXPECT_EQ(rig.send(tail), DropReason::kTcpNoConnection);
}

// Malformed options end the search and nothing else. The header sits at the end of its buffer, so
// that ASan sees a read past it.
TEST_F(TcpWindow, ReadsNoOptionPastTheHeader) {
    const std::vector<std::vector<std::uint8_t>> hostile = {
        {3, 0, 0, 0}, {3, 255, 7, 0}, {1, 1, 1, 3}, {3, 2, 3, 3}, {2, 4, 5, 0xb4},
        {1, 1, 3, 3}, {8, 1, 3, 3},   {0, 3, 3, 9}, {5, 5, 3, 3}, {254, 254, 1, 1}};
    std::uint16_t port = 1000;
    for (const auto& options : hostile) {
        Segment syn = with_options(a(kS, 1000), options);
        syn.port_a = port++;
        pass(syn);
        EXPECT_EQ(rig.record().peer[0].flags & kTcpPeerScales, 0);
    }
}

TEST_F(TcpWindow, FindsTheScaleBehindOtherOptions) {
    pass(with_options(a(kS, 1000),
                      {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 9}));
    EXPECT_EQ(rig.record().peer[0].scale, 9);
}

}  // namespace
}  // namespace sluice::test
