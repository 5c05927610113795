// SPDX-License-Identifier: Apache-2.0
// EspHost: see esp_host.h.
#include "tests/packet/esp_host.h"

#include "sluice/base/assert.h"

namespace sluice::test {

using model::KeyAlgorithm;

nlohmann::json encrypted(const nlohmann::json& rules) {
    nlohmann::json document = three_vms();
    document["encryption"] = {
        {"key_policies",
         {{{"name", "kp1"}, {"id", kPolicyId}, {"key_file", "/nowhere/kp1.key"}},
          {{"name", "kp2"}, {"id", kPolicyId + 1}, {"key_file", "/nowhere/kp2.key"}}}},
        {"rules", rules}};
    return document;
}

nlohmann::json encrypted_all(bool required) {
    return encrypted(
        {{{"name", "all"}, {"action", "encrypt"}, {"key_policy", "kp1"}, {"required", required}}});
}

EspHost::EspHost(const RigOptions& options, bool has_keys)
    : rig(options),
      own(key_of(KeyAlgorithm::kAes128Gcm, Spi{kPolicyId, 1, 1, 0}.value())),
      peer(key_of(KeyAlgorithm::kAes128Gcm, Spi{kPolicyId, 1, 7, 3}.value())),
      second(key_of(KeyAlgorithm::kAes128Gcm, Spi{kPolicyId + 1, 1, 7, 3}.value())) {
    rig.resolve_all();
    rig.learn_far();
    if (has_keys) { give_keys(); }
}

void EspHost::give_keys() {
    SLUICE_ASSERT(associations().send_with(0, own).ok());
    SLUICE_ASSERT(associations().receive_with(1, peer).ok());
    SLUICE_ASSERT(associations().receive_with(1, second).ok());
}

Frames EspHost::opened(std::size_t outside) {
    Frames out;
    for (const Unwrapped& one : rig.tunnelled()) {
        const auto clear = open_by_peer(one.inner, own, next++, outside);
        EXPECT_TRUE(clear.has_value());
        out.push_back(clear.value_or(Bytes{}));
    }
    return out;
}

}  // namespace sluice::test
