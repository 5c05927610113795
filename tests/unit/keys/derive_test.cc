// SPDX-License-Identifier: Apache-2.0
// HKDF by RFC 5869's vectors, senders' keys by vectors that Python's hmac made, and that no two
// senders share one.
#include "controller-agent/keys/derive.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/keys/text.h"

namespace sluice::keys {
namespace {

using test::counting;
using test::hex;
using test::unhex;

std::string hkdf(const std::string& salt, const std::string& secret, const std::string& info,
                 std::size_t size) {
    std::vector<std::uint8_t> out(size);
    hkdf_sha256(unhex(salt), unhex(secret), unhex(info), out);
    return hex(out);
}

std::string range(unsigned from, unsigned to) {
    std::vector<std::uint8_t> bytes;
    for (unsigned i = from; i <= to; ++i) { bytes.push_back(static_cast<std::uint8_t>(i)); }
    return hex(bytes);
}

TEST(Hkdf, GivesTheVectorsOfRfc5869) {
    const std::string b22 = std::string("0b0b0b0b0b0b0b0b0b0b0b") + "0b0b0b0b0b0b0b0b0b0b0b";
    EXPECT_EQ(
        hkdf(range(0, 0x0c), b22, range(0xf0, 0xf9), 42),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    EXPECT_EQ(hkdf(range(0x60, 0xaf), range(0, 0x4f), range(0xb0, 0xff), 82),
              "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb"
              "41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
    EXPECT_EQ(
        hkdf("", b22, "", 42),
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

SenderName sender() {
    return {7, model::KeyAlgorithm::kAes128Gcm, 86400, 20000, 4095, 3, IpAddr::v4(0xac100001)};
}

std::string key_of(const SenderName& name) {
    const GroupKey group(counting(model::key_size(name.algorithm)));
    const Secret<36> key = sender_key(group, name);
    return hex(key.bytes().first(model::key_size(name.algorithm) + 4));
}

TEST(SenderKey, IsWhatAnotherImplementationDerives) {
    SenderName name = sender();
    EXPECT_EQ(key_of(name), "db70c11638c8ba29a2aedc0f974dceaeee78aa60");
    name.algorithm = model::KeyAlgorithm::kAes128Gmac;
    EXPECT_EQ(key_of(name), "1afe1e07dbc9cee65387fe6c480a9d5e4d1f9650");
    IpAddr v6{{0x20, 0x01, 0x0d, 0xb8}, IpFamily::kV6};
    v6.bytes[15] = 1;
    EXPECT_EQ(key_of({63, model::KeyAlgorithm::kAes256Gcm, 1, 1ULL << 40U, 0, 15, v6}),
              "66661eb19e90ee3451f208f1e8e06b4cbe9d241b719111defedfde845626f7fd88bbb215");
}

TEST(SenderKey, DiffersWithEachPartOfTheName) {
    std::set<std::string> keys{key_of(sender())};
    const auto add = [&](auto&& change) {
        SenderName name = sender();
        change(name);
        keys.insert(key_of(name));
    };
    add([](SenderName& name) { name.policy = 8; });
    add([](SenderName& name) { name.algorithm = model::KeyAlgorithm::kAes128Gmac; });
    add([](SenderName& name) { name.rotate_s = 86401; });
    add([](SenderName& name) { ++name.epoch; });
    add([](SenderName& name) { name.generation = 0; });
    add([](SenderName& name) { name.worker = 4; });
    add([](SenderName& name) { name.vtep = IpAddr::v4(0xac100002); });
    EXPECT_EQ(keys.size(), 8u);
}

}  // namespace
}  // namespace sluice::keys
