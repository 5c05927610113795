// SPDX-License-Identifier: Apache-2.0
// LearnedTable: rows, limits, shares, expiry, change stamps; and several workers at once.
#include "sluice/iochain/learned_table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kSecond = 1000000000;
constexpr std::uint64_t kNow = 1000 * kSecond;
constexpr DomainId kDomain{3}, kOther{4};
constexpr PortIndex kA{1}, kB{2};

class Arena {
public:
    explicit Arena(std::size_t bytes) : bytes_(bytes) {
        memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    ~Arena() { munmap(memory_, bytes_); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    [[nodiscard]] void* get() const { return memory_; }

private:
    std::size_t bytes_;
    void* memory_;
};

struct Rig {
    explicit Rig(std::uint32_t capacity = 1024, unsigned workers = 1)
        : arena(LearnedTable::arena_bytes(capacity)), table(arena.get(), capacity, workers, 7) {
        table.pass_time(kNow);
    }
    LearnResult mac(std::uint32_t number, PortIndex port, std::uint32_t limit = 0,
                    std::uint64_t expires_ns = 0, std::uint64_t now_ns = kNow) {
        LearnedValue value;
        value.port = port;
        value.expires_ns = expires_ns;
        return table.learn(key(number), value, limit, now_ns);
    }
    static LearnedKey key(std::uint32_t number) {
        return LearnedKey::mac(kDomain, address(number));
    }
    static MacAddr address(std::uint32_t number) {
        MacAddr mac{{0x02, 0, 0, 0, 0, 0}};
        for (unsigned i = 0; i < 4; ++i) {
            mac.bytes[2 + i] = static_cast<std::uint8_t>(number >> (8U * (3U - i)));
        }
        return mac;
    }
    PortIndex where(std::uint32_t number, std::uint64_t now_ns = kNow) const {
        const auto value = table.find(key(number), now_ns);
        return value ? value->port : kNoPort;
    }
    Arena arena;
    LearnedTable table;
};

LearnResult bind(LearnedTable& table, PortIndex port, const IpAddr& ip, std::uint8_t mac_end,
                 std::uint32_t limit = 0) {
    LearnedValue value;
    value.mac.bytes = {2, 0, 0, 0, 0, mac_end};
    value.source = LearnedSource::kArp;
    return table.learn(LearnedKey::binding(kDomain, port, ip), value, limit, kNow);
}

TEST(LearnedTable, FindsWhatItLearnedAndNothingElse) {
    Rig rig;
    EXPECT_EQ(rig.mac(1, kA), LearnResult::kNew);
    EXPECT_EQ(rig.where(1), kA);
    EXPECT_EQ(rig.where(2), kNoPort);
    EXPECT_FALSE(rig.table.find(LearnedKey::mac(kOther, Rig::address(1)), kNow));
    EXPECT_EQ(rig.table.size(), 1u);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kMac), 1u);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kBinding), 0u);
}

TEST(LearnedTable, RefreshKeepsTheFirstSightAndBumpsNothing) {
    Rig rig;
    rig.mac(1, kA);
    const std::uint32_t epoch = rig.table.epoch();
    EXPECT_EQ(rig.mac(1, kA, 1, 0, kNow + 5), LearnResult::kRefreshed) << "a limit stops new ones";
    EXPECT_EQ(rig.table.epoch(), epoch);
    EXPECT_EQ(rig.table.find(Rig::key(1), kNow)->first_seen_ns, kNow);
    EXPECT_EQ(rig.table.find(Rig::key(1), kNow)->last_seen_ns, kNow + 5);
}

TEST(LearnedTable, AMoveChangesThePortItsCountsAndTheEpoch) {
    Rig rig;
    rig.mac(1, kA);
    const std::uint32_t epoch = rig.table.epoch();
    EXPECT_EQ(rig.mac(1, kB), LearnResult::kMoved);
    EXPECT_EQ(rig.where(1), kB);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kMac), 0u);
    EXPECT_EQ(rig.table.count(kB, LearnedKind::kMac), 1u);
    EXPECT_EQ(rig.table.epoch(), epoch + 1);
    EXPECT_EQ(rig.table.size(), 1u);
}

