// SPDX-License-Identifier: Apache-2.0
// Group keys from files and from the document: see group_key.h.
#include "controller-agent/keys/group_key.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "controller-agent/json_text.h"
#include "controller-agent/keys/derive.h"
#include "controller-agent/keys/key_files.h"
#include "controller-agent/keys/sealed.h"
#include "sluice/base/assert.h"
#include "sluice/base/base64.h"
#include "sluice/base/limits.h"

namespace sluice::keys {
namespace {

using nlohmann::json;

std::string whom(const model::KeyPolicy& policy) { return "key_policy " + policy.name; }

Error invalid(const std::string& whom, const std::string& what) {
    return {Errc::kInvalid, whom + ": " + what, whom};
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) { return std::nullopt; }
    std::vector<std::uint8_t> bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = digit_of(text[i]), low = digit_of(text[i + 1]);
        if (high < 0 || low < 0) { return std::nullopt; }
        bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
    }
    return bytes;
}

// Seen: bytes of the key that the text says, for a sentence.
std::string seen_in(std::string_view text) {
    const std::string_view word = trimmed(text);
    if (const auto hex = from_hex(word)) { return std::to_string(hex->size()) + " bytes in hex"; }
    if (const auto decoded = base64_decode(word)) {
        return std::to_string(decoded->size()) + " bytes in base64";
    }
    return std::to_string(text.size()) + " bytes";
}

Result<model::SealedKey> sealed_key(const json& item, const std::string& whom) {
    const bool has_shape = item.is_object() && item.size() == 2 && item.contains("epoch") &&
                           item["epoch"].is_number_unsigned() && item.contains("hosts") &&
                           item["hosts"].is_object();
    if (!has_shape) {
        return invalid(whom, "a sealed key is {\"epoch\": N, \"hosts\": {PUBLIC KEY: SEALED}}");
    }
    model::SealedKey key;
    key.epoch = item["epoch"].get<std::uint64_t>();
    for (const auto& [host, sealed] : item["hosts"].items()) {
        if (!sealed.is_string() || !parse_public_key(host)) {
            return invalid(whom, "\"" + host + "\" is not the public key of a host");
        }
        key.hosts.emplace(host, sealed.get<std::string>());
    }
    return key;
}

Result<GroupKey> open_one(const model::KeyPolicy& policy, std::uint64_t epoch,
                          const std::string& sealed, const HostKey& host) {
    Result<GroupKey> opened = host.open(sealed, policy.name, epoch);
    if (!opened) { return invalid(whom(policy), opened.error().message); }
    const std::size_t size = opened.value().bytes().size();
    const std::size_t wanted = model::key_size(policy.algorithm);
    if (size == wanted) { return opened; }
    return invalid(whom(policy), "the key of epoch " + std::to_string(epoch) + " has " +
                                     std::to_string(size) + " bytes, its algorithm wants " +
                                     std::to_string(wanted));
}

Result<LoadedKeys> open_sealed(const model::KeyPolicy& policy,
                               const std::vector<model::SealedKey>& sealed, const HostKey* host) {
    LoadedKeys out;
    if (sealed.empty()) {
        out.why = "it has no key: run `sluice key rotate " + policy.name + "`";
        return out;
    }
    if (host == nullptr) {
        out.why =
            "its keys are sealed to hosts, and this host has no key pair: run `sluice key "
            "init`, then `sluice key rotate " +
            policy.name + "`";
        return out;
    }
    const std::string own = to_string(host->public_key());
    for (const model::SealedKey& key : sealed) {
        const auto at = key.hosts.find(own);
        if (at == key.hosts.end()) { continue; }
        Result<GroupKey> opened = open_one(policy, key.epoch, at->second, *host);
        if (!opened) { return opened.error(); }
        out.keys.add(key.epoch, std::move(opened).value());
    }
    if (out.keys.all().empty()) {
        out.why = "none of its keys is sealed to this host, whose public key is " + own +
                  ": run `sluice key rotate " + policy.name + "`";
    }
    return out;
}

}  // namespace

GroupKey::GroupKey(std::span<const std::uint8_t> bytes) : size_(bytes.size()) {
    SLUICE_ASSERT(size_ <= bytes_.bytes().size());
    std::copy(bytes.begin(), bytes.end(), bytes_.bytes().begin());
}

