// SPDX-License-Identifier: Apache-2.0
// key init, key show, key rotate: this host's key pair, and the group keys of slot 15. A key is
// made, sealed and written here; the daemon is told, or a fleet's document is committed.
#include <array>
#include <chrono>
#include <set>

#include "cli.h"
#include "command.h"
#include "commands_database.h"
#include "controller-agent/keys/key_files.h"
#include "controller-agent/keys/rotate.h"
#include "fleet_commit.h"
#include "fleet_reports.h"
#include "format.h"
#include "invocation.h"
#include "sluice/base/limits.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using Hosts = std::set<std::string>;  // Public keys.
constexpr const char* kStateFolder = "/var/lib/sluice";

std::string state_folder(const Invocation& invocation) {
    return invocation.params.value("state_dir", kStateFolder);
}

std::uint64_t unix_s() { return static_cast<std::uint64_t>(unix_now_ms() / 1000); }

Outcome<json> init_key(const Invocation& invocation, const Streams&) {
    const std::string folder = state_folder(invocation);
    const keys::HostKey fresh = keys::HostKey::random();
    const Status saved = fresh.save(folder);
    if (!saved && saved.error().code != Errc::kExists) { return failure_of(saved.error()); }
    const Result<keys::HostKey> kept = keys::HostKey::load(folder);
    if (!kept) { return failure_of(kept.error()); }
    return json{{"public_key", keys::to_string(kept.value().public_key())}, {"made", saved.ok()}};
}

// What a policy is, of `key show` or of a document.
struct Policy {
    model::KeyPolicy what;  // Without keys.
    std::uint64_t epoch = 0;
};

model::KeyAlgorithm algorithm_of(const json& row) {
    const std::string text = row.value("algorithm", "aes-128-gcm");
    if (text == "aes-256-gcm") { return model::KeyAlgorithm::kAes256Gcm; }
    return text == "aes-128-gmac" ? model::KeyAlgorithm::kAes128Gmac
                                  : model::KeyAlgorithm::kAes128Gcm;
}

Policy policy_of(const json& row, const std::string& name) {
    Policy policy;
    policy.what.name = name;
    policy.what.algorithm = algorithm_of(row);
    policy.what.rotate_s = row.value("rotate_s", policy.what.rotate_s);
    policy.what.key_file = row.value("key_file", "");
    policy.epoch = unix_s() / policy.what.rotate_s;
    return policy;
}

json rotated(const Policy& policy, std::uint64_t from, const model::SealedKey& key) {
    const std::uint64_t at_s = from * policy.what.rotate_s;
    const std::uint64_t now_s = unix_s();
    return {{"policy", policy.what.name},
            {"from_epoch", from},
            {"in_s", at_s > now_s ? at_s - now_s : 0},
            {"hosts", key.hosts.size()}};
}

// The key pair of this host, if it can be read.
std::optional<keys::HostKey> own_key(const Invocation& invocation) {
    Result<keys::HostKey> key = keys::HostKey::load(state_folder(invocation));
    if (!key) { return std::nullopt; }
    return std::move(key).value();
}

Outcome<json> add_key(std::vector<model::SealedKey>& sealed, const Policy& policy, Hosts hosts,
                      const Invocation& invocation) {
    const auto opener = own_key(invocation);
    for (const std::string& each : invocation.params.value("for", std::vector<std::string>{})) {
        hosts.insert(each);
    }
    keys::Rotation rotation{policy.what.name, policy.what.algorithm, policy.epoch, std::move(hosts),
                            opener ? &*opener : nullptr};
    const Result<std::uint64_t> from = keys::rotate(sealed, rotation);
    if (!from) { return failure_of(from.error()); }
    return rotated(policy, from.value(), sealed.back());
}

