// SPDX-License-Identifier: Apache-2.0
// Random changes in a real server: what update3 makes of the replica is what `select` finds, and
// what the batches say, applied one after the other, is the same again.
#include <gtest/gtest.h>

#include "client_rig.h"
#include "random_data.h"
#include "real_server.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

namespace {

const std::map<std::string, std::pair<int, int>> kColumns = {
    {"name", {0, -1}},  {"count", {1, -1}}, {"rate", {2, -1}}, {"is_on", {3, -1}},
    {"of", {4, -1}},    {"maybe", {0, -1}}, {"few", {1, -1}},  {"numbers", {1, -1}},
    {"words", {0, -1}}, {"ids", {4, -1}},   {"items", {0, 0}}, {"ranks", {1, 2}},
    {"single", {0, 0}},
};

bool is_scalar(const std::string& name) {
    return name == "name" || name == "count" || name == "rate" || name == "is_on" || name == "of";
}

class Mutations {
public:
    explicit Mutations(std::uint64_t seed) : random_(seed) {}

    json value(const std::string& name) {
        const auto [key, of] = kColumns.at(name);
        if (is_scalar(name)) { return to_json(one(random_.atom(static_cast<std::size_t>(key)))); }
        const std::size_t count = name == "maybe" || name == "single" ? 1 : name == "few" ? 3 : 12;
        return to_json(of < 0 ? random_.set(static_cast<std::size_t>(key), count)
                              : random_.map(static_cast<std::size_t>(key),
                                            static_cast<std::size_t>(of), count));
    }
    json row() {
        json made = json::object();
        for (const auto& [name, kinds] : kColumns) {
            if (random_.below(3) == 0) { made[name] = value(name); }
        }
        return made;
    }
    json operation() {
        const json where = json::array({json::array({"count", "==", random_.below(7)})});
        switch (random_.below(8)) {
            case 0: return {{"op", "delete"}, {"table", "Thing"}, {"where", where}};
            case 1:
            case 2:
            case 3: return {{"op", "insert"}, {"table", "Thing"}, {"row", row()}};
            case 4:
            case 5: return {{"op", "update"}, {"table", "Thing"}, {"where", where}, {"row", row()}};
            default: return mutation(where);
        }
    }
    std::size_t below(std::size_t bound) { return random_.below(bound); }

private:
    static Datum one(Atom atom) {
        Datum made;
        made.keys.push_back(std::move(atom));
        return made;
    }
    json mutation(const json& where) {
        const char* const names[] = {"words", "items", "ranks", "ids", "numbers"};
        const std::string name = names[random_.below(5)];
        const char* how = random_.below(2) == 0 ? "insert" : "delete";
        const json list = json::array({json::array({name, how, value(name)})});
        return {{"op", "mutate"}, {"table", "Thing"}, {"where", where}, {"mutations", list}};
    }

    RandomData random_;
};

json row_of(const Row& row) {
    json made = json::object();
    for (const auto& [name, datum] : row) { made[name] = to_json(datum); }
    return made;
}

// As `select` found them, in the replica's form.
std::map<std::string, json> selected(const json& rows) {
    std::map<std::string, json> made;
    for (const json& row : rows) {
        json columns = json::object();
        for (const auto& [name, of] : kColumns) {
            columns[name] = to_json(parse_datum(row.at(name)).value());
        }
        made.emplace(row.at("_uuid").at(1).get<std::string>(), std::move(columns));
    }
    return made;
}

std::map<std::string, json> held(const Table& rows) {
    std::map<std::string, json> made;
    for (const auto& [id, row] : rows) { made.emplace(id.text(), row_of(*row)); }
    return made;
}

}  // namespace

TEST(OvsdbMutations, ReplicaIsWhatSelectFinds) {
    if (!has_ovsdb()) { GTEST_SKIP() << "no ovsdb-server"; }
    const TestFolder folder;
    RealServer server(folder);
    boost::asio::io_context io;
    ClientRig rig(io, server.remote());
    rig->set_interest({{"Thing", {}, true}});
    rig->start();
    ASSERT_TRUE(rig.until_live());
    Mutations mutations(5);
    Table built;
    for (int round = 0; round < 150; ++round) {
        json operations = json::array();
        for (std::size_t i = 0; i <= mutations.below(6); ++i) {
            operations.push_back(mutations.operation());
        }
        rig.transact(operations);  // Some are refused: too many values.
        for (const auto& batch : std::exchange(rig.batches, {})) {
            for (const RowChange& change : batch) {
                const auto was = built.find(change.id);
                EXPECT_EQ(change.before, was == built.end() ? nullptr : was->second);
                built.erase(change.id);
                if (change.after) { built.emplace(change.id, change.after); }
            }
        }
        json columns = json::array({"_uuid"});
        for (const auto& [name, of] : kColumns) { columns.push_back(name); }
        const auto found = rig.transact(json::array({{{"op", "select"},
                                                      {"table", "Thing"},
                                                      {"where", json::array()},
                                                      {"columns", columns}}}));
        ASSERT_EQ(found.outcome, Outcome::kCommitted) << found.error;
        const auto expected = selected(found.results.at(0).at("rows"));
        ASSERT_EQ(held(built), expected) << "round " << round;
        const auto& tables = rig->tables();
        ASSERT_EQ(tables.contains("Thing") ? held(tables.at("Thing")) : held({}), expected);
    }
    EXPECT_GT(built.size(), 5U) << "the test changes something";
    rig.is_complete = false;
    server.control({"ovsdb-server/reconnect"});
    ASSERT_TRUE(rig.until_told("closed the connection"));
    ASSERT_TRUE(rig.until_live());
    EXPECT_TRUE(rig.batches.empty()) << "all rows sent again are the rows that there are";
}

}  // namespace sluice::ovsdb::test
