// SPDX-License-Identifier: Apache-2.0
// Selective acknowledgements (RFC 2018, RFC 2883) in the window check: the highest edge of a block
// acknowledges like the acknowledgement itself. And the grace window, in which TCP may begin in
// mid-stream.
#include "tcp_rig.h"

namespace sluice::test {
namespace {

using Options = std::vector<std::uint8_t>;
using State = ConnectionState;

const Options kPermitted{4, 2, 1, 1};
const Options kTimestamps{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

struct Block {
    std::uint32_t left;
    std::uint32_t right;
};

Options sack(std::initializer_list<Block> blocks, unsigned extra = 0) {
    Options out{1, 1, 5, static_cast<std::uint8_t>(2 + blocks.size() * 8 + extra)};
    for (const Block& block : blocks) {
        for (const std::uint32_t edge : {block.left, block.right}) {
            for (const unsigned shift : {24U, 16U, 8U, 0U}) {
                out.push_back(static_cast<std::uint8_t>(edge >> shift));
            }
        }
    }
    out.resize(out.size() + extra);
    return out;
}

class TcpSack : public TcpTest {
protected:
    /// a has sent 1001..3001, of which b lacks the first half.
    void lose_one(const Options& of_a = kPermitted, const Options& of_b = kPermitted) {
        pass(with_options(a(kS, 1000), of_a));
        pass(with_options(b(kSA, 5000, 1001), of_b));
        pass(a(kA, 1001, 5001));
        pass(a(kPA, 1001, 5001, 1000));
        pass(a(kPA, 2001, 5001, 1000));
    }
    Segment b_says(const Options& options) { return with_options(b(kA, 5001, 1001), options); }
};

TEST_F(TcpSack, PassesABlockOfWhatWasSent) {
    lose_one();
    pass(b_says(sack({{2001, 3001}})));
    pass(b_says(sack({{2501, 3001}, {2001, 2101}})));
    pass(b_says(sack({{901, 951}, {2001, 3001}})));  // RFC 2883: a duplicate below the ack.
}

TEST_F(TcpSack, DropsABlockOfWhatWasNeverSent) {
    lose_one();
    drop(b_says(sack({{2001, 3002}})), DropReason::kTcpWindow);
    drop(b_says(sack({{2001, 3001}, {900001, 900101}})), DropReason::kTcpWindow);
    pass(b_says(sack({{2001, 3001}})));
    expect_state(State::kTcpEstablished);
}

TEST_F(TcpSack, ADroppedOneLeavesNoTrace) {
    lose_one();
    const Connection before = rig.record();
    drop(with_window(b_says(sack({{2001, 3002}})), 1), DropReason::kTcpWindow);
    EXPECT_EQ(std::memcmp(before.peer, rig.record().peer, sizeof before.peer), 0);
}

TEST_F(TcpSack, IsFoundBehindTimestamps) {
    lose_one();
    Options options = kTimestamps;
    const Options blocks = sack({{2001, 3002}});
    options.insert(options.end(), blocks.begin(), blocks.end());
    drop(b_says(options), DropReason::kTcpWindow);
    pass(b_says(kTimestamps));
}

TEST_F(TcpSack, SaysNothingUnlessBothPermitIt) {
    lose_one(kPermitted, {});
    pass(b_says(sack({{2001, 9000}})));
    rig.now_ns += 200'000 * kSecondNs;
    lose_one({}, kPermitted);
    pass(b_says(sack({{2001, 9000}})));
}

TEST_F(TcpSack, IgnoresWhatIsNoBlock) {
    lose_one();
    pass(b_says(sack({{3001, 2001}})));       // Inside out.
    pass(b_says(sack({{9000, 9000}})));       // Empty.
    pass(b_says(sack({{2001, 9000}}, 4)));    // Half a block more.
    pass(b_says({1, 1, 5, 2}));               // None.
    pass(b_says({1, 1, 5, 10, 0, 0, 0, 0}));  // Past the header.
}

TEST_F(TcpSack, WrapsAroundZero) {
    pass(with_options(a(kS, 0xfffffc17), kPermitted));
    pass(with_options(b(kSA, 5000, 0xfffffc18), kPermitted));
    pass(a(kA, 0xfffffc18, 5001));
    pass(a(kPA, 0xfffffc18, 5001, 1000));
    pass(a(kPA, 0, 5001, 1000));
    pass(with_options(b(kA, 5001, 0xfffffc18), sack({{0, 1000}})));
    drop(with_options(b(kA, 5001, 0xfffffc18), sack({{0, 1001}})), DropReason::kTcpWindow);
}

class TcpGrace : public TcpTest {
protected:
    void start(std::uint64_t grace_s) {
        ConnectionLimits limits;
        limits.grace_ns = grace_s * kSecondNs;
        rig.table.configure(kTimeouts, limits);
        rig.table.sweep(0, 8, rig.now_ns);
    }
};

TEST_F(TcpGrace, PicksUpWhatRanBeforeTheStart) {
    start(30);
    rig.now_ns += 29 * kSecondNs;
    pass(a(kPA, 50000, 80000, 1000));
    expect_state(State::kTcpEstablished);
    pass(b(kPA, 80000, 51000, 60000));
}

TEST_F(TcpGrace, HasBegunBeforeTheFirstSweep) {
    ConnectionLimits limits;
    limits.grace_ns = 30 * kSecondNs;
    rig.table.configure(kTimeouts, limits);
    pass(a(kPA, 50000, 80000, 1000));
}

TEST_F(TcpGrace, EndsAtItsTimeAndIsNoneByDefault) {
    start(30);
    rig.now_ns += 30 * kSecondNs;
    drop(a(kPA, 50000, 80000, 1000), DropReason::kTcpNoConnection);
    start(0);
    drop(a(kPA, 50000, 80000, 1000), DropReason::kTcpNoConnection);
}

TEST_F(TcpGrace, IsForPolicyToAllow) {
    start(30);
    drop(b(kPA, 80000, 50000, 10), DropReason::kDfwDeny);
    pass(to_port_80(b(kPA, 80000, 50000, 10)));
}

TEST_F(TcpGrace, BeginsWithNeitherEndNorAnswer) {
    start(30);
    rig.tcp_strict = false;
    drop(a(kR, 50000), DropReason::kTcpNoConnection);
    drop(a(kRA, 50000, 80000), DropReason::kTcpNoConnection);
    drop(a(kFA, 50000, 80000), DropReason::kTcpNoConnection);
    drop(a(kSA, 50000, 80000), DropReason::kTcpNoConnection);
    drop(a(kTcpPsh, 50000, 0, 10), DropReason::kTcpNoConnection);
    pass(a(kA, 50000, 80000));
}

}  // namespace
}  // namespace sluice::test