GroupKey GroupKey::random(model::KeyAlgorithm algorithm) {
    Secret<32> bytes;
    const std::size_t size = model::key_size(algorithm);
    SLUICE_ASSERT(RAND_priv_bytes(bytes.bytes().data(), static_cast<int>(size)) == 1);
    return GroupKey(bytes.bytes().first(size));
}

std::string GroupKey::fingerprint() const {
    constexpr std::string_view kSalt = "sluice key id 1";
    const auto* salt = reinterpret_cast<const std::uint8_t*>(kSalt.data());
    std::array<std::uint8_t, 4> out{};
    hkdf_sha256({salt, kSalt.size()}, bytes(), {}, out);
    std::string text;
    for (const std::uint8_t byte : out) {
        text += "0123456789abcdef"[byte >> 4U];
        text += "0123456789abcdef"[byte & 15U];
    }
    return text;
}

void GroupKeys::add(std::uint64_t epoch, GroupKey key) {
    keys_.push_back({epoch, std::move(key)});
    std::sort(keys_.begin(), keys_.end(),
              [](const EpochKey& a, const EpochKey& b) { return a.epoch < b.epoch; });
}

const GroupKey* GroupKeys::at(std::uint64_t epoch) const noexcept {
    const GroupKey* found = nullptr;
    for (const EpochKey& each : keys_) {
        if (each.epoch <= epoch) { found = &each.key; }
    }
    return found;
}

std::optional<GroupKey> parse_group_key(std::string_view text, std::size_t size) {
    if (text.size() == size) {
        return GroupKey({reinterpret_cast<const std::uint8_t*>(text.data()), size});
    }
    const std::string_view word = trimmed(text);
    auto bytes = from_hex(word);
    if (!bytes || bytes->size() != size) { bytes = base64_decode(word); }
    if (!bytes) { return std::nullopt; }
    const Wiped wiped(*bytes);
    if (bytes->size() != size) { return std::nullopt; }
    return GroupKey(*bytes);
}

Result<std::vector<model::SealedKey>> parse_sealed_keys(std::string_view text,
                                                        const std::string& whom) {
    Result<json> parsed = agent::parse_json(text);
    if (!parsed || !parsed.value().is_array() || parsed.value().size() > kSealedKeyMax) {
        return invalid(whom,
                       "sealed keys are a JSON list of at most " + std::to_string(kSealedKeyMax));
    }
    std::vector<model::SealedKey> keys;
    for (const json& item : parsed.value()) {
        Result<model::SealedKey> key = sealed_key(item, whom);
        if (!key) { return key.error(); }
        if (!keys.empty() && keys.back().epoch >= key.value().epoch) {
            return invalid(whom, "epochs of its sealed keys don't ascend");
        }
        keys.push_back(std::move(key).value());
    }
    return keys;
}

std::string sealed_keys_text(const std::vector<model::SealedKey>& keys) {
    json list = json::array();
    for (const model::SealedKey& key : keys) {
        list.push_back({{"epoch", key.epoch}, {"hosts", key.hosts}});
    }
    return list.dump(1) + "\n";
}

Result<KeyFile> read_key_file(const model::KeyPolicy& policy) {
    Result<std::string> text = read_private_file(policy.key_file, whom(policy));
    if (!text) { return text.error(); }
    const Wiped wiped(text.value());
    KeyFile out;
    const std::size_t size = model::key_size(policy.algorithm);
    out.key = parse_group_key(text.value(), size);
    if (out.key) { return out; }
    if (text.value().starts_with('[')) {
        auto sealed = parse_sealed_keys(text.value(), whom(policy) + ": " + policy.key_file);
        if (!sealed) { return Error{Errc::kInvalid, sealed.error().message, whom(policy)}; }
        out.sealed = std::move(sealed).value();
        return out;
    }
    return invalid(whom(policy), policy.key_file + " has " + seen_in(text.value()) +
                                     ", its algorithm wants a key of " + std::to_string(size) +
                                     " bytes, as they are, in hex or in base64");
}

Result<LoadedKeys> load_group_keys(const model::KeyPolicy& policy, const HostKey* host) {
    if (policy.key_file.empty()) { return open_sealed(policy, policy.keys, host); }
    Result<KeyFile> file = read_key_file(policy);
    if (!file) { return file.error(); }
    if (!file.value().key) { return open_sealed(policy, file.value().sealed, host); }
    LoadedKeys out;
    out.keys.add(0, std::move(*file.value().key));
    return out;
}

}  // namespace sluice::keys
