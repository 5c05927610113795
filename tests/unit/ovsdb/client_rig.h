// SPDX-License-Identifier: Apache-2.0
// ClientRig: a client with everything it told, and an io_context that is stepped until a condition
// holds. A test states what must come, never when.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller-agent/ovsdb/client.h"

namespace sluice::ovsdb::test {

inline constexpr std::chrono::seconds kDeadline{30};

class ClientRig {
public:
    explicit ClientRig(boost::asio::io_context& io, const std::string& remotes,
                       ClientOptions options = {})
        : io_(io) {
        options.remotes = parse_remotes(remotes).value();
        if (options.database.empty()) { options.database = "Test"; }
        options.pause_min = std::chrono::milliseconds(1);
        options.pause_max = std::chrono::milliseconds(20);
        client_ = std::make_unique<Client>(io, std::move(options), events());
    }

    Client& operator*() { return *client_; }
    Client* operator->() { return client_.get(); }
    void reset() { client_.reset(); }

    /// Steps until `is_met`; false: not within the deadline.
    bool until(const std::function<bool()>& is_met) {
        const auto end = std::chrono::steady_clock::now() + kDeadline;
        while (!is_met()) {
            if (std::chrono::steady_clock::now() > end) { return false; }
            io_.restart();
            io_.run_for(std::chrono::milliseconds(2));
        }
        return true;
    }
    bool until_live() {
        return until([this] { return client_->state() == ClientState::kLive && is_complete; });
    }
    bool until_told(const std::string& part) {
        return until([&] { return has_told(part); });
    }
    [[nodiscard]] bool has_told(const std::string& part) const {
        for (const auto& why : reasons) {
            if (why.find(part) != std::string::npos) { return true; }
        }
        return false;
    }

    TransactResult transact(nlohmann::json operations) {
        auto results = begin({std::move(operations)});
        EXPECT_TRUE(until([&] { return results->size() == 1; }));
        return results->empty() ? TransactResult{} : results->front();
    }
    /// Transactions of which the results come into the vector, in the order of their ends.
    std::shared_ptr<std::vector<TransactResult>> begin(std::vector<nlohmann::json> transactions) {
        auto results = std::make_shared<std::vector<TransactResult>>();
        for (auto& operations : transactions) {
            auto task = client_->transact(std::move(operations));
            boost::asio::co_spawn(io_, std::move(task),
                                  [results](const std::exception_ptr&, TransactResult result) {
                                      results->push_back(std::move(result));
                                  });
        }
        return results;
    }

    std::vector<std::string> reasons;
    std::vector<ClientState> states;
    std::vector<std::vector<RowChange>> batches;
    bool is_complete = false;

private:
    ClientEvents events() {
        ClientEvents made;
        made.on_state = [this](ClientState state, const std::string& why) {
            states.push_back(state);
            if (!why.empty()) { reasons.push_back(why); }
        };
        made.on_change = [this](const std::vector<RowChange>& changes, bool complete) {
            if (!changes.empty()) { batches.push_back(changes); }
            is_complete = complete;
        };
        return made;
    }

    boost::asio::io_context& io_;
    std::unique_ptr<Client> client_;
};

inline nlohmann::json insert_thing(const std::string& name) {
    return {{"op", "insert"}, {"table", "Thing"}, {"row", {{"name", name}}}};
}

}  // namespace sluice::ovsdb::test
