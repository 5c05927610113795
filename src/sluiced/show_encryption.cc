// SPDX-License-Identifier: Apache-2.0
// KeyService's answers: `show encryption`, `key show`, `key reload`, and what metrics sum up. Names
// and fingerprints; no key leaves the service. Control thread.
#include <chrono>
#include <set>
#include <utility>

#include "admin/params.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/key_service.h"
#include "src/sluiced/vtep_rows.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

std::uint64_t unix_s() {
    return static_cast<std::uint64_t>(
        std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
}

const char* to_text(model::KeyAlgorithm algorithm) {
    switch (algorithm) {
        case model::KeyAlgorithm::kAes128Gcm: return "aes-128-gcm";
        case model::KeyAlgorithm::kAes256Gcm: return "aes-256-gcm";
        case model::KeyAlgorithm::kAes128Gmac: return "aes-128-gmac";
    }
    return "";
}

}  // namespace

void KeyService::add(PolicyTotals& totals, const datapath::SaFigures& row) {
    Totals& of = totals[Spi::of(row.spi).policy];
    (row.is_sending ? of.sealed_packets : of.opened_packets) += row.packets;
    (row.is_sending ? of.sealed_bytes : of.opened_bytes) += row.bytes;
    of.replayed += row.replayed;
    of.bad_tags += row.bad_tags;
}

// What the associations did that go with the plan.
void KeyService::keep_totals(const KeyPlan& plan) {
    const std::set<std::pair<std::uint16_t, std::uint32_t>> receiving(plan.stop_receiving.begin(),
                                                                      plan.stop_receiving.end());
    std::set<std::pair<std::uint16_t, std::uint8_t>> sending(plan.stop_sending.begin(),
                                                             plan.stop_sending.end());
    for (const KeyPlan::Sending& one : plan.send) {
        sending.emplace(one.vtep, Spi::of(one.spi).policy);
    }
    if (receiving.empty() && sending.empty()) { return; }
    for (const datapath::SaFigures& row : dataplane_.associations().figures()) {
        const bool goes = row.is_sending ? sending.contains({row.vtep, Spi::of(row.spi).policy})
                                         : receiving.contains({row.remote, row.spi});
        if (goes) { add(gone_, row); }
    }
}

std::vector<KeyService::Totals> KeyService::totals() const {
    PolicyTotals sums = gone_;
    for (const datapath::SaFigures& row : dataplane_.associations().figures()) { add(sums, row); }
    std::vector<Totals> out;
    const std::uint64_t now_s = unix_s();
    for (const auto& [id, policy] : loaded_.policies) {
        Totals& of = out.emplace_back(sums[id]);
        of.policy = policy.what.name;
        of.has_key = policy.keys.at(now_s / policy.what.rotate_s) != nullptr;
    }
    return out;
}

json KeyService::sending_json(const datapath::SaFigures& row) const {
    return {{"vtep", vtep_name(dataplane_.snapshot(), row.vtep)},
            {"spi", row.spi},
            {"generation", Spi::of(row.spi).generation},
            {"worker", Spi::of(row.spi).worker},
            {"packets", row.packets},
            {"bytes", row.bytes},
            {"sequence", row.sequence}};
}

json KeyService::receiving_json(const datapath::SaFigures& row) const {
    const auto& remotes = dataplane_.snapshot().remotes;
    return {{"vtep", row.remote < remotes.size() ? to_string(remotes[row.remote].ip) : ""},
            {"spi", row.spi},
            {"generation", Spi::of(row.spi).generation},
            {"worker", Spi::of(row.spi).worker},
            {"packets", row.packets},
            {"bytes", row.bytes},
            {"sequence", row.sequence},
            {"replayed", row.replayed},
            {"bad_tags", row.bad_tags}};
}