TEST(LearnedTable, TheLimitOfAPortHoldsForNewAndMovedRows) {
    Rig rig;
    EXPECT_EQ(rig.mac(1, kA, 2), LearnResult::kNew);
    EXPECT_EQ(rig.mac(2, kA, 2), LearnResult::kNew);
    const std::uint32_t epoch = rig.table.epoch();
    EXPECT_EQ(rig.mac(3, kA, 2), LearnResult::kLimit);
    EXPECT_EQ(rig.mac(4, kB, 2), LearnResult::kNew);
    EXPECT_EQ(rig.mac(4, kA, 2), LearnResult::kLimit);
    EXPECT_EQ(rig.where(4), kB) << "a refused move leaves the row";
    EXPECT_EQ(rig.table.epoch(), epoch + 1);
    rig.table.forget(Rig::key(1));
    EXPECT_EQ(rig.mac(3, kA, 2), LearnResult::kNew);
}

TEST(LearnedTable, OnePortGetsNoMoreThanWhatIsLeftToTheOthers) {
    Rig rig(100);
    std::uint32_t taken = 0;
    while (rig.mac(taken, kA) == LearnResult::kNew) { ++taken; }
    EXPECT_EQ(taken, 50u);
    EXPECT_EQ(rig.mac(taken, kA), LearnResult::kFull);
    EXPECT_EQ(rig.mac(0, kA), LearnResult::kRefreshed) << "what is there may stay";
    std::uint32_t others = 0;
    while (rig.mac(1000 + others, kB) == LearnResult::kNew) { ++others; }
    EXPECT_EQ(others, 25u);
}

TEST(LearnedTable, BindingsAreLimitedAFamily) {
    Rig rig;
    const IpAddr v4 = IpAddr::v4(0x0a000001);
    const IpAddr v6 = IpAddr::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 1});
    EXPECT_EQ(bind(rig.table, kA, v4, 1, 1), LearnResult::kNew);
    EXPECT_EQ(bind(rig.table, kA, v6, 1, 1), LearnResult::kNew);
    EXPECT_EQ(bind(rig.table, kA, IpAddr::v4(0x0a000002), 1, 1), LearnResult::kLimit);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kBinding), 2u);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kBinding, IpFamily::kV6), 1u);
    EXPECT_EQ(bind(rig.table, kA, v4, 9), LearnResult::kMoved) << "another MAC";
    EXPECT_EQ(rig.table.find(LearnedKey::binding(kDomain, kA, v4), kNow)->mac.bytes[5], 9);
}

TEST(LearnedTable, RowsOfOneAddressAreFoundTogether) {
    Rig rig;
    const IpAddr v4 = IpAddr::v4(0x0a000001);
    bind(rig.table, kA, v4, 1);
    bind(rig.table, kB, v4, 2);
    bind(rig.table, kB, IpAddr::v4(0x0a000002), 2);
    std::set<std::uint16_t> ports;
    rig.table.for_each_port(LearnedKey::binding(kDomain, PortIndex{0}, v4), kNow,
                            [&](const LearnedRow& row) { ports.insert(row.owner().value); });
    EXPECT_EQ(ports, (std::set<std::uint16_t>{kA.value, kB.value}));
}

TEST(LearnedTable, PortEpochsFollowTheBindingsOfThePortOnly) {
    Rig rig;
    std::uint32_t seen = rig.table.epoch();
    rig.mac(1, kA);
    EXPECT_FALSE(rig.table.has_changed(kA, seen)) << "a MAC is no binding";
    bind(rig.table, kA, IpAddr::v4(1), 1);
    EXPECT_TRUE(rig.table.has_changed(kA, seen));
    EXPECT_FALSE(rig.table.has_changed(kB, seen));
    seen = rig.table.epoch();
    EXPECT_FALSE(rig.table.has_changed(kA, seen));
    rig.table.forget(LearnedKey::binding(kDomain, kA, IpAddr::v4(1)));
    EXPECT_TRUE(rig.table.has_changed(kA, seen));
}

PortIndex holder(const Rig& rig, std::uint64_t now_ns = kNow) {
    return rig.table.holder(kDomain, IpAddr::v4(0x0a000001), now_ns);
}

LearnResult claim(Rig& rig, PortIndex port, LearnedSource source, std::uint64_t now_ns,
                  std::uint64_t expires_ns = 0, std::uint32_t limit = 0) {
    LearnedValue value;
    value.source = source;
    value.expires_ns = expires_ns;
    return rig.table.learn(LearnedKey::binding(kDomain, port, IpAddr::v4(0x0a000001)), value, limit,
                           now_ns);
}

