// SPDX-License-Identifier: Apache-2.0
// A connection that another host tracked goes on here as if it had always been here: state, window,
// time, counts; and what came early, or twice, or too late does no harm.
#include "sluice/iochain/connection_import.h"

#include "tcp_rig.h"

namespace sluice::test {
namespace {

constexpr PortIndex kVtep{9};

class ConnectionImportTest : public TcpTest {
protected:
    // What `rig` knows of its last connection, as a row for another host.
    ConnectionImport row() {
        const Connection record = rig.record();
        ConnectionImport out;
        out.tuple.tuple = record.tuple;
        out.tuple.from_a = (record.flags & kConnOpenerIsA) != 0;
        out.tuple.may_open = true;
        out.opener_port = kPortOfA;
        out.responder_port = kVtep;
        out.opener_stateful = true;
        out.state = record.state;
        out.remaining_ns = record.expires_ns - rig.now_ns;
        out.peer[0] = record.peer[0];
        out.peer[1] = record.peer[1];
        out.packets = record.packets;
        return out;
    }
    ConnectionImported import(const ConnectionImport& from) {
        const ConnectionImported done = import_connection(there.table, 0, from, there.now_ns);
        if (done.handle.is_set()) { there.last = done.handle; }
        return done;
    }
    void passes_there(const Segment& segment) {
        EXPECT_EQ(to_string(there.send(segment)), to_string(DropReason::kNone));
    }
    void drops_there(const Segment& segment, DropReason reason) {
        EXPECT_EQ(to_string(there.send(segment)), to_string(reason));
    }

    ConnectionRig there;
};

TEST_F(ConnectionImportTest, GoesOnInItsWindow) {
    establish();
    pass(a(kPA, 1001, 5001, 500));
    const ConnectionImported done = import(row());
    EXPECT_TRUE(done.is_new);
    EXPECT_EQ(there.state(), ConnectionState::kTcpEstablished);
    passes_there(b(kPA, 5001, 1501, 300));
    passes_there(a(kA, 1501, 5301));
    drops_there(a(kPA, 900000, 5301, 10), DropReason::kTcpWindow);
    EXPECT_EQ(there.record().flags & kConnLiberal, 0) << "windows are checked";
    EXPECT_EQ(there.table.size(), 1U);
    EXPECT_EQ(there.table.size_of_port(kPortOfA), 1U);
    EXPECT_EQ(there.table.half_open_of_port(kPortOfA), 0U);
}

TEST_F(ConnectionImportTest, LastsAsLongAsItWould) {
    establish();
    ConnectionImport one = row();
    one.remaining_ns = 7 * kSecondNs;
    import(one);
    there.now_ns += 6 * kSecondNs;
    EXPECT_TRUE(there.table.find(one.tuple, there.now_ns).is_set());
    there.now_ns += 2 * kSecondNs;
    EXPECT_FALSE(there.table.find(one.tuple, there.now_ns).is_set());
}

TEST_F(ConnectionImportTest, AHandshakeIsFinishedHere) {
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    import(row());
    EXPECT_EQ(there.table.half_open_of_port(kPortOfA), 1U);
    passes_there(a(kA, 1001, 5001));
    EXPECT_EQ(there.state(), ConnectionState::kTcpEstablished);
    EXPECT_EQ(there.table.half_open_of_port(kPortOfA), 0U);
}

TEST_F(ConnectionImportTest, TheSecondRowRenewsTheFirst) {
    pass(a(kS, 1000));
    import(row());
    pass(b(kSA, 5000, 1001));
    pass(a(kA, 1001, 5001));
    pass(b(kPA, 5001, 1001, 1000));
    const ConnectionImported done = import(row());
    EXPECT_FALSE(done.is_new);
    EXPECT_EQ(there.state(), ConnectionState::kTcpEstablished);
    EXPECT_EQ(there.table.size(), 1U);
    EXPECT_EQ(there.table.size_of_port(kPortOfA), 1U);
    EXPECT_EQ(there.table.half_open_of_port(kPortOfA), 0U);
    passes_there(a(kA, 1001, 6001));
}

TEST_F(ConnectionImportTest, ARowThatComesTooLateTakesNothingBack) {
    establish();
    const ConnectionImport early = row();
    import(early);
    passes_there(a(kPA, 1001, 5001, 4000));
    passes_there(b(kFA, 5001, 5001));
    EXPECT_EQ(import(early).handle, there.last) << "in place: handles stay";
    EXPECT_EQ(there.record().peer[0].end, 5001U);
    EXPECT_EQ(there.state(), ConnectionState::kTcpFinWait);
}

TEST_F(ConnectionImportTest, AHandshakeThatWentOnHereIsNotTakenBack) {
    pass(a(kS, 1000));
    pass(b(kSA, 5000, 1001));
    const ConnectionImport early = row();
    import(early);
    passes_there(a(kPA, 1001, 5001, 100));
    EXPECT_EQ(there.state(), ConnectionState::kTcpEstablished);
    import(early);
    EXPECT_EQ(there.state(), ConnectionState::kTcpEstablished);
    EXPECT_EQ(there.record().peer[0].end, 1101U);
    EXPECT_EQ(there.table.half_open_of_port(kPortOfA), 0U);
}

TEST_F(ConnectionImportTest, ASideThatMovesGetsItsNewPort) {
    establish();
    ConnectionImport one = row();
    one.opener_port = kVtep;
    one.opener_stateful = false;
    one.responder_port = PortIndex{4};
    one.responder_stateful = true;
    one.responder_rule = RuleId{77};
    import(one);
    one.opener_port = kPortOfA;  // The opener comes to the responder's host.
    one.responder_rule = RuleId{};
    one.responder_stateful = false;
    const ConnectionImported done = import(one);
    EXPECT_FALSE(done.is_new);
    const Connection record = there.record();
    EXPECT_EQ(record.opener_port, kPortOfA);
    EXPECT_EQ(record.responder_rule, RuleId{77}) << "judged here before";
    EXPECT_NE(record.flags & kConnResponderStateful, 0);
    EXPECT_EQ(there.table.size_of_port(kPortOfA), 1U);
    EXPECT_EQ(there.table.size_of_port(kVtep), 0U);
    EXPECT_EQ(there.table.size(), 1U);
}

TEST_F(ConnectionImportTest, LimitsHoldForItToo) {
    establish();
    ConnectionRig full(256, ConnectionLimits{1, 0, 0, 0});
    ConnectionImport one = row();
    EXPECT_TRUE(import_connection(full.table, 0, one, full.now_ns).handle.is_set());
    one.tuple.tuple.port_b = Be16::from_host(9);
    const ConnectionImported done = import_connection(full.table, 0, one, full.now_ns);
    EXPECT_FALSE(done.handle.is_set());
    EXPECT_EQ(done.reason, DropReason::kConnectionLimit);
}

TEST_F(ConnectionImportTest, DatagramsGoOn) {
    EXPECT_EQ(rig.send(udp(From::kA, 40000, 53)), DropReason::kNone);
    EXPECT_EQ(rig.send(udp(From::kB, 53, 40000)), DropReason::kNone);
    import(row());
    EXPECT_EQ(there.state(), ConnectionState::kUdpTwoWay);
    EXPECT_EQ(there.send(udp(From::kB, 53, 40000)), DropReason::kNone);
}

}  // namespace
}  // namespace sluice::test
