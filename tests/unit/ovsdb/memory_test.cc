// SPDX-License-Identifier: Apache-2.0
// What a large map costs: a hundred thousand MACs in a hundred rows, from the wire to rows.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>

#include "controller-agent/ovsdb/json_stream.h"
#include "controller-agent/ovsdb/replica.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

namespace {

std::string row_id(int row) {
    char text[40];
    std::snprintf(text, sizeof(text), "00000000-0000-0000-0000-%012d", row);
    return text;
}

json thousand_macs(int row) {
    json entries = json::array();
    for (int i = 0; i < 1000; ++i) {
        char mac[24];
        std::snprintf(mac, sizeof(mac), "02:00:%02x:00:%02x:%02x", row, i / 256, i % 256);
        entries.push_back(json::array({mac, "17 1700000000000 10.0.0.1"}));
    }
    return json::array({"map", entries});
}

}  // namespace

TEST(OvsdbMemory, OfABindingIsAFewHundredBytes) {
    json rows = json::object();
    for (int row = 0; row < 100; ++row) {
        rows[row_id(row)] = {{"insert", {{"items", thousand_macs(row)}}}};
    }
    std::string text = json{{"Binding", rows}}.dump();
    rows = nullptr;
    const auto before = mallinfo2().uordblks;
    Replica replica;
    SchemaColumn items;
    items.type.is_map = true;
    replica.set_schema({{"Binding", {{"items", items}}}});
    {
        auto parsed = parse_bounded(text, kOvsdbMessageMax);
        ASSERT_TRUE(parsed.ok());
        RecordProperty("parsed_bytes", static_cast<int>(mallinfo2().uordblks - before));
        const auto changes = replica.replace(parsed.value());
        ASSERT_TRUE(changes.ok());
        ASSERT_EQ(changes.value().size(), 100U);
    }
    const auto bytes_each = (mallinfo2().uordblks - before) / 100000;
    RecordProperty("row_bytes_each", static_cast<int>(bytes_each));
    RecordProperty("text_bytes_each", static_cast<int>(text.size() / 100000));
    EXPECT_LT(bytes_each, 300U);
}

}  // namespace sluice::ovsdb::test
