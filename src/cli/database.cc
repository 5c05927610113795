// SPDX-License-Identifier: Apache-2.0
// The client on an io_context of its own, which runs while somebody waits. See database.h.
#include "database.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <optional>
#include <random>

namespace sluice::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatienceOne{3}, kPatienceMany{10};

}  // namespace

Database::~Database() {
    if (client_) { client_->stop(); }
}

Outcome<bool> Database::open(const std::string& remotes, const DatabaseOptions& options,
                             std::vector<ovsdb::Interest> interest, bool leader_only) {
    Result<std::vector<ovsdb::Remote>> parsed = ovsdb::parse_remotes(remotes);
    if (!parsed) { return Failure{"usage", parsed.error().message, ""}; }
    asked_ = remotes;
    const std::size_t count = parsed.value().size();
    ovsdb::ClientOptions client;
    client.remotes = std::move(parsed.value());
    client.database = name_;
    client.tls = {options.private_key, options.certificate, options.ca_certificate, ""};
    client.leader_only = leader_only;
    client.seed = std::random_device{}();
    ovsdb::ClientEvents events;
    events.on_state = [this](ovsdb::ClientState state, const std::string& why) {
        if (state == ovsdb::ClientState::kSyncing) { is_syncing_ = true; }
        if (state == ovsdb::ClientState::kBackoff) {
            ++failures_;
            is_syncing_ = false;
        }
        if (!why.empty()) { why_ = why; }
    };
    events.on_change = [](const std::vector<ovsdb::RowChange>&, bool) {};
    client_ = std::make_unique<ovsdb::Client>(io_, std::move(client), std::move(events));
    client_->set_interest(std::move(interest));
    client_->start();
    return wait_until_read(count);
}

Outcome<bool> Database::wait_until_read(std::size_t remotes) {
    const auto begun = Clock::now();
    const auto patience = remotes == 1 ? kPatienceOne : kPatienceMany;
    while (!client_->was_complete()) {
        const auto now = Clock::now();
        const bool is_hopeless = !is_syncing_ && failures_ >= remotes && now - begun > patience;
        if (now >= deadline_ || is_hopeless) { return unreachable(); }
        io_.run_one_for(milliseconds{50});
    }
    return true;
}

Failure Database::unreachable() const {
    std::string message = "database " + name_ + " at " + asked_ + ": ";
    message += why_.empty() ? "no answer in time (see --timeout)" : "not reached: " + why_;
    return {"io", message, ""};
}

ovsdb::TransactResult Database::transact(nlohmann::json operations) {
    auto result = std::make_shared<std::optional<ovsdb::TransactResult>>();
    auto transaction = client_->transact(std::move(operations));
    boost::asio::co_spawn(io_, std::move(transaction),
                          [result](const std::exception_ptr&, ovsdb::TransactResult answer) {
                              *result = std::move(answer);
                          });
    while (!result->has_value() && Clock::now() < deadline_) { io_.run_one_for(milliseconds{50}); }
    if (result->has_value()) { return std::move(**result); }
    ovsdb::TransactResult late;
    late.outcome = ovsdb::Outcome::kUnknown;
    late.error = "no answer in time (see --timeout)";
    return late;
}

bool Database::wait_for(const std::function<bool()>& is_done, milliseconds patience) {
    const auto until = std::min(deadline_, Clock::now() + patience);
    while (!is_done()) {
        if (Clock::now() >= until) { return false; }
        io_.run_one_for(milliseconds{50});
    }
    return true;
}

}  // namespace sluice::cli
