// SPDX-License-Identifier: Apache-2.0
// Rotation: from when on, for whom, and what goes.
#include "controller-agent/keys/rotate.h"

#include <gtest/gtest.h>

#include "sluice/base/limits.h"

namespace sluice::keys {
namespace {

std::string name_of(const HostKey& host) { return to_string(host.public_key()); }

Rotation rotation_at(std::uint64_t epoch, std::set<std::string> hosts = {}) {
    Rotation rotation;
    rotation.policy = "kp1";
    rotation.epoch = epoch;
    rotation.hosts = std::move(hosts);
    return rotation;
}

const GroupKey* key_at(const LoadedKeys& loaded, std::uint64_t epoch) {
    return loaded.keys.at(epoch);
}

LoadedKeys load(const std::vector<model::SealedKey>& keys, const HostKey& host) {
    model::KeyPolicy policy;
    policy.name = "kp1";
    policy.keys = keys;
    auto loaded = load_group_keys(policy, &host);
    EXPECT_TRUE(loaded.ok());
    return std::move(loaded).value();
}

TEST(Rotate, TheFirstKeyIsInForceAtOnceALaterOneAfterTheNextEpoch) {
    const HostKey a = HostKey::random(), b = HostKey::random();
    std::vector<model::SealedKey> keys;
    EXPECT_EQ(rotate(keys, rotation_at(50, {name_of(a), name_of(b)})).value(), 0u);
    EXPECT_EQ(rotate(keys, rotation_at(50)).value(), 52u);
    EXPECT_EQ(rotate(keys, rotation_at(50)).value(), 53u);
    const LoadedKeys of_a = load(keys, a), of_b = load(keys, b);
    for (const std::uint64_t epoch : {50U, 51U, 52U, 53U}) {
        EXPECT_EQ(key_at(of_a, epoch)->fingerprint(), key_at(of_b, epoch)->fingerprint());
    }
    EXPECT_EQ(key_at(of_a, 50)->fingerprint(), key_at(of_a, 51)->fingerprint());
    EXPECT_NE(key_at(of_a, 51)->fingerprint(), key_at(of_a, 52)->fingerprint());
}

TEST(Rotate, DropsWhatNobodyNeeds) {
    const HostKey a = HostKey::random();
    std::vector<model::SealedKey> keys;
    static_cast<void>(rotate(keys, rotation_at(10, {name_of(a)})));
    static_cast<void>(rotate(keys, rotation_at(10)));  // From 12 on.
    static_cast<void>(rotate(keys, rotation_at(12)));  // 11 may still be on its way.
    EXPECT_EQ(keys.size(), 3u);
    static_cast<void>(rotate(keys, rotation_at(13)));
    EXPECT_EQ(keys.front().epoch, 12u);
    while (keys.size() < kSealedKeyMax) { ASSERT_TRUE(rotate(keys, rotation_at(13)).ok()); }
    EXPECT_EQ(rotate(keys, rotation_at(13)).error().code, Errc::kLimit);
}

TEST(Rotate, WhoCanOpenGivesPresentKeysToThoseWhoJoin) {
    const HostKey a = HostKey::random(), late = HostKey::random();
    std::vector<model::SealedKey> keys;
    static_cast<void>(rotate(keys, rotation_at(50, {name_of(a)})));
    std::vector<model::SealedKey> without = keys;
    static_cast<void>(rotate(without, rotation_at(50, {name_of(late)})));
    EXPECT_EQ(key_at(load(without, late), 51), nullptr);
    EXPECT_NE(key_at(load(without, late), 52), nullptr);
    Rotation rotation = rotation_at(50, {name_of(late)});
    rotation.opener = &a;
    static_cast<void>(rotate(keys, rotation));
    EXPECT_EQ(key_at(load(keys, late), 50)->fingerprint(),
              key_at(load(keys, a), 50)->fingerprint());
}

TEST(Rotate, WantsHosts) {
    std::vector<model::SealedKey> keys;
    EXPECT_EQ(rotate(keys, rotation_at(1)).error().code, Errc::kState);
    EXPECT_EQ(rotate(keys, rotation_at(1, {"nobody"})).error().code, Errc::kInvalid);
    EXPECT_TRUE(keys.empty());
}

}  // namespace
}  // namespace sluice::keys
