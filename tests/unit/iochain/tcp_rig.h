// SPDX-License-Identifier: Apache-2.0
// TcpTest: the fixture of the TCP tracking tests. Segments read like a packet trace: a(kS, 1000),
// b(kSA, 5000, 1001).
#pragma once

#include <gtest/gtest.h>

#include "connection_rig.h"

namespace sluice::test {

inline constexpr std::uint8_t kS = kTcpSyn;
inline constexpr std::uint8_t kSA = kTcpSyn | kTcpAck;
inline constexpr std::uint8_t kA = kTcpAck;
inline constexpr std::uint8_t kPA = kTcpPsh | kTcpAck;
inline constexpr std::uint8_t kFA = kTcpFin | kTcpAck;
inline constexpr std::uint8_t kR = kTcpRst;
inline constexpr std::uint8_t kRA = kTcpRst | kTcpAck;

class TcpTest : public testing::Test {
protected:
    static Segment a(std::uint8_t flags, std::uint32_t sequence, std::uint32_t ack = 0,
                     std::uint32_t data_size = 0) {
        return Segment{From::kA, flags, sequence, ack, data_size};
    }
    static Segment b(std::uint8_t flags, std::uint32_t sequence, std::uint32_t ack = 0,
                     std::uint32_t data_size = 0) {
        return Segment{From::kB, flags, sequence, ack, data_size};
    }
    static Segment with_window(Segment segment, std::uint16_t window) {
        segment.window = window;
        return segment;
    }
    static Segment with_options(Segment segment, std::vector<std::uint8_t> options) {
        segment.options = std::move(options);
        return segment;
    }
    static Segment to_port_80(Segment segment) {  // b is the client, a:80 the server.
        segment.port_a = 80;
        segment.port_b = 40000;
        return segment;
    }

    void pass(const Segment& segment) {
        ++step_;
        EXPECT_EQ(to_string(rig.send(segment)), to_string(DropReason::kNone))
            << "segment " << step_;
    }
    void drop(const Segment& segment, DropReason reason) {
        ++step_;
        EXPECT_EQ(to_string(rig.send(segment)), to_string(reason)) << "segment " << step_;
    }
    void expect_state(ConnectionState state) {
        EXPECT_EQ(static_cast<int>(rig.state()), static_cast<int>(state));
    }

    /// a opens: a's next byte is 1001, b's is 5001.
    void establish() {
        pass(a(kS, 1000));
        pass(b(kSA, 5000, 1001));
        pass(a(kA, 1001, 5001));
        expect_state(ConnectionState::kTcpEstablished);
    }
    /// The same with window scale options.
    void establish_scaled(std::uint8_t shift_a, std::uint8_t shift_b,
                          std::uint16_t window = 65535) {
        pass(with_window(with_options(a(kS, 1000), {2, 4, 5, 0xb4, 3, 3, shift_a, 0}), window));
        pass(with_window(with_options(b(kSA, 5000, 1001), {1, 3, 3, shift_b}), window));
        pass(with_window(a(kA, 1001, 5001), window));
    }

    ConnectionRig rig;

private:
    int step_ = 0;
};

}  // namespace sluice::test
