// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the OVSDB client: an input is what servers send, one connection after the other; a
// connection ends where the client drops it. Between messages the client changes its mind.
// Promises: the rows are well formed, what was told of them is what they are, and a replica is
// called complete only if it shows what is wanted.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "controller-agent/ovsdb/conversation.h"
#include "controller-agent/ovsdb/json_stream.h"

namespace {

using namespace sluice::ovsdb;
using nlohmann::json;

void require(bool fact, const char* text) {
    if (fact) { return; }
    std::fprintf(stderr, "promise broken: %s\n", text);
    std::abort();
}

void check(const Row& row) {
    for (const auto& [name, datum] : row) {
        const auto bad = std::adjacent_find(datum.keys.begin(), datum.keys.end(),
                                            [](const Atom& a, const Atom& b) { return !(a < b); });
        require(bad == datum.keys.end(), "keys ascend");
        require(datum.values.size() == (datum.is_map ? datum.keys.size() : 0U),
                "a map has a value a key, a set none");
        (void)to_json(datum).dump(-1, ' ', false, json::error_handler_t::replace);
    }
}

class Listener : public ConversationSink {
public:
    void send(const json& message) override {
        (void)message.dump(-1, ' ', false, json::error_handler_t::replace);
    }
    void on_syncing() override {}
    void on_live() override {}
    void on_answer(std::uint64_t, const json&, const json&) override {}
    void on_lock(bool) override {}
    void on_rows(const std::vector<RowChange>& changes, bool is_complete) override {
        for (const RowChange& change : changes) {
            auto& rows = told[change.table];
            const auto was = rows.find(change.id);
            require(change.before == (was == rows.end() ? nullptr : was->second),
                    "before is what was told");
            require(change.before || change.after, "a change is of something");
            if (was != rows.end()) { rows.erase(was); }
            if (change.after) {
                check(*change.after);
                rows.emplace(change.id, change.after);
            }
            if (rows.empty()) { told.erase(change.table); }
        }
        was_complete = is_complete;
    }

    Tables told;
    bool was_complete = false;
};

InterestMap interest(unsigned choice) {
    const json one = json::array({json::array({"name", "==", "a"})});
    switch (choice % 4) {
        case 0: return interest_map({{"Thing", {}, true}});
        case 1: return interest_map({{"Thing", {}, one}});
        case 2: return interest_map({{"Thing", {"name"}, true}, {"Other", {}, true}});
        default: return interest_map({{"Thing", {}, false}});
    }
}

// The client's part, by the number of messages so far. @return false: the connection is dropped
bool act(Conversation& conversation, const Memory& memory, unsigned count) {
    if (!conversation.is_live()) { return true; }
    switch (count % 6) {
        case 0: conversation.transact(json::array()); break;
        case 1: conversation.lock("l"); break;
        case 2: conversation.note_index(); break;
        case 3: {
            const auto wanted = interest(count / 6);
            const auto status = conversation.set_interest(wanted);
            require(!memory.was_complete || memory.shown == wanted, "complete is what is wanted");
            return status.ok();
        }
        default: break;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    Memory memory;
    Listener listener;
    unsigned count = 0;
    while (!bytes.empty()) {
        JsonStream stream(65536);
        Conversation conversation({"Test", false}, memory, listener);
        conversation.open(interest(0));
        bool is_up = true;
        while (is_up && !bytes.empty()) {
            const std::size_t before = bytes.size();
            const auto message = stream.next(bytes);
            if (message.ok() && !message.value()) { continue; }
            is_up = message.ok() && conversation.handle(*message.value()).ok() &&
                    act(conversation, memory, ++count);
            if (!is_up && bytes.size() == before) { bytes.remove_prefix(1); }
        }
        conversation.close();
        require(listener.told == memory.replica.tables(), "what was told is what there is");
    }
    return 0;
}