TEST(LearnedTable, TheOldestClaimHoldsTheAddress) {
    Rig rig;
    EXPECT_EQ(holder(rig), kNoPort);
    claim(rig, kB, LearnedSource::kArp, kNow);
    claim(rig, kA, LearnedSource::kArp, kNow + 1);
    claim(rig, kB, LearnedSource::kArp, kNow + 2);
    EXPECT_EQ(holder(rig), kB);
    EXPECT_EQ(rig.table.holder(kOther, IpAddr::v4(0x0a000001), kNow), kNoPort);
    EXPECT_EQ(rig.table.holder(kDomain, IpAddr::v4(0x0a000002), kNow), kNoPort);
}

TEST(LearnedTable, ALeaseComesBeforeAnOlderClaim) {
    Rig rig;
    claim(rig, kB, LearnedSource::kArp, kNow);
    claim(rig, kA, LearnedSource::kArp, kNow + 1);
    const std::uint32_t seen = rig.table.epoch();
    EXPECT_EQ(claim(rig, kA, LearnedSource::kDhcp, kNow + 2, kNow + 9 * kSecond),
              LearnResult::kRefreshed);
    EXPECT_EQ(holder(rig), kA);
    EXPECT_TRUE(rig.table.has_changed(kB, seen)) << "who held it notices";
    EXPECT_EQ(holder(rig, kNow + 10 * kSecond), kB) << "when the lease has ended";
}

TEST(LearnedTable, AWaitingPortNoticesThatTheHolderWent) {
    Rig rig;
    claim(rig, kA, LearnedSource::kArp, kNow);
    claim(rig, kB, LearnedSource::kArp, kNow + 1);
    std::uint32_t seen = rig.table.epoch();
    rig.table.forget(LearnedKey::binding(kDomain, kA, IpAddr::v4(0x0a000001)));
    EXPECT_EQ(holder(rig), kB);
    EXPECT_TRUE(rig.table.has_changed(kB, seen));
    claim(rig, kA, LearnedSource::kArp, kNow + 2);
    seen = rig.table.epoch();
    std::uint32_t cursor = 0;
    rig.table.flush(LearnedFilter::of_port(kB), cursor, 100);
    EXPECT_EQ(holder(rig), kA);
    EXPECT_TRUE(rig.table.has_changed(kA, seen));
}

TEST(LearnedTable, AWaitingPortNoticesThatTheHolderExpired) {
    Rig rig;
    claim(rig, kA, LearnedSource::kArp, kNow, kNow + 2 * kSecond);
    claim(rig, kB, LearnedSource::kArp, kNow + 1);
    const std::uint32_t seen = rig.table.epoch();
    rig.table.pass_time(kNow + 2 * kSecond);
    EXPECT_EQ(holder(rig, kNow + 2 * kSecond), kB);
    EXPECT_TRUE(rig.table.has_changed(kB, seen));
}

TEST(LearnedTable, AClaimLeavesALeaseAsItIs) {
    Rig rig;
    claim(rig, kA, LearnedSource::kDhcp, kNow, kNow + 5 * kSecond);
    const LearnedKey key = LearnedKey::binding(kDomain, kA, IpAddr::v4(0x0a000001));
    const std::uint32_t epoch = rig.table.epoch();
    EXPECT_EQ(claim(rig, kA, LearnedSource::kArp, kNow + 1), LearnResult::kRefreshed);
    EXPECT_TRUE(rig.table.touch(key, kNow + 2, kNow + 90 * kSecond, kNow + 2));
    const auto row = rig.table.find(key, kNow);
    ASSERT_TRUE(row);
    EXPECT_EQ(row->source, LearnedSource::kDhcp);
    EXPECT_EQ(row->expires_ns, kNow + 5 * kSecond);
    EXPECT_EQ(row->last_seen_ns, kNow + 2);
    EXPECT_EQ(rig.table.epoch(), epoch);
}

