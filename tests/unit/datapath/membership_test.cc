// SPDX-License-Identifier: Apache-2.0
// IGMP and MLD messages: what they say, and that every length is held against the message.
#include "datapath/membership.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sluice::datapath {
namespace {

using Bytes = std::vector<std::uint8_t>;

const Bytes kGroup4 = {239, 1, 2, 3};
const Bytes kGroup6 = {0xff, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3};
const MacAddr kMac4{{0x01, 0x00, 0x5e, 1, 2, 3}};
const MacAddr kMac6{{0x33, 0x33, 0, 1, 2, 3}};

Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& part : parts) { out.insert(out.end(), part.begin(), part.end()); }
    return out;
}

Bytes igmp(std::uint8_t type, const Bytes& rest) { return joined({{type, 0, 0, 0}, rest}); }

Bytes mld(std::uint8_t type, const Bytes& rest) {
    return joined({{type, 0, 0, 0, 0, 0, 0, 0}, rest});
}

/// One group record of a newer report.
Bytes record(std::uint8_t type, const Bytes& group, std::uint8_t sources = 0,
             std::uint8_t aux_words = 0) {
    return joined({{type, aux_words, 0, sources},
                   group,
                   Bytes(sources * group.size(), 9),
                   Bytes(aux_words * std::size_t{4}, 7)});
}

Bytes report3(const std::vector<Bytes>& records) {
    Bytes out = igmp(0x22, {0, 0, 0, static_cast<std::uint8_t>(records.size())});
    for (const Bytes& each : records) { out.insert(out.end(), each.begin(), each.end()); }
    return out;
}

Bytes report2(const std::vector<Bytes>& records) {
    Bytes out = {143, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(records.size())};
    for (const Bytes& each : records) { out.insert(out.end(), each.begin(), each.end()); }
    return out;
}

TEST(Membership, ReadsTheOldIgmpReportsAndTheLeave) {
    Membership m;
    for (const std::uint8_t type : Bytes{0x12, 0x16}) {
        ASSERT_TRUE(read_igmp(igmp(type, kGroup4), m));
        EXPECT_EQ(m.kind, MembershipKind::kReport);
        ASSERT_EQ(m.record_count, 1u);
        EXPECT_EQ(m.records[0].group, kMac4);
        EXPECT_TRUE(m.records[0].joins);
    }
    ASSERT_TRUE(read_igmp(igmp(0x17, kGroup4), m));
    EXPECT_EQ(m.kind, MembershipKind::kLeave);
    EXPECT_FALSE(m.records[0].joins);
}

TEST(Membership, ReadsTheOldMldReportAndDone) {
    Membership m;
    ASSERT_TRUE(read_mld(mld(131, kGroup6), m));
    ASSERT_EQ(m.record_count, 1u);
    EXPECT_EQ(m.records[0].group, kMac6);
    EXPECT_TRUE(m.records[0].joins);
    ASSERT_TRUE(read_mld(mld(132, kGroup6), m));
    EXPECT_EQ(m.kind, MembershipKind::kLeave);
}

TEST(Membership, ReadsTheRecordsOfNewReports) {
    struct Case {
        std::uint8_t type, sources;
        std::size_t count;
        bool joins;
    };
    for (const Case& c :
         {Case{1, 0, 1, false}, Case{1, 2, 1, true}, Case{2, 0, 1, true}, Case{2, 3, 1, true},
          Case{3, 0, 1, false}, Case{3, 1, 1, true}, Case{4, 0, 1, true}, Case{5, 1, 1, true},
          Case{5, 0, 0, false}, Case{6, 1, 0, false}, Case{7, 0, 0, false}}) {
        Membership m;
        ASSERT_TRUE(read_igmp(report3({record(c.type, kGroup4, c.sources, 1)}), m));
        ASSERT_EQ(m.record_count, c.count) << "type " << int{c.type};
        if (c.count == 1) { EXPECT_EQ(m.records[0].joins, c.joins) << "type " << int{c.type}; }
        ASSERT_TRUE(read_mld(report2({record(c.type, kGroup6, c.sources, 1)}), m));
        ASSERT_EQ(m.record_count, c.count);
    }
}

TEST(Membership, ReadsSeveralRecordsInOrder) {
    Membership m;
    const Bytes other = {239, 9, 9, 9};
    ASSERT_TRUE(read_igmp(report3({record(4, kGroup4, 2), record(3, other), record(2, other)}), m));
    ASSERT_EQ(m.record_count, 3u);
    EXPECT_EQ(m.records[0].group, kMac4);
    EXPECT_EQ(m.records[1].group, (MacAddr{{1, 0, 0x5e, 9, 9, 9}}));
    EXPECT_FALSE(m.records[1].joins);
    EXPECT_TRUE(m.records[2].joins);
}

