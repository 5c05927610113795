// SPDX-License-Identifier: Apache-2.0
// TCP states: opening, closing, reopening (RFC 9293 §3.5, §3.6, §3.10.7).
#include "tcp_rig.h"

namespace sluice::test {
namespace {

using State = ConnectionState;
using TcpState = TcpTest;

TEST_F(TcpState, OpensCarriesDataAndClosesInOrder) {
    establish();
    pass(a(kPA, 1001, 5001, 10));
    pass(b(kA, 5001, 1011));
    pass(a(kFA, 1011, 5001));
    expect_state(State::kTcpFinWait);
    pass(b(kA, 5001, 1012));
    expect_state(State::kTcpCloseWait);
    pass(b(kFA, 5001, 1012));
    expect_state(State::kTcpLastAck);
    pass(a(kA, 1012, 5002));
    expect_state(State::kTcpTimeWait);
}

TEST_F(TcpState, RefusesToOpenWithAnythingButASyn) {
    for (const std::uint8_t flags : {kA, kSA, kFA, kR, kRA, kPA}) {
        drop(a(flags, 1001, 5001), DropReason::kTcpNoConnection);
    }
    EXPECT_EQ(rig.table.size(), 0U);
}

TEST_F(TcpState, LetsPolicyStopAnUnsolicitedSyn) {
    drop(b(kS, 5000), DropReason::kDfwDeny);
    drop(b(kSA, 5000, 1001), DropReason::kDfwDeny);
}

TEST_F(TcpState, AcceptsRepeatedSynAndSynAck) {
    pass(a(kS, 1000));
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    pass(b(kSA, 5000, 1001));
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    pass(a(kA, 1001, 5001));
    pass(b(kSA, 5000, 1001));  // Its copy was late.
    expect_state(State::kTcpEstablished);
    pass(a(kPA, 1001, 5001, 5));
}

TEST_F(TcpState, IsNotPoisonedByAStaleSynAck) {
    pass(a(kS, 1000));
    drop(b(kSA, 145824453, 643160523), DropReason::kTcpState);
    pass(a(kS, 1000));
    pass(b(kSA, 145758918, 1001));
    pass(a(kA, 1001, 145758919));
    pass(a(kPA, 1001, 145758919, 1));
}

TEST_F(TcpState, LetsAChallengeAndItsResetThroughWhileOpening) {
    pass(a(kS, 1000));
    pass(with_window(b(kA, 145824453, 643160523), 240));
    pass(with_window(a(kR, 643160523), 0));
    expect_state(State::kTcpSynSent);
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    pass(a(kA, 1001, 5001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, DropsResponderDataBeforeItsSyn) {
    pass(a(kS, 1000));
    drop(b(kPA, 5001, 1001, 10), DropReason::kTcpState);
    drop(b(kFA, 5001, 1001), DropReason::kTcpState);
}

TEST_F(TcpState, OpensSimultaneously) {
    pass(a(kS, 1000));
    pass(b(kS, 5000));
    expect_state(State::kTcpSynSent2);
    pass(a(kSA, 1000, 5001));
    expect_state(State::kTcpSynReceived);
    pass(b(kSA, 5000, 1001));
    expect_state(State::kTcpEstablished);
    pass(a(kPA, 1001, 5001, 5));
    pass(b(kPA, 5001, 1006, 5));
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 0U);
}

TEST_F(TcpState, OpensSimultaneouslyWithPlainAcks) {
    pass(a(kS, 1000));
    pass(b(kS, 5000));
    drop(a(kA, 1001, 4999), DropReason::kTcpState);
    pass(a(kA, 1001, 5001));
    pass(b(kA, 5001, 1001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, DropsASynFromTheServerOfAnEstablishedConnection) {
    establish();
    drop(b(kS, 5001), DropReason::kTcpState);
    pass(a(kPA, 1001, 5001, 5));
    pass(b(kA, 5001, 1006));
}

TEST_F(TcpState, CarriesDataOnTheSyn) {
    pass(a(kS, 1000, 0, 10));
    pass(b(kSA, 5000, 1011));
    pass(a(kA, 1011, 5001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, CarriesDataOnTheSynThatTheServerIgnores) {
    pass(a(kS, 1000, 0, 10));
    pass(b(kSA, 5000, 1001));
    pass(a(kPA, 1001, 5001, 10));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, CarriesServerDataBeforeTheHandshakeEnds) {
    pass(a(kS, 1000, 0, 10));
    pass(b(kSA, 5000, 1011));
    pass(b(kPA, 5001, 1011, 1400));
    pass(b(kPA, 6401, 1011, 1400));
    pass(a(kA, 1011, 6401));
    expect_state(State::kTcpEstablished);
    pass(a(kA, 1011, 7801));
}

TEST_F(TcpState, DropsClientDataBeforeTheSynAck) {
    pass(a(kS, 1000));
    drop(a(kPA, 1001, 1, 5), DropReason::kTcpState);
    pass(b(kSA, 5000, 1001));
    pass(a(kA, 1001, 5001));
}

TEST_F(TcpState, DropsAHandshakeAckOfSomethingElse) {
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    drop(a(kA, 1001, 5000), DropReason::kTcpState);
    drop(a(kA, 1001, 5002), DropReason::kTcpState);
    expect_state(State::kTcpSynReceived);
    pass(a(kA, 1001, 5001));
}

TEST_F(TcpState, KeepsAHalfClosedConnectionOpenForTheOtherSide) {
    establish();
    pass(a(kFA, 1001, 5001));
    pass(b(kA, 5001, 1002));
    pass(b(kPA, 5001, 1002, 1000));
    pass(a(kA, 1002, 6001));
    expect_state(State::kTcpCloseWait);
    pass(b(kFA, 6001, 1002));
    pass(a(kA, 1002, 6002));
    expect_state(State::kTcpTimeWait);
}

TEST_F(TcpState, ClosesSimultaneously) {
    establish();
    pass(a(kFA, 1001, 5001));
    pass(b(kFA, 5001, 1001));
    expect_state(State::kTcpLastAck);
    pass(a(kA, 1002, 5002));
    expect_state(State::kTcpLastAck);
    pass(b(kA, 5002, 1002));
    expect_state(State::kTcpTimeWait);
}

class TcpTimeWait : public TcpTest {
protected:
    void close() {
        establish();
        pass(a(kFA, 1001, 5001));
        pass(b(kFA, 5001, 1002));
        pass(a(kA, 1002, 5002));
        expect_state(State::kTcpTimeWait);
    }
};

TEST_F(TcpTimeWait, ReopensWithAHigherSequence) {
    close();
    pass(a(kS, 200000));
    expect_state(State::kTcpSynSent);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 1U);
    pass(b(kSA, 300000, 200001));
    pass(a(kA, 200001, 300001));
    expect_state(State::kTcpEstablished);
    EXPECT_EQ(rig.table.size(), 1U);
}

TEST_F(TcpTimeWait, LeavesALowerSequenceToTheServer) {
    close();
    pass(a(kS, 500));
    expect_state(State::kTcpTimeWait);
    drop(b(kSA, 900000, 77), DropReason::kTcpState);
    pass(b(kSA, 900000, 501));
    expect_state(State::kTcpSynReceived);
    pass(a(kA, 501, 900001));
    pass(a(kPA, 501, 900001, 100));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpTimeWait, RepeatsTheLastAck) {
    close();
    pass(b(kFA, 5001, 1002));
    pass(a(kA, 1002, 5002));
    expect_state(State::kTcpTimeWait);
}

TEST_F(TcpTimeWait, AsksPolicyAgainIfTheOtherSideReopens) {
    close();
    drop(b(kS, 4000), DropReason::kTcpState);
    drop(b(kS, 900000), DropReason::kDfwDeny);
    drop(a(kA, 1002, 5002), DropReason::kTcpNoConnection);
}

TEST_F(TcpState, KeepsConnectionsApartByPort) {
    establish();
    Segment wrong = b(kPA, 5001, 1001, 5);
    wrong.port_b = 444;
    drop(wrong, DropReason::kDfwDeny);
    wrong = b(kPA, 5001, 1001, 5);
    wrong.port_a = 40001;
    drop(wrong, DropReason::kDfwDeny);
}

TEST_F(TcpState, RetriesAfterARefusal) {
    pass(a(kS, 1000));
    pass(with_window(b(kRA, 0, 1001), 0));
    expect_state(State::kTcpClose);
    pass(a(kS, 2000));
    pass(b(kSA, 5000, 2001));
    pass(a(kA, 2001, 5001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, IgnoresABlindRefusal) {
    pass(a(kS, 1000));
    drop(b(kRA, 0, 5555), DropReason::kTcpState);
    drop(b(kR, 0), DropReason::kTcpState);
    pass(b(kSA, 5000, 1001));
    pass(a(kA, 1001, 5001));
}

TEST_F(TcpState, FollowsASynWithAnotherSequence) {
    pass(to_port_80(b(kS, 1000)));
    pass(to_port_80(b(kS, 7000)));
    pass(to_port_80(a(kSA, 5000, 7001)));
    pass(to_port_80(b(kA, 7001, 5001)));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, FollowsASecondSynAckOfASynCookieServer) {
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    pass(b(kSA, 8000, 1001));
    pass(a(kA, 1001, 8001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState,
       ReopensByChallengeAndReset) {  // The client lost the connection, the server did not.
    establish();
    pass(b(kPA, 5001, 1001, 100));
    pass(a(kA, 1001, 5101));
    pass(a(kS, 900000));
    expect_state(State::kTcpEstablished);
    pass(b(kA, 5101, 1001));
    pass(a(kR, 1001));
    expect_state(State::kTcpClose);
    pass(a(kS, 900000));
    pass(b(kSA, 70000, 900001));
    pass(a(kA, 900001, 70001));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, ReopensIfBothSidesLostIt) {
    establish();
    pass(a(kS, 900000));
    drop(b(kSA, 70000, 123456), DropReason::kTcpState);
    pass(b(kSA, 70000, 900001));
    expect_state(State::kTcpSynReceived);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 1U);
    pass(a(kA, 900001, 70001));
    pass(b(kPA, 70001, 900001, 1000));
    expect_state(State::kTcpEstablished);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 0U);
}

TEST_F(TcpState, IsRefusedByAServerThatLostIt) {
    establish();
    pass(a(kS, 900000));
    pass(b(kRA, 0, 900001));
    expect_state(State::kTcpClose);
}

TEST_F(TcpState, SurvivesASpuriousSyn) {
    establish();
    pass(a(kS, 900000));
    pass(b(kA, 5001, 1001));
    pass(a(kPA, 1001, 5001, 10));
    drop(b(kSA, 70000, 900001), DropReason::kTcpState);  // The note is gone: a lives.
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpState, PicksUpARunningConnectionOnlyIfNotStrict) {
    rig.tcp_strict = false;
    pass(a(kPA, 50000, 80000, 1000));
    expect_state(State::kTcpEstablished);
    pass(b(kPA, 80000, 51000, 60000));
    pass(b(kPA, 140000, 51000, 60000));  // Its scale is unknown: no window.
    pass(a(kA, 51000, 200000));
    pass(b(kR, 200000));
    expect_state(State::kTcpClose);
}

TEST_F(TcpState, DropsSegmentsWithoutAck) {
    establish();
    drop(b(kTcpPsh, 5001, 0, 5), DropReason::kTcpState);
    drop(b(0, 5001, 0, 5), DropReason::kTcpState);
}

}  // namespace
}  // namespace sluice::test