TEST(LearnedTable, LeasesDoNotCountAsFirstUse) {
    Rig rig;
    claim(rig, kA, LearnedSource::kDhcp, kNow, 0, 1);
    EXPECT_EQ(rig.table.first_use_count(kA, IpFamily::kV4), 0u);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kBinding, IpFamily::kV4), 1u);
    EXPECT_EQ(bind(rig.table, kA, IpAddr::v4(7), 1, 1), LearnResult::kNew);
    EXPECT_EQ(bind(rig.table, kA, IpAddr::v4(8), 1, 1), LearnResult::kLimit);
    EXPECT_EQ(rig.table.first_use_count(kA, IpFamily::kV4), 1u);
    rig.table.forget(LearnedKey::binding(kDomain, kA, IpAddr::v4(0x0a000001)));
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kBinding, IpFamily::kV4), 1u);
}

TEST(LearnedTable, AClaimThatBecomesALeaseMakesRoomForAnother) {
    Rig rig;
    claim(rig, kA, LearnedSource::kArp, kNow, 0, 1);
    EXPECT_EQ(bind(rig.table, kA, IpAddr::v4(8), 1, 1), LearnResult::kLimit);
    claim(rig, kA, LearnedSource::kDhcp, kNow);
    EXPECT_EQ(bind(rig.table, kA, IpAddr::v4(8), 1, 1), LearnResult::kNew);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kBinding), 2u);
}

TEST(LearnedTable, ADhcpClientChangesNoEpoch) {
    Rig rig;
    const LearnedKey key = LearnedKey::dhcp4_client(kDomain, kA, Rig::address(1), 0x12345678);
    LearnedValue value;
    value.expires_ns = kNow + kSecond;
    const std::uint32_t epoch = rig.table.epoch();
    EXPECT_EQ(rig.table.learn(key, value, 1, kNow), LearnResult::kNew);
    EXPECT_EQ(
        rig.table.learn(LearnedKey::dhcp4_client(kDomain, kA, Rig::address(1), 2), value, 1, kNow),
        LearnResult::kLimit);
    EXPECT_TRUE(rig.table.find(key, kNow));
    rig.table.pass_time(kNow + 2 * kSecond);
    EXPECT_FALSE(rig.table.find(key, kNow + 2 * kSecond));
    EXPECT_EQ(rig.table.sweep(10, kNow + 2 * kSecond), 1u);
    EXPECT_EQ(rig.table.epoch(), epoch);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kDhcpClient), 0u);
}

TEST(LearnedTable, AnExpiredRowIsNotFoundAndTheEpochSaysSoAtOnce) {
    Rig rig;
    rig.mac(1, kA, 0, kNow + 5 * kSecond - 1);
    const std::uint32_t epoch = rig.table.epoch();
    rig.table.pass_time(kNow + 4 * kSecond);
    EXPECT_EQ(rig.table.epoch(), epoch);
    EXPECT_EQ(rig.where(1, kNow + 5 * kSecond - 1), kA) << "rounded up to a second";
    rig.table.pass_time(kNow + 5 * kSecond);
    EXPECT_EQ(rig.table.epoch(), epoch + 1);
    EXPECT_EQ(rig.where(1, kNow + 5 * kSecond), kNoPort);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kMac), 1u) << "until it is swept";
    EXPECT_EQ(rig.table.sweep(10, kNow + 5 * kSecond), 1u);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kMac), 0u);
    EXPECT_EQ(rig.table.size(), 0u);
}

TEST(LearnedTable, AnExpiredBindingChangesItsPort) {
    Rig rig;
    LearnedValue value;
    value.expires_ns = kNow + kSecond;
    rig.table.learn(LearnedKey::binding(kDomain, kA, IpAddr::v4(1)), value, 0, kNow);
    const std::uint32_t seen = rig.table.epoch();
    rig.table.pass_time(kNow + 2 * kSecond);
    EXPECT_TRUE(rig.table.has_changed(kA, seen));
    EXPECT_FALSE(rig.table.has_changed(kB, seen));
}

TEST(LearnedTable, AJumpOfTheClockBeyondTheWheelIsNoticed) {
    Rig rig;
    rig.mac(1, kA, 0, kNow + 10000 * kSecond);
    const std::uint32_t epoch = rig.table.epoch();
    rig.table.pass_time(kNow + 90000 * kSecond);
    EXPECT_NE(rig.table.epoch(), epoch);
}

