// SPDX-License-Identifier: Apache-2.0
// See rotate.h. Keys are taken out when the one behind them was in force in the last epoch already:
// nobody opens anything with them.
#include "controller-agent/keys/rotate.h"

#include <algorithm>

#include "sluice/base/limits.h"

namespace sluice::keys {
namespace {

constexpr std::uint64_t kEpochsAhead = 2;  // "From the epoch after the next on".

std::string whom(const std::string& policy) { return "key_policy " + policy; }

// Hosts that joined get what the opener can give them.
void give_to_new_hosts(std::vector<model::SealedKey>& keys, const Rotation& rotation,
                       const std::set<std::string>& hosts) {
    if (rotation.opener == nullptr) { return; }
    const std::string own = to_string(rotation.opener->public_key());
    for (model::SealedKey& key : keys) {
        const auto at = key.hosts.find(own);
        if (at == key.hosts.end()) { continue; }
        const auto opened = rotation.opener->open(at->second, rotation.policy, key.epoch);
        if (!opened) { continue; }
        for (const std::string& host : hosts) {
            if (key.hosts.contains(host)) { continue; }
            const auto to = parse_public_key(host);
            if (!to) { continue; }
            key.hosts.emplace(host, seal(opened.value(), *to, rotation.policy, key.epoch));
        }
    }
}

void drop_old(std::vector<model::SealedKey>& keys, std::uint64_t epoch) {
    while (keys.size() > 1 && keys[1].epoch + 1 <= epoch) { keys.erase(keys.begin()); }
}

}  // namespace

Result<model::SealedKey> sealed_from(const GroupKey& key, const std::string& policy,
                                     std::uint64_t epoch, const std::set<std::string>& hosts) {
    model::SealedKey out;
    out.epoch = epoch;
    for (const std::string& host : hosts) {
        const auto to = parse_public_key(host);
        if (!to) {
            return Error{Errc::kInvalid,
                         whom(policy) + ": \"" + host +
                             "\" is not the public key of a host: base64 of 32 bytes, as `sluice "
                             "key init` prints it",
                         whom(policy)};
        }
        out.hosts.emplace(host, seal(key, *to, policy, epoch));
    }
    if (!out.hosts.empty()) { return out; }
    return Error{Errc::kState,
                 whom(policy) + ": no host has a public key: run `sluice key init` on each",
                 whom(policy)};
}

Result<std::uint64_t> rotate(std::vector<model::SealedKey>& keys, const Rotation& rotation) {
    std::set<std::string> hosts = rotation.hosts;
    if (!keys.empty()) {
        for (const auto& [host, sealed] : keys.back().hosts) { hosts.insert(host); }
    }
    drop_old(keys, rotation.epoch);
    if (keys.size() >= kSealedKeyMax) {
        return Error{Errc::kLimit,
                     whom(rotation.policy) + ": " + std::to_string(keys.size()) +
                         " keys wait for their epoch, at most " + std::to_string(kSealedKeyMax) +
                         " can",
                     whom(rotation.policy)};
    }
    const std::uint64_t from =
        keys.empty() ? 0 : std::max(rotation.epoch + kEpochsAhead, keys.back().epoch + 1);
    Result<model::SealedKey> fresh =
        sealed_from(GroupKey::random(rotation.algorithm), rotation.policy, from, hosts);
    if (!fresh) { return fresh.error(); }
    give_to_new_hosts(keys, rotation, hosts);
    keys.push_back(std::move(fresh).value());
    return from;
}

}  // namespace sluice::keys