Outcome<std::vector<model::SealedKey>> sealed_of(const json& row, const Policy& policy) {
    const auto at = row.find("keys");
    if (at == row.end()) { return std::vector<model::SealedKey>{}; }
    auto keys = keys::parse_sealed_keys(at->dump(), "key_policy " + policy.what.name);
    if (!keys) { return failure_of(keys.error()); }
    return std::move(keys).value();
}

/// The policy in a document; null: there is none.
json* find_policy(json& document, const std::string& name) {
    const auto encryption = document.find("encryption");
    if (encryption == document.end() || !encryption->contains("key_policies")) { return nullptr; }
    for (json& row : (*encryption)["key_policies"]) {
        if (row.value("name", "") == name) { return &row; }
    }
    return nullptr;
}

Failure no_policy(const std::string& name) {
    return {"not_found", "key_policy " + name + " is not in the document", "key_policy " + name};
}

/// Adds a key to a policy of a document that holds its keys.
Outcome<json> rotate_in(json& document, const Hosts& hosts, const Invocation& invocation) {
    const std::string name = invocation.params.value("policy", "");
    json* row = find_policy(document, name);
    if (row == nullptr) { return no_policy(name); }
    const Policy policy = policy_of(*row, name);
    if (!policy.what.key_file.empty()) {
        return Failure{"state",
                       "key_policy " + name + " has its key in " + policy.what.key_file +
                           " of each host: rotate it there, or take key_file out of the document",
                       "key_policy " + name};
    }
    auto sealed = sealed_of(*row, policy);
    if (!sealed.ok()) { return sealed.failure(); }
    auto done = add_key(sealed.value(), policy, hosts, invocation);
    if (done.ok()) { (*row)["keys"] = json::parse(keys::sealed_keys_text(sealed.value())); }
    return done;
}

// A key in the clear becomes one that is sealed, in force until the fresh one is.
Outcome<json> rotate_file(const Policy& policy, const Hosts& hosts, const Invocation& invocation) {
    auto file = keys::read_key_file(policy.what);
    if (!file && file.error().code != Errc::kNotFound) { return failure_of(file.error()); }
    std::vector<model::SealedKey> sealed;
    if (file) { sealed = std::move(file.value().sealed); }
    if (file && file.value().key) {
        Hosts all = hosts;
        for (const auto& each : invocation.params.value("for", std::vector<std::string>{})) {
            all.insert(each);
        }
        auto first = keys::sealed_from(*file.value().key, policy.what.name, 0, all);
        if (!first) { return failure_of(first.error()); }
        sealed.push_back(std::move(first).value());
    }
    auto done = add_key(sealed, policy, hosts, invocation);
    if (!done.ok()) { return done; }
    const std::string text = keys::sealed_keys_text(sealed);
    const Status written = keys::replace_private_file(policy.what.key_file, text);
    if (!written) { return failure_of(written.error()); }
    done.value()["file"] = policy.what.key_file;
    return done;
}

Hosts own_public(const Invocation& invocation) {
    const auto key = own_key(invocation);
    return key ? Hosts{keys::to_string(key->public_key())} : Hosts{};
}

/// Through the daemon of this host.
Outcome<json> rotate_here(const Invocation& invocation, const Streams&) {
    const std::string name = invocation.params.value("policy", "");
    auto exported = call(invocation.endpoint, "export", "{}");
    if (!exported.ok()) { return exported; }
    json document = std::move(exported.value());
    json* row = find_policy(document, name);
    if (row == nullptr) { return no_policy(name); }
    const Policy policy = policy_of(*row, name);
    const Hosts hosts = own_public(invocation);
    if (!policy.what.key_file.empty()) {
        auto done = rotate_file(policy, hosts, invocation);
        if (!done.ok()) { return done; }
        auto told = call(invocation.endpoint, "key.reload", "{}");
        return told.ok() ? done : told;
    }
    auto done = rotate_in(document, hosts, invocation);
    if (!done.ok()) { return done; }
    auto applied = call(invocation.endpoint, "apply", document.dump());
    if (!applied.ok()) { return applied; }
    done.value()["generation"] = applied.value()["generation"];
    return done;
}