TEST(LearnedTable, TouchDefersExpiry) {
    Rig rig;
    rig.mac(1, kA, 0, kNow + 5 * kSecond);
    const std::uint32_t epoch = rig.table.epoch();
    EXPECT_TRUE(rig.table.touch(Rig::key(1), kNow + kSecond, kNow + 6 * kSecond, kNow + kSecond));
    rig.table.pass_time(kNow + 5 * kSecond);
    EXPECT_EQ(rig.table.epoch(), epoch) << "nothing expires in that second any more";
    EXPECT_EQ(rig.where(1, kNow + 5 * kSecond), kA);
    EXPECT_FALSE(rig.table.touch(Rig::key(1), 0, 0, kNow + 6 * kSecond)) << "expired";
    EXPECT_FALSE(rig.table.touch(Rig::key(2), 0, 0, kNow));
}

TEST(LearnedTable, LearningAnExpiredRowMakesANewOne) {
    Rig rig;
    rig.mac(1, kA, 0, kNow + kSecond);
    EXPECT_EQ(rig.mac(1, kB, 0, 0, kNow + 2 * kSecond), LearnResult::kNew);
    EXPECT_EQ(rig.where(1, kNow + 9 * kSecond), kB);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kMac), 0u);
}

TEST(LearnedTable, AFlushTakesWhatItsFilterNames) {
    Rig rig;
    rig.mac(1, kA);
    rig.mac(2, kB);
    bind(rig.table, kA, IpAddr::v4(1), 1);
    std::uint32_t cursor = 0;
    EXPECT_EQ(rig.table.flush(LearnedFilter::of_port(kA, LearnedKind::kMac), cursor, 100), 1u);
    EXPECT_EQ(cursor, rig.table.capacity());
    EXPECT_EQ(rig.where(1), kNoPort);
    EXPECT_EQ(rig.where(2), kB);
    cursor = 0;
    EXPECT_EQ(rig.table.flush(LearnedFilter::of_port(kA), cursor, 1), 0u) << "a freed record";
    EXPECT_LT(cursor, rig.table.capacity()) << "the budget ends a piece";
    cursor = 0;
    EXPECT_EQ(rig.table.flush(LearnedFilter{}, cursor, 100), 2u);
    EXPECT_EQ(rig.table.size(), 0u);
}

TEST(LearnedTable, AFlushOfADomainLeavesOthers) {
    Rig rig;
    rig.mac(1, kA);
    LearnedValue value;
    value.port = kA;
    rig.table.learn(LearnedKey::mac(kOther, Rig::address(1)), value, 0, kNow);
    LearnedFilter filter;
    filter.domain = kOther;
    std::uint32_t cursor = 0;
    EXPECT_EQ(rig.table.flush(filter, cursor, 100), 1u);
    EXPECT_EQ(rig.where(1), kA);
}

TEST(LearnedTable, GroupsRoutersAndQueriersAreKindsOfTheirOwn) {
    Rig rig;
    const MacAddr group{{1, 0, 0x5e, 1, 2, 3}};
    LearnedValue value;
    value.port = kA;
    rig.table.learn(LearnedKey::group_member(kDomain, kA, group), value, 0, kNow);
    rig.table.learn(LearnedKey::router_port(kDomain, kA), value, 0, kNow);
    rig.table.learn(LearnedKey::querier(kDomain, IpFamily::kV4), value, 0, kNow);
    EXPECT_TRUE(rig.table.find(LearnedKey::group_member(kDomain, kA, group), kNow));
    EXPECT_FALSE(rig.table.find(LearnedKey::group_member(kDomain, kB, group), kNow));
    EXPECT_TRUE(rig.table.find(LearnedKey::querier(kDomain, IpFamily::kV4), kNow));
    EXPECT_FALSE(rig.table.find(LearnedKey::querier(kDomain, IpFamily::kV6), kNow));
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kGroupMember), 1u);
    EXPECT_EQ(rig.table.count(kA, LearnedKind::kRouterPort), 1u);
}

TEST(LearnedTable, ListsEveryLiveRowOnce) {
    Rig rig;
    for (std::uint32_t i = 0; i < 100; ++i) { rig.mac(i, kA, 0, i < 10 ? kNow + 1 : 0); }
    rig.table.forget(Rig::key(50));
    std::set<MacAddr> seen;
    rig.table.for_each(0, rig.table.used_count(), kNow + kSecond, [&](const LearnedRow& row) {
        EXPECT_TRUE(seen.insert(row.key.mac_address()).second);
    });
    EXPECT_EQ(seen.size(), 89u);
}

