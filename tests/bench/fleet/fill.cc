// SPDX-License-Identifier: Apache-2.0
// Writing a fleet of a Shape: see fill.h.
#include "tests/bench/fleet/fill.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>

#include "controller-agent/fleet/commit_plan.h"
#include "controller-agent/fleet/rows.h"

namespace sluice::scale {
namespace {

constexpr std::size_t kReportsEach = 500;  // Small rows a transaction.

}  // namespace

Writer::Writer(boost::asio::io_context& io, const std::string& remotes,
               const std::string& database) {
    auto parsed = ovsdb::parse_remotes(remotes);
    if (!parsed.ok()) { throw std::runtime_error(parsed.error().message); }
    ovsdb::ClientOptions options;
    options.remotes = std::move(parsed).value();
    options.database = database;
    ovsdb::ClientEvents events;
    events.on_state = [](ovsdb::ClientState, const std::string&) {};
    events.on_change = [](const std::vector<ovsdb::RowChange>&, bool) {};
    client_ = std::make_unique<ovsdb::Client>(io, std::move(options), std::move(events));
}

Writer::~Writer() = default;

boost::asio::awaitable<nlohmann::json> Writer::transact(nlohmann::json operations) {
    ovsdb::TransactResult done = co_await client_->transact(std::move(operations));
    if (done.outcome != ovsdb::Outcome::kCommitted) {
        throw std::runtime_error("not written: " + done.refusal + " " + done.error);
    }
    co_return std::move(done.results);
}

boost::asio::awaitable<nlohmann::json> Writer::select(nlohmann::json operations) {
    const nlohmann::json results = co_await transact(std::move(operations));
    co_return results.at(0).at("rows");
}

boost::asio::awaitable<std::size_t> Writer::write(nlohmann::json operations) {
    const nlohmann::json results = co_await transact(std::move(operations));
    std::size_t count = 0;
    for (const nlohmann::json& one : results) {
        if (one.is_object()) { count += one.value("count", std::size_t{0}); }
    }
    co_return count;
}

boost::asio::awaitable<std::size_t> Writer::write_all(nlohmann::json operations,
                                                      std::size_t batch) {
    std::size_t count = 0;
    nlohmann::json some = nlohmann::json::array();
    for (nlohmann::json& operation : operations) {
        some.push_back(std::move(operation));
        if (some.size() < batch) { continue; }
        nlohmann::json now = std::exchange(some, nlohmann::json::array());
        count += co_await write(std::move(now));
    }
    if (!some.empty()) { count += co_await write(std::move(some)); }
    co_return count;
}

boost::asio::awaitable<bool> until(std::function<bool()> holds, double seconds) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) { co_return false; }
        timer.expires_after(std::chrono::milliseconds(2));
        boost::system::error_code error;
        co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
    }
    co_return true;
}

boost::asio::awaitable<void> fill(Writer& config, Writer& status, const Shape& shape,
                                  std::size_t first_silent,
                                  std::vector<std::string> status_remotes) {
    auto normal = fleet::normalised(document(shape));
    if (!normal.ok()) { throw std::runtime_error(normal.error().message); }
    const fleet::PackedRows rows = fleet::pack(normal.value());
    fleet::CommitPlan plan = fleet::commit_plan({}, rows, {"fleet_scale", 1, false});
    for (nlohmann::json& transaction : plan.transactions) {
        co_await config.write(std::move(transaction));
    }
    nlohmann::json remotes = nlohmann::json::array();
    remotes.push_back(
        {{"op", "update"},
         {"table", "Global"},
         {"where", nlohmann::json::array()},
         {"row", {{"status_remotes", ovsdb::to_json(ovsdb::datum(status_remotes))}}}});
    co_await config.write(std::move(remotes));
    for (std::size_t host = first_silent; host < shape.hosts; ++host) {
        nlohmann::json operations = report(shape, host);
        co_await status.write_all(std::move(operations), kReportsEach);
    }
}

}  // namespace sluice::scale