/// Hosts' public keys by name, as they report them.
Outcome<std::map<std::string, std::string>> public_keys(const Invocation& invocation) {
    Database reports("Sluice_Status", deadline_of(invocation));
    auto opened = open_reports(reports, invocation.database, {"Host"}, deadline_of(invocation));
    if (!opened.ok()) { return opened.failure(); }
    std::map<std::string, std::string> out;
    for (const auto& [name, host] : host_reports(reports.tables())) {
        if (!host.public_key.empty()) { out[name] = host.public_key; }
    }
    return out;
}

/// In a fleet's document, for every host that reports a public key.
Outcome<json> rotate_fleet(const Invocation& invocation, const Streams& streams) {
    auto reported = public_keys(invocation);
    if (!reported.ok()) { return reported.failure(); }
    Hosts hosts;
    for (const auto& [name, key] : reported.value()) { hosts.insert(key); }
    Database config("Sluice_Config", deadline_of(invocation));
    auto opened =
        config.open(invocation.database.remotes, invocation.database, config_interest(), true);
    if (!opened.ok()) { return opened.failure(); }
    json document = stored_document(config).document;
    auto done = rotate_in(document, hosts, invocation);
    if (!done.ok()) { return done; }
    auto committed = commit_fleet(config, document, {}, streams.err);
    if (!committed.ok()) { return committed; }
    done.value()["generation"] = committed.value()["generation"];
    return done;
}

/// `key show` of a fleet: what its document holds, and for whom.
Outcome<json> show_fleet(const Invocation& invocation, const Streams&) {
    const std::string only = invocation.params.value("policy", "");
    auto reported = public_keys(invocation);
    if (!reported.ok()) { return reported.failure(); }
    Database config("Sluice_Config", deadline_of(invocation));
    auto opened =
        config.open(invocation.database.remotes, invocation.database, config_interest(), false);
    if (!opened.ok()) { return opened.failure(); }
    json document = stored_document(config).document;
    if (!only.empty() && find_policy(document, only) == nullptr) { return no_policy(only); }
    json out = json::array();
    const json encryption = document.value("encryption", json::object());
    for (const json& row : encryption.value("key_policies", json::array())) {
        const Policy policy = policy_of(row, row.value("name", ""));
        if (!only.empty() && policy.what.name != only) { continue; }
        json shown{
            {"policy", policy.what.name},
            {"id", row.value("id", unsigned{model::default_key_policy_id(policy.what.name)})},
            {"algorithm", row.value("algorithm", "aes-128-gcm")},
            {"rotate_s", policy.what.rotate_s},
            {"epoch", policy.epoch},
            {"source", policy.what.key_file.empty() ? "document" : policy.what.key_file},
            {"keys", json::array()}};
        auto sealed = sealed_of(row, policy);
        if (!sealed.ok()) { return sealed.failure(); }
        for (const model::SealedKey& key : sealed.value()) {
            json with = json::array(), without = json::array();
            for (const auto& [name, host] : reported.value()) {
                (key.hosts.contains(host) ? with : without).push_back(name);
            }
            shown["keys"].push_back({{"from_epoch", key.epoch},
                                     {"from_s", key.epoch * policy.what.rotate_s},
                                     {"sealed_to", key.hosts.size()},
                                     {"hosts", std::move(with)},
                                     {"hosts_without", std::move(without)}});
        }
        out.push_back(std::move(shown));
    }
    return out;
}

void render_init(const json& result, const View& view) {
    view.out << printable(as_text(value_at(result, "public_key"))) << '\n';
}