TEST(Membership, ReadsQueriesOfAllVersions) {
    Membership m;
    ASSERT_TRUE(read_igmp(Bytes{0x11, 0, 0, 0, 0, 0, 0, 0}, m));
    EXPECT_EQ(m.kind, MembershipKind::kQuery);
    EXPECT_EQ(m.query_interval_s, 0u);
    ASSERT_TRUE(read_igmp(Bytes{0x11, 100, 0, 0, 239, 1, 2, 3, 2, 60, 0, 1, 10, 0, 0, 9}, m));
    EXPECT_EQ(m.query_interval_s, 60u);
    ASSERT_TRUE(read_igmp(Bytes{0x11, 100, 0, 0, 0, 0, 0, 0, 2, 0x8a, 0, 0}, m));
    EXPECT_EQ(m.query_interval_s, 26u << 3U) << "floating point";
    ASSERT_TRUE(read_mld(mld(130, Bytes(16, 0)), m));
    ASSERT_TRUE(read_mld(joined({mld(130, Bytes(16, 0)), {2, 125, 0, 0}}), m));
    EXPECT_EQ(m.query_interval_s, 125u);
}

TEST(Membership, LeavesUnknownTypesAlone) {
    Membership m;
    ASSERT_TRUE(read_igmp(igmp(0x13, kGroup4), m));
    EXPECT_EQ(m.kind, MembershipKind::kOther);
}

TEST(Membership, RefusesEveryTruncation) {
    const std::vector<Bytes> v4 = {igmp(0x16, kGroup4),
                                   igmp(0x17, kGroup4),
                                   report3({record(4, kGroup4, 2, 1), record(3, kGroup4)}),
                                   {0x11, 100, 0, 0, 239, 1, 2, 3, 2, 60, 0, 1, 10, 0, 0, 9}};
    const std::vector<Bytes> v6 = {mld(131, kGroup6), mld(132, kGroup6),
                                   report2({record(4, kGroup6, 2, 1), record(3, kGroup6)})};
    Membership m;
    for (const Bytes& whole : v4) {
        ASSERT_TRUE(read_igmp(whole, m));
        for (std::size_t size = 0; size < whole.size(); ++size) {
            if (whole[0] == 0x11 && size == 8) { continue; }  // A query of version 1 or 2.
            EXPECT_FALSE(read_igmp(std::span(whole).first(size), m))
                << "type " << int{whole[0]} << ", " << size << " bytes";
        }
    }
    for (const Bytes& whole : v6) {
        ASSERT_TRUE(read_mld(whole, m));
        for (std::size_t size = 0; size < whole.size(); ++size) {
            EXPECT_FALSE(read_mld(std::span(whole).first(size), m));
        }
    }
}

TEST(Membership, RefusesGroupsThatAreNone) {
    Membership m;
    EXPECT_FALSE(read_igmp(igmp(0x16, {10, 0, 0, 1}), m));
    EXPECT_FALSE(read_igmp(report3({record(4, {10, 0, 0, 1})}), m));
    EXPECT_FALSE(read_igmp(Bytes{0x11, 0, 0, 0, 10, 0, 0, 1}, m));
    EXPECT_FALSE(read_mld(mld(131, Bytes(16, 0x20)), m));
}

TEST(Membership, KeepsAsManyRecordsAsItHasRoomFor) {
    Membership m;
    Bytes many = igmp(0x22, {0, 0, 0x03, 0xe8});
    for (int i = 0; i < 1000; ++i) {
        const Bytes each =
            record(4, {239, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)});
        many.insert(many.end(), each.begin(), each.end());
    }
    ASSERT_TRUE(read_igmp(many, m));
    EXPECT_EQ(m.record_count, kMembershipRecordMax);
}

TEST(Membership, NoBytesMakeItReadBeyondThem) {
    std::mt19937 random(11);
    Membership m;
    for (int i = 0; i < 100000; ++i) {
        Bytes bytes(random() % 80);
        for (auto& byte : bytes) {
            byte = static_cast<std::uint8_t>(random() % 4 == 0 ? random() : 0);
        }
        if (!bytes.empty()) { bytes[0] = random() % 2 == 0 ? 0x22 : 143; }
        static_cast<void>(read_igmp(bytes, m));
        static_cast<void>(read_mld(bytes, m));
        ASSERT_LE(m.record_count, kMembershipRecordMax);
    }
}

}  // namespace
}  // namespace sluice::datapath
