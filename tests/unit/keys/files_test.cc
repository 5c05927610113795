// SPDX-License-Identifier: Apache-2.0
// Key files in each form, what is refused with which words, and which key is in force when.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "controller-agent/keys/group_key.h"
#include "controller-agent/keys/sealed.h"
#include "sluice/base/base64.h"
#include "tests/unit/keys/text.h"

namespace sluice::keys {
namespace {

using test::counting;
using test::hex;

model::KeyPolicy policy_with(const std::string& path,
                             model::KeyAlgorithm algorithm = model::KeyAlgorithm::kAes128Gcm) {
    model::KeyPolicy policy;
    policy.name = "kp1";
    policy.algorithm = algorithm;
    policy.key_file = path;
    return policy;
}

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

TEST(KeyFile, HoldsOneKeyAsBytesHexOrBase64) {
    const test::Folder folder;
    for (const auto algorithm : {model::KeyAlgorithm::kAes128Gcm, model::KeyAlgorithm::kAes256Gcm,
                                 model::KeyAlgorithm::kAes128Gmac}) {
        const auto key = counting(model::key_size(algorithm));
        for (const std::string& text :
             {text_of(key), hex(key), hex(key) + "\n", base64_encode(key) + "\n"}) {
            const std::string path = folder.write("kp1.key", text);
            const auto loaded = load_group_keys(policy_with(path, algorithm), nullptr);
            ASSERT_TRUE(loaded.ok()) << loaded.error().message;
            ASSERT_NE(loaded.value().keys.at(12345), nullptr);
            EXPECT_EQ(hex(loaded.value().keys.at(12345)->bytes()), hex(key));
        }
    }
}

TEST(KeyFile, OfAnotherLengthIsRefusedByName) {
    const test::Folder folder;
    const std::string path = folder.write("kp1.key", hex(counting(15)) + "\n");
    const auto refused = load_group_keys(policy_with(path), nullptr);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message, "key_policy kp1: " + path +
                                           " has 15 bytes in hex, its algorithm wants a key of 16 "
                                           "bytes, as they are, in hex or in base64");
    EXPECT_EQ(refused.error().object, "key_policy kp1");
    for (const std::string& text : {std::string(), std::string(17, 'x'), std::string(1000, '0')}) {
        EXPECT_FALSE(load_group_keys(policy_with(folder.write("k", text)), nullptr).ok()) << text;
    }
}

TEST(KeyFile, ThatOthersMayReadOrThatIsNoneIsRefused) {
    const test::Folder folder;
    const std::string path = folder.write("kp1.key", text_of(counting(16)));
    chmod(path.c_str(), 0604);
    EXPECT_EQ(load_group_keys(policy_with(path), nullptr).error().code, Errc::kDenied);
    chmod(path.c_str(), 0660);
    EXPECT_EQ(load_group_keys(policy_with(path), nullptr).error().code, Errc::kDenied);
    chmod(path.c_str(), 0640);
    EXPECT_TRUE(load_group_keys(policy_with(path), nullptr).ok());
    EXPECT_EQ(load_group_keys(policy_with(path + "x"), nullptr).error().code, Errc::kNotFound);
    EXPECT_EQ(load_group_keys(policy_with(folder.path()), nullptr).error().code, Errc::kInvalid);
}

TEST(SealedKeys, AreInForceFromTheirEpochOn) {
    const test::Folder folder;
    const HostKey host = HostKey::random();
    model::KeyPolicy policy = policy_with("");
    for (const std::uint64_t epoch : {0U, 100U}) {
        const GroupKey key(std::vector<std::uint8_t>(16, static_cast<std::uint8_t>(epoch)));
        policy.keys.push_back(
            {epoch, {{to_string(host.public_key()), seal(key, host.public_key(), "kp1", epoch)}}});
    }
    policy.key_file = folder.write("kp1.key", sealed_keys_text(policy.keys));
    for (const bool is_from_file : {true, false}) {
        if (!is_from_file) { policy.key_file.clear(); }
        const auto loaded = load_group_keys(policy, &host);
        ASSERT_TRUE(loaded.ok()) << loaded.error().message;
        const GroupKeys& keys = loaded.value().keys;
        EXPECT_EQ(keys.at(99)->bytes()[0], 0);
        EXPECT_EQ(keys.at(100)->bytes()[0], 100);
        EXPECT_EQ(keys.at(1000)->bytes()[0], 100);
        EXPECT_NE(keys.at(99)->fingerprint(), keys.at(100)->fingerprint());
    }
}

TEST(SealedKeys, ForOtherHostsLeaveThisOneWithoutAndSayWhy) {
    const HostKey host = HostKey::random(), other = HostKey::random();
    model::KeyPolicy policy = policy_with("");
    const GroupKey key(counting(16));
    policy.keys = {{5, {{to_string(other.public_key()), seal(key, other.public_key(), "kp1", 5)}}}};
    const auto none = load_group_keys(policy, &host);
    ASSERT_TRUE(none.ok());
    EXPECT_EQ(none.value().keys.at(5), nullptr);
    EXPECT_NE(none.value().why.find(to_string(host.public_key())), std::string::npos);
    EXPECT_NE(load_group_keys(policy, nullptr).value().why.find("key init"), std::string::npos);
    policy.keys[0].hosts.begin()->second[10] ^= 1;
    EXPECT_EQ(load_group_keys(policy, &other).error().code, Errc::kInvalid);
    policy.keys[0].hosts.begin()->second =
        seal(GroupKey(counting(32)), other.public_key(), "kp1", 5);
    EXPECT_NE(load_group_keys(policy, &other).error().message.find("has 32 bytes"),
              std::string::npos);
}

TEST(SealedKeys, ThatMakeNoSenseAreRefused) {
    const std::string host = to_string(HostKey::random().public_key());
    EXPECT_TRUE(
        parse_sealed_keys(R"([{"epoch": 1, "hosts": {")" + host + R"(": "AA=="}}])", "k").ok());
    for (const std::string& bad :
         {std::string("{}"), std::string("[1]"), std::string(R"([{"epoch": -1, "hosts": {}}])"),
          std::string(R"([{"epoch": 1, "hosts": {"x": "y"}}])"), std::string("[not json"),
          std::string(R"([{"epoch": 1, "hosts": {}}, {"epoch": 1, "hosts": {}}])"),
          std::string(R"([{"epoch": 1, "hosts": {}, "more": 1}])")}) {
        EXPECT_FALSE(parse_sealed_keys(bad, "key_policy kp1").ok()) << bad;
    }
}

TEST(GroupKey, FingerprintIsFixed) { EXPECT_EQ(GroupKey(counting(16)).fingerprint(), "74b7e476"); }

}  // namespace
}  // namespace sluice::keys