json KeyService::policy_json(std::uint8_t id, const Policy& policy, const Figures& figures) const {
    const std::uint64_t now_s = unix_s();
    const std::uint64_t rotate_s = policy.what.rotate_s;
    const keys::GroupKey* key = policy.keys.at(now_s / rotate_s);
    json row{{"policy", policy.what.name},
             {"id", id},
             {"algorithm", to_text(policy.what.algorithm)},
             {"epoch", now_s / rotate_s},
             {"next_rotation_s", rotate_s - now_s % rotate_s},
             {"key_id", key == nullptr ? json() : json(key->fingerprint())},
             {"unsealed_local_packets", unsealed_local()},
             {"sending", json::array()},
             {"receiving", json::array()}};
    if (key == nullptr && !policy.why.empty()) { row["why"] = policy.why; }
    for (const std::string& fault : {fault_, generation_fault_}) {
        if (!fault.empty()) { row["fault"] = fault; }
    }
    for (const datapath::SaFigures& one : figures) {
        if (Spi::of(one.spi).policy != id) { continue; }
        if (one.is_sending) {
            row["sending"].push_back(sending_json(one));
        } else {
            row["receiving"].push_back(receiving_json(one));
        }
    }
    return row;
}

std::uint64_t KeyService::unsealed_local() const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < dataplane_.worker_count(); ++i) {
        sum += std::as_const(dataplane_).worker(i).context().counters.unsealed_local.get();
    }
    return sum;
}

boost::asio::awaitable<Result<json>> KeyService::encryption() {
    co_await run_on_workers<datapath::FoldCommand>(dataplane_);  // What flows carried.
    const Figures figures = dataplane_.associations().figures();
    json rows = json::array();
    for (const auto& [id, policy] : loaded_.policies) {
        rows.push_back(policy_json(id, policy, figures));
    }
    co_return rows;
}

json KeyService::keys_json(std::uint8_t id, const Policy& policy) const {
    const model::KeyPolicy& what = policy.what;
    const std::uint64_t epoch = unix_s() / what.rotate_s;
    json row{{"policy", what.name},
             {"id", id},
             {"algorithm", to_text(what.algorithm)},
             {"rotate_s", what.rotate_s},
             {"epoch", epoch},
             {"source", what.key_file.empty() ? json("document") : json(what.key_file)},
             {"public_key", loaded_.public_key.empty() ? json() : json(loaded_.public_key)},
             {"keys", json::array()}};
    if (!policy.why.empty()) { row["why"] = policy.why; }
    const keys::GroupKey* now = policy.keys.at(epoch);
    for (const keys::EpochKey& each : policy.keys.all()) {
        row["keys"].push_back({{"from_epoch", each.epoch},
                               {"from_s", each.epoch * what.rotate_s},
                               {"key_id", each.key.fingerprint()},
                               {"in_force", &each.key == now}});
    }
    return row;
}

Result<json> KeyService::keys(const std::string& policy) const {
    json rows = json::array();
    for (const auto& [id, each] : loaded_.policies) {
        if (policy.empty() || each.what.name == policy) { rows.push_back(keys_json(id, each)); }
    }
    if (!policy.empty() && rows.empty()) {
        return Error{Errc::kNotFound, "key_policy " + policy + " does not exist",
                     "key_policy " + policy};
    }
    return rows;
}

void add_key_methods(admin::AdminServer& server, KeyService& keys) {
    using admin::Access;
    using admin::Peer;
    server.add("show.encryption", Access::kRead,
               [&keys](const json&, const Peer&) -> boost::asio::awaitable<Result<json>> {
                   return keys.encryption();
               });
    server.add("key.show", Access::kRead, [&keys](const json& params, const Peer&) -> Result<json> {
        admin::ParamReader read(params);
        const std::string policy = read.text("policy");
        if (const Status status = read.finish(); !status) { return status.error(); }
        return keys.keys(policy);
    });
    server.add("key.reload", Access::kChange,
               [&keys](const json&, const Peer&) -> boost::asio::awaitable<Result<json>> {
                   return keys.reload();
               });
}

}  // namespace sluice::daemon
