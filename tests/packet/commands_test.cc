// SPDX-License-Identifier: Apache-2.0
// What control asks of a worker: fold, flush, list.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

Bytes question(std::uint16_t port) { return udp(v4(kVm1, kVm2), port, 53); }

TEST(Commands, FoldBringsTheBooksUpToNow) {
    Pipeline p(two_vms());
    for (int i = 0; i < 7; ++i) { p.send("vm1", question(1000)); }
    p.send("vm1", Bytes(5, 0)).step();
    datapath::FoldCommand command;
    p.run(0, command);
    EXPECT_EQ(command.received, 8u);
    EXPECT_EQ(command.sent, 7u);
    EXPECT_EQ(command.dropped, 1u);
    EXPECT_EQ(command.created + command.consumed + command.handed_over + command.taken_over, 0u);
}

TEST(Commands, FoldOfManyFlowsTakesMoreThanOnePoll) {
    Pipeline p(two_vms());
    for (std::uint16_t port = 1001; port <= 2000; ++port) { p.send("vm1", question(port)); }
    p.step();
    datapath::FoldCommand command;
    ASSERT_TRUE(p.dataplane().submit(0, command));
    p.poll(0);
    EXPECT_FALSE(command.is_finished());
    p.step();
    EXPECT_TRUE(command.is_finished());
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm).packets, 1000u);
}

TEST(Commands, FlushConnectionsOfOneVnicOrAll) {
    Pipeline p(three_vms());
    p.send("vm1", question(1))
        .send("vm1", question(2))
        .send("vm3", udp(v4(kVm3, kVm2), 5, 6))
        .step();
    EXPECT_EQ(p.flush_connections("vm3"), 1u);
    EXPECT_EQ(p.connections().size(), 2u);
    EXPECT_EQ(p.flush_connections("vm2"), 2u) << "the responder's too";
    EXPECT_EQ(p.flush_connections(), 0u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Commands, FlushFlowsForgetsProgramsAndKeepsConnections) {
    Pipeline p(two_vms());
    for (std::uint16_t port = 1001; port <= 1600; ++port) { p.send("vm1", question(port)); }
    p.step();
    datapath::FlushFlows command;
    p.run(0, command);
    EXPECT_EQ(command.removed, 600u);
    EXPECT_EQ(p.flow_count(), 0u);
    EXPECT_EQ(p.connections().size(), 600u);
    p.send("vm1", question(1001)).step();
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{601, 0}));
}

TEST(Commands, ListFlowsGivesThoseWithTheMostPackets) {
    Pipeline p(two_vms());
    for (std::uint16_t port = 1; port <= 50; ++port) {
        for (std::uint16_t i = 0; i < port; ++i) { p.send("vm1", question(port)); }
    }
    p.step();
    datapath::ListFlows command(3);
    p.run(0, command);
    ASSERT_EQ(command.rows.size(), 3u);
    std::uint64_t packets = 0;
    for (const auto& row : command.rows) { packets += row.state.packets; }
    EXPECT_EQ(packets, 50u + 49u + 48u);
}

TEST(Commands, BeyondTheQueueAreRefused) {
    Pipeline p(two_vms());
    std::vector<std::unique_ptr<datapath::FoldCommand>> commands;
    bool is_full = false;
    while (!is_full) {
        commands.push_back(std::make_unique<datapath::FoldCommand>());
        is_full = !p.dataplane().submit(0, *commands.back());
        ASSERT_LE(commands.size(), 1000u);
    }
    EXPECT_GT(commands.size(), kWorkerCommandMax);
    p.step();
    commands.pop_back();
    for (const auto& command : commands) { EXPECT_TRUE(command->is_finished()); }
}

}  // namespace
}  // namespace sluice::test