void render_rotated(const json& result, const View& view) {
    const bool is_first = value_at(result, "from_epoch") == 0;
    view.out << "key policy " << printable(as_text(value_at(result, "policy")))
             << ": a fresh key, sealed to " << as_count(value_at(result, "hosts"))
             << (value_at(result, "hosts") == 1 ? " host, " : " hosts, ")
             << (is_first ? "in force at once" : "in force from epoch ");
    if (!is_first) {
        view.out << as_text(value_at(result, "from_epoch")) << " on, in "
                 << format_duration(number_of(value_at(result, "in_s")));
    }
    view.out << '\n';
    if (result.contains("file")) {
        view.out << "copy " << printable(as_text(value_at(result, "file")))
                 << " to the other hosts before then, and run `sluice key reload` there\n";
    }
}

std::string in_force(const json& key) {
    return value_at(key, "in_force") == true ? "in force" : "";
}

void render_keys(const json& result, const View& view) {
    if (result.empty()) { view.out << "no key policies\n"; }
    for (const json& row : result) {
        view.out << paint(view, Color::kBold, printable(as_text(value_at(row, "policy")))) << "  "
                 << as_text(value_at(row, "algorithm")) << ", number "
                 << as_text(value_at(row, "id")) << ", epoch " << as_text(value_at(row, "epoch"))
                 << " of " << as_text(value_at(row, "rotate_s")) << " s, "
                 << printable(as_text(value_at(row, "source"))) << '\n';
        if (row.contains("why")) {
            view.out << "  ! " << printable(as_text(value_at(row, "why"))) << '\n';
        }
        for (const json& key : value_at(row, "keys")) {
            view.out << "  from epoch " << as_text(value_at(key, "from_epoch"));
            if (key.contains("key_id")) {
                view.out << "  key " << as_text(value_at(key, "key_id")) << "  " << in_force(key);
            } else {
                view.out << "  sealed to " << as_count(value_at(key, "sealed_to"))
                         << "; of the hosts " << value_at(key, "hosts").size() << " can open it";
                if (!value_at(key, "hosts_without").empty()) {
                    view.out << ", these can't: "
                             << printable(as_text(value_at(key, "hosts_without")));
                }
            }
            view.out << '\n';
        }
    }
}

void render_reloaded(const json& result, const View& view) {
    view.out << "read the keys of " << as_count(value_at(result, "policies"))
             << (value_at(result, "policies") == 1 ? " key policy\n" : " key policies\n");
}

}  // namespace

std::vector<Command> key_commands() {
    const Argument state_dir{"--state-dir",
                             "state_dir",
                             Kind::kText,
                             false,
                             "the daemon's state folder, /var/lib/sluice if not given",
                             Offer::kFiles,
                             "",
                             "DIR"};
    const Argument hosts{"--for",
                         "for",
                         Kind::kTexts,
                         false,
                         "also for the host with this public key; may be repeated",
                         Offer::kNothing,
                         "",
                         "PUBLIC-KEY"};
    Command init{"key init",
                 "make this host's key pair, once, and print its public key",
                 {state_dir},
                 {"key init", "key init --state-dir /var/lib/sluice"},
                 render_init};
    init.answer = init_key;
    Command show{
        "key show",
        "the group keys of each key policy: from which epoch on, and who can open them",
        {{"POLICY", "policy", Kind::kText, false, "only of this key policy", Offer::kKeyPolicies}},
        {"key show", "key show kp1", "--db tcp:10.0.0.5:6641 key show kp1"},
        render_keys};
    show.on_database = show_fleet;
    Command rotate{
        "key rotate",
        "a fresh group key, sealed to each host, from the epoch after the next on",
        {{"POLICY", "policy", Kind::kText, true, "name of a key policy", Offer::kKeyPolicies},
         hosts,
         state_dir},
        {"key rotate kp1", "key rotate kp1 --for 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
         "--db tcp:10.0.0.5:6641 key rotate kp1"},
        render_rotated};
    rotate.answer = rotate_here;
    rotate.on_database = rotate_fleet;
    return {std::move(init),
            std::move(show),
            std::move(rotate),
            {"key reload",
             "read key files and this host's key pair again",
             {},
             {"key reload"},
             render_reloaded}};
}

}  // namespace sluice::cli
