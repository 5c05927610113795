// SPDX-License-Identifier: Apache-2.0
// Envelopes: only the host opens them, for the policy and the epoch that they were made for, and
// none with a bit changed.
#include "controller-agent/keys/sealed.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sluice/base/base64.h"
#include "tests/unit/keys/text.h"

namespace sluice::keys {
namespace {

using test::counting;
using test::hex;

TEST(Sealed, OpensForItsHostOnly) {
    const HostKey host = HostKey::random(), other = HostKey::random();
    for (const std::size_t size : {16U, 32U}) {
        const GroupKey key(counting(size));
        const std::string sealed = seal(key, host.public_key(), "kp1", 7);
        const Result<GroupKey> opened = host.open(sealed, "kp1", 7);
        ASSERT_TRUE(opened.ok());
        EXPECT_EQ(hex(opened.value().bytes()), hex(key.bytes()));
        EXPECT_FALSE(other.open(sealed, "kp1", 7).ok());
        EXPECT_FALSE(host.open(sealed, "kp2", 7).ok());
        EXPECT_FALSE(host.open(sealed, "kp1", 8).ok());
        EXPECT_NE(sealed, seal(key, host.public_key(), "kp1", 7)) << "fresh each time";
    }
}

TEST(Sealed, RefusesEachFlippedBit) {
    const HostKey host = HostKey::random();
    const std::string sealed = seal(GroupKey(counting(16)), host.public_key(), "kp1", 7);
    const auto bytes = base64_decode(sealed).value();
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        // The top bit of an X25519 key says nothing (RFC 7748 §5), yet it is authenticated.
        auto flipped = bytes;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
        EXPECT_FALSE(host.open(base64_encode(flipped), "kp1", 7).ok()) << bit;
    }
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::span<const std::uint8_t> cut(bytes.data(), size);
        EXPECT_FALSE(host.open(base64_encode(cut), "kp1", 7).ok()) << size;
    }
    EXPECT_FALSE(host.open("no base64!", "kp1", 7).ok());
}

TEST(PublicKey, IsRefusedIfNothingCanBeSealedToIt) {
    const HostKey host = HostKey::random();
    EXPECT_EQ(parse_public_key(to_string(host.public_key())), host.public_key());
    const std::vector<std::uint8_t> zero(32), one = [] {
        std::vector<std::uint8_t> bytes(32);
        bytes[0] = 1;
        return bytes;
    }();
    EXPECT_FALSE(parse_public_key(base64_encode(zero)).has_value());
    EXPECT_FALSE(parse_public_key(base64_encode(one)).has_value());
    EXPECT_FALSE(parse_public_key("").has_value());
    EXPECT_FALSE(parse_public_key(base64_encode(counting(31))).has_value());
}

TEST(HostKey, IsKeptAndNeverReplaced) {
    const test::Folder folder;
    EXPECT_EQ(HostKey::load(folder.path()).error().code, Errc::kNotFound);
    const HostKey host = HostKey::random();
    ASSERT_TRUE(host.save(folder.path()).ok());
    EXPECT_EQ(host.save(folder.path()).error().code, Errc::kExists);
    struct stat about {};
    ASSERT_EQ(stat((folder.path() + "/host-key").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
    const Result<HostKey> again = HostKey::load(folder.path());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value().public_key(), host.public_key());
}

TEST(HostKey, IsRefusedIfDamagedOrOpenToOthers) {
    const test::Folder folder;
    folder.write("host-key", "AAAA\n");
    EXPECT_EQ(HostKey::load(folder.path()).error().code, Errc::kInvalid);
    chmod((folder.path() + "/host-key").c_str(), 0644);
    EXPECT_EQ(HostKey::load(folder.path()).error().code, Errc::kDenied);
}

TEST(Secret, IsWipedWhereItLeft) {
    Secret<4> from;
    from.bytes()[0] = 7;
    const Secret<4> to(std::move(from));
    EXPECT_EQ(to.bytes()[0], 7);
    EXPECT_EQ(from.bytes()[0], 0);  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace sluice::keys
