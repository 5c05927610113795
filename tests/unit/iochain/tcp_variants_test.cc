// SPDX-License-Identifier: Apache-2.0
// Less common but legal TCP, and its forged neighbours: windows that shrink and close, ends out of
// order, resets in every state, half-open discovery (RFC 9293 §3.5, §3.8, §3.10; RFC 5961).
#include "tcp_rig.h"

namespace sluice::test {
namespace {

using State = ConnectionState;

class TcpVariants : public TcpTest {};

TEST_F(TcpVariants, TheLastByteOfTheWindowAndOneBeyond) {
    pass(a(kS, 1000));
    pass(with_window(b(kSA, 5000, 1001), 1000));
    pass(a(kA, 1001, 5001));
    pass(a(kPA, 2000, 5001, 1));
    pass(a(kPA, 2001, 5001, 1));  // A probe of the closed window begins at its edge.
    drop(a(kPA, 2002, 5001, 1), DropReason::kTcpWindow);
}

TEST_F(TcpVariants, AWindowThatShrinksLeavesWhatIsInFlight) {
    establish();
    pass(b(kA, 5001, 1001));
    pass(with_window(b(kA, 5001, 1001), 100));  // RFC 9293 §3.8.6: do not, but be robust.
    pass(a(kPA, 1001, 5001, 1400));
    pass(a(kPA, 60000, 5001, 1000));
    drop(a(kPA, 66537, 5001, 1), DropReason::kTcpWindow);
}

TEST_F(TcpVariants, AClosedWindowIsProbedAndOpens) {
    pass(a(kS, 1000));
    pass(with_window(b(kSA, 5000, 1001), 10));
    pass(a(kPA, 1001, 5001, 10));
    pass(with_window(b(kA, 5001, 1011), 0));
    for (int i = 0; i < 5; ++i) {
        pass(a(kA, 1011, 5001, 1));
        pass(with_window(b(kA, 5001, 1011), 0));
    }
    drop(a(kPA, 1013, 5001, 1), DropReason::kTcpWindow);
    pass(with_window(b(kA, 5001, 1012), 4000));
    pass(a(kPA, 1012, 5001, 1400));
}

TEST_F(TcpVariants, AScaleOfOneSideOnlyCountsForNeither) {
    pass(with_window(with_options(a(kS, 1000), {1, 3, 3, 7}), 1024));
    pass(with_window(b(kSA, 5000, 1001), 1024));
    pass(with_window(a(kA, 1001, 5001), 1024));
    drop(b(kPA, 6026, 1001, 1), DropReason::kTcpWindow);
    pass(b(kPA, 6025, 1001, 1));
}

TEST_F(TcpVariants, UrgentDataAndCongestionFlagsAreData) {
    pass(a(kTcpSyn | kTcpEce | kTcpCwr, 1000));
    pass(b(kTcpSyn | kTcpAck | kTcpEce, 5000, 1001));
    pass(a(kA, 1001, 5001));
    pass(a(kTcpAck | kTcpUrg | kTcpPsh, 1001, 5001, 3));
    pass(b(kTcpAck | kTcpEce, 5001, 1004));
    pass(a(kTcpAck | kTcpCwr, 1004, 5001, 10));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpVariants, AFinThatOvertakesItsData) {
    establish();
    pass(a(kFA, 2001, 5001));  // 1001..2001 are on the way.
    expect_state(State::kTcpFinWait);
    pass(b(kA, 5001, 1001));
    expect_state(State::kTcpFinWait);
    pass(a(kPA, 1001, 5001, 1000));
    pass(b(kA, 5001, 2002));
    expect_state(State::kTcpCloseWait);
}

TEST_F(TcpVariants, AFinWithDataSentAgain) {
    establish();
    pass(a(kTcpFin | kTcpPsh | kTcpAck, 1001, 5001, 100));
    pass(a(kTcpFin | kTcpPsh | kTcpAck, 1001, 5001, 100));
    pass(a(kPA, 1001, 5001, 50));
    pass(b(kA, 5001, 1102));
    expect_state(State::kTcpCloseWait);
    pass(b(kPA, 5001, 1102, 1000));
    pass(a(kA, 1102, 6001));
    pass(b(kFA, 6001, 1102));
    pass(b(kFA, 6001, 1102));
    expect_state(State::kTcpLastAck);
    pass(a(kA, 1102, 6002));
    expect_state(State::kTcpTimeWait);
}

TEST_F(TcpVariants, AResetEndsEachClosingState) {
    establish();
    pass(a(kFA, 1001, 5001));
    drop(b(kR, 4000), DropReason::kTcpWindow);
    expect_state(State::kTcpFinWait);
    pass(b(kR, 5001));
    expect_state(State::kTcpClose);
    rig.now_ns += 20 * kSecondNs;
    establish();
    pass(a(kFA, 1001, 5001));
    pass(b(kA, 5001, 1002));
    pass(a(kR, 1002));
    expect_state(State::kTcpClose);
    rig.now_ns += 20 * kSecondNs;
    establish();
    pass(a(kFA, 1001, 5001));
    pass(b(kFA, 5001, 1002));
    pass(b(kRA, 5002, 1002));
    expect_state(State::kTcpClose);
}

TEST_F(TcpVariants, AnEndWithoutABeginningWhileOpening) {
    pass(a(kS, 1000));
    drop(a(kFA, 1001, 5001), DropReason::kTcpState);
    drop(b(kFA, 5000, 1001), DropReason::kTcpState);
    drop(b(kR, 0), DropReason::kTcpState);
    expect_state(State::kTcpSynSent);
    pass(b(kSA, 5000, 1001));
    pass(a(kFA, 1001, 5001));
    pass(b(kA, 5001, 1002));
    expect_state(State::kTcpCloseWait);
}

TEST_F(TcpVariants, TheOpenerGivesUp) {
    pass(a(kS, 1000));
    pass(a(kR, 1001));
    expect_state(State::kTcpClose);
    pass(a(kS, 90000));
    pass(b(kSA, 5000, 90001));
    pass(a(kR, 90001));
    expect_state(State::kTcpClose);
}

TEST_F(TcpVariants, ASimultaneousOpenWithSynsSentAgain) {
    pass(a(kS, 1000));
    pass(b(kS, 5000));
    pass(a(kS, 1000));
    pass(b(kS, 5000));
    expect_state(State::kTcpSynSent2);
    drop(b(kSA, 5000, 1002), DropReason::kTcpState);
    pass(b(kSA, 5000, 1001));
    pass(a(kSA, 1000, 5001));
    expect_state(State::kTcpEstablished);
    pass(a(kPA, 1001, 5001, 10));
    pass(b(kA, 5001, 1011));
}

TEST_F(TcpVariants, AChallengeEachWay) {
    establish();
    pass(b(kPA, 5001, 1001, 100));
    pass(a(kA, 1001, 5101));
    pass(b(kR, 5200));  // In the window, not exact: a challenges, b answers exactly or not at all.
    pass(a(kA, 1001, 5101));
    expect_state(State::kTcpEstablished);
    pass(a(kR, 1100));
    pass(b(kA, 5101, 1001));
    expect_state(State::kTcpEstablished);
    pass(a(kR, 1001));
    expect_state(State::kTcpClose);
}

TEST_F(TcpVariants, AHalfOpenConnectionIsDiscovered) {
    establish();
    pass(a(kS, 70000));       // a came up again and knows nothing.
    pass(b(kA, 5001, 1001));  // The challenge (RFC 9293 §3.5.1),
    pass(a(kR, 1001));        // its answer,
    expect_state(State::kTcpClose);
    pass(a(kS, 70000));  // and the next attempt.
    pass(b(kSA, 9000, 70001));
    pass(a(kA, 70001, 9001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpVariants, AForgedSynFromEitherSideChangesNothing) {
    establish();
    pass(a(kS, 0x7fffffff));
    drop(b(kS, 123456), DropReason::kTcpState);
    drop(b(kSA, 123456, 1001), DropReason::kTcpState);
    pass(a(kPA, 1001, 5001, 100));
    pass(b(kA, 5001, 1101));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpVariants, KeepalivesOfAHalfClosedConnection) {
    establish();
    pass(a(kFA, 1001, 5001));
    pass(b(kA, 5001, 1002));
    pass(b(kA, 5000, 1002));     // One below, empty (RFC 9293 §3.8.4),
    pass(b(kA, 5000, 1002, 1));  // or with a byte of garbage.
    pass(a(kA, 1002, 5001));
    expect_state(State::kTcpCloseWait);
}

TEST_F(TcpVariants, TimeWaitTakesStragglersAndNoForgery) {
    establish();
    pass(a(kFA, 1001, 5001));
    pass(b(kFA, 5001, 1002));
    pass(a(kA, 1002, 5002));
    expect_state(State::kTcpTimeWait);
    pass(b(kFA, 5001, 1002));
    pass(a(kA, 1002, 5002));
    drop(b(kPA, 200000, 1002, 10), DropReason::kTcpWindow);
    drop(b(kA, 5002, 90000), DropReason::kTcpWindow);
    drop(b(kR, 4000), DropReason::kTcpWindow);
    expect_state(State::kTcpTimeWait);
}

TEST_F(TcpVariants, WrapsWhileItCloses) {
    pass(a(kS, 0xfffffffe));
    pass(b(kSA, 0xfffffff0, 0xffffffff));
    pass(a(kA, 0xffffffff, 0xfffffff1));
    pass(b(kPA, 0xfffffff1, 0xffffffff, 15));
    pass(a(kFA, 0xffffffff, 0));
    pass(b(kFA, 0, 0));
    pass(a(kA, 0, 1));
    expect_state(State::kTcpTimeWait);
}

}  // namespace
}  // namespace sluice::test
