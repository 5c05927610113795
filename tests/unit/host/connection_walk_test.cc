// SPDX-License-Identifier: Apache-2.0
// Walking the connection table: everything once, in steps that are bounded however large it is.
#include "src/host/connection_walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <set>

#include "connection_records.h"

namespace sluice::host {
namespace {

using test::FilledTable;

ConnectionFilter filter(const char* text) {
    return ConnectionFilter::parse(text, FilterNames{}).value();
}

ConnectionWalk::Options options() {
    ConnectionWalk::Options all;
    all.now_ns = FilledTable::kNow;
    return all;
}

TEST(ConnectionWalk, ShowsEachOnceOverAnyNumberOfPages) {
    FilledTable filled(5000);
    std::set<std::pair<std::uint32_t, std::uint16_t>> seen;
    ConnectionWalk::Options page = options();
    page.limit = 700;
    unsigned pages = 0;
    for (bool more = true; more; ++pages) {
        ConnectionWalk walk(filled.table(), filter(""), page);
        while (walk.step([&](const Connection&, const ConnectionView& view) {
            EXPECT_TRUE(seen.emplace(view.source.v4_host(), view.source_port).second);
        })) {}
        EXPECT_LE(walk.row_count(), 700u);
        page.cursor = walk.cursor();
        more = !walk.at_end();
    }
    EXPECT_EQ(seen.size(), 5000u);
    EXPECT_EQ(pages, 8u);
}

TEST(ConnectionWalk, PortOffsetAndFilterNarrowIt) {
    FilledTable filled(2000);
    ConnectionWalk::Options of_vm2 = options();
    of_vm2.port = test::kVm2;
    of_vm2.offset = 100;
    std::uint64_t rows = 0;
    ConnectionWalk walk(filled.table(), filter("sport=1000-1999"), of_vm2);
    while (walk.step([&](const Connection& connection, const ConnectionView& view) {
        EXPECT_EQ(connection.opener_port, test::kVm2);
        EXPECT_TRUE(view.opened_by_port);
        ++rows;
    })) {}
    EXPECT_EQ(rows, 400u);  // Half of 1 000 numbers are odd, and 100 of them are left out.
}

TEST(ConnectionWalk, AStepIsBoundedWhateverTheTableHolds) {
    FilledTable filled(100'000);
    ConnectionWalk all(filled.table(), filter(""), options());
    std::uint64_t before = 0;
    do {
        EXPECT_LE(all.row_count() - before, kWalkRowMax);
        before = all.row_count();
    } while (all.step([](const Connection&, const ConnectionView&) {}));
    EXPECT_EQ(all.row_count(), 100'000u);
    ConnectionWalk none(filled.table(), filter("proto=tcp"), options());
    std::uint32_t at = 0;
    bool more = true;
    while (more) {
        more = none.step([](const Connection&, const ConnectionView&) { FAIL(); });
        EXPECT_LE(none.cursor() - at, kWalkRecordMax);
        at = none.cursor();
    }
    EXPECT_TRUE(none.at_end());
}

TEST(ConnectionWalk, AnEmptyTableAndACursorBehindItsEndAreTheEnd) {
    FilledTable filled(10);
    ConnectionWalk::Options far = options();
    far.cursor = 4'000'000'000;
    ConnectionWalk walk(filled.table(), filter(""), far);
    EXPECT_FALSE(walk.step([](const Connection&, const ConnectionView&) { FAIL(); }));
    EXPECT_TRUE(walk.at_end());
}

// The longest step in processor time, which other load does not change. SLUICE_WALK_CONNECTIONS
// makes it the eight million of the design (1.6 GB).
TEST(ConnectionWalk, NoStepTakesTwentyMilliseconds) {
    const char* text = std::getenv("SLUICE_WALK_CONNECTIONS");
    const auto count = static_cast<std::uint32_t>(text != nullptr ? std::atoll(text) : 200'000);
    FilledTable filled(count);
    const auto cpu_ns = [] {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
               static_cast<std::uint64_t>(time.tv_nsec);
    };
    for (const char* expression : {"", "sport=7 dst!=10.0.0.0/8", "proto=tcp"}) {
        ConnectionWalk walk(filled.table(), filter(expression), options());
        std::uint64_t longest = 0;
        const std::uint64_t start = cpu_ns();
        std::uint64_t from = start;
        std::uint64_t steps = 1;
        for (; walk.step([](const Connection&, const ConnectionView&) {}); ++steps) {
            const std::uint64_t now = cpu_ns();
            longest = std::max(longest, now - from);
            from = now;
        }
        std::printf("%u connections, filter \"%s\": %lu steps, longest %.2f ms, whole %.0f ms\n",
                    count, expression, static_cast<unsigned long>(steps),
                    static_cast<double>(longest) / 1e6,
                    static_cast<double>(cpu_ns() - start) / 1e6);
        EXPECT_LT(longest, 20'000'000u);
    }
}

}  // namespace
}  // namespace sluice::host