// The table against a plain map, with forgetting, ageing and flushes at random.
TEST(LearnedTable, AgreesWithAMap) {
    struct Entry {
        std::uint16_t port;
        std::uint64_t expires_ns;
    };
    std::mt19937_64 random(5);
    Rig rig(256);
    std::map<std::uint32_t, Entry> map;
    std::uint64_t now = kNow;
    for (int step = 0; step < 200000; ++step) {
        const auto number = static_cast<std::uint32_t>(random() % 100);
        const PortIndex port{static_cast<std::uint16_t>(random() % 8)};
        now += random() % 300 == 0 ? kSecond : 1000;
        rig.table.pass_time(now);
        std::erase_if(map, [&](const auto& item) {
            return item.second.expires_ns != 0 && now >= item.second.expires_ns;
        });
        const std::uint64_t what = random() % 100;
        if (what < 60) {
            const std::uint64_t expires =
                random() % 2 == 0 ? 0 : now / kSecond * kSecond + 2 * kSecond;
            const LearnResult result = rig.mac(number, port, 0, expires, now);
            const auto at = map.find(number);
            const LearnResult wanted = at == map.end()                 ? LearnResult::kNew
                                       : at->second.port == port.value ? LearnResult::kRefreshed
                                                                       : LearnResult::kMoved;
            ASSERT_EQ(result, wanted) << "step " << step;
            map[number] = {port.value, expires};
        } else if (what < 75) {
            ASSERT_EQ(rig.table.find(Rig::key(number), now).has_value(), map.contains(number));
            rig.table.forget(Rig::key(number));
            map.erase(number);
        } else if (what < 99) {
            rig.table.sweep(3, now);
        } else {
            std::uint32_t cursor = 0;
            rig.table.flush(LearnedFilter::of_port(port), cursor, 1000);
            std::erase_if(map, [&](const auto& item) { return item.second.port == port.value; });
        }
        const auto at = map.find(number);
        ASSERT_EQ(rig.where(number, now), at == map.end() ? kNoPort : PortIndex{at->second.port});
    }
    rig.table.sweep(256, now);
    std::uint32_t count = 0;
    for (std::uint16_t port = 0; port < 8; ++port) {
        count += rig.table.count(PortIndex{port}, LearnedKind::kMac);
    }
    EXPECT_EQ(rig.table.size(), map.size());
    EXPECT_EQ(count, map.size());
}

TEST(LearnedTable, WorkersShareItAndControlReadsBesideThem) {
    constexpr unsigned kWorkers = 3;
    Rig rig(512, kWorkers);
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
        threads.emplace_back([&rig, worker] {
            std::mt19937 random(worker);
            for (std::uint64_t i = 0; i < 60000; ++i) {
                const std::uint64_t now = kNow + i * 100000;
                const auto number = static_cast<std::uint32_t>(random() % 64);
                const PortIndex port{static_cast<std::uint16_t>(1 + worker)};
                rig.table.pass_time(now);
                rig.mac(number, port, 0, now + kSecond, now);
                if (random() % 3 == 0) { rig.table.forget(Rig::key(number)); }
                if (random() % 8 == 0) { rig.table.sweep(16, now); }
            }
        });
    }
    for (int round = 0; round < 200; ++round) {
        rig.table.for_each(0, rig.table.used_count(), kNow, [](const LearnedRow& row) {
            EXPECT_GE(row.value.port.value, 1u);
            EXPECT_LE(row.value.port.value, 3u);
            EXPECT_EQ(row.key.domain, kDomain);
        });
    }
    for (auto& thread : threads) { thread.join(); }
    std::uint32_t count = 0;
    for (std::uint16_t port = 1; port <= kWorkers; ++port) {
        count += rig.table.count(PortIndex{port}, LearnedKind::kMac);
    }
    EXPECT_EQ(count, rig.table.size());
    std::uint32_t cursor = 0;
    rig.table.flush(LearnedFilter{}, cursor, 1000);
    EXPECT_EQ(rig.table.size(), 0u);
}

}  // namespace
}  // namespace sluice
