// SPDX-License-Identifier: Apache-2.0
// X25519, the envelope and the host's key file: see sealed.h.
#include "controller-agent/keys/sealed.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "controller-agent/keys/derive.h"
#include "controller-agent/keys/key_files.h"
#include "sluice/base/assert.h"
#include "sluice/base/base64.h"

namespace sluice::keys {
namespace {

constexpr std::string_view kSalt = "sluice group key 1";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kKeySize = 32, kNonceSize = 12, kTagSize = 16;
constexpr std::size_t kEnvelopeSize = 1 + kKeySize + kTagSize;  // Without what is sealed.
constexpr const char* kFileName = "/host-key";

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Key private_key(const Secret<32>& secret) {
    Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.bytes().data(), kKeySize),
            EVP_PKEY_free);
    SLUICE_ASSERT(key != nullptr);
    return key;
}

PublicKey public_of(const Secret<32>& secret) {
    PublicKey out{};
    std::size_t size = out.size();
    const Key key = private_key(secret);
    SLUICE_ASSERT(EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) == 1);
    return out;
}

void fill_random(std::span<std::uint8_t> out) {
    SLUICE_ASSERT(RAND_priv_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

// False for a public key of small order, of which the shared secret says nothing (RFC 7748 §6.1).
bool agree(const Secret<32>& own, const PublicKey& theirs, Secret<32>& shared) {
    const Key key = private_key(own);
    const Key peer(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, theirs.data(), theirs.size()),
        EVP_PKEY_free);
    const KeyContext context(EVP_PKEY_CTX_new(key.get(), nullptr), EVP_PKEY_CTX_free);
    std::size_t size = kKeySize;
    return peer != nullptr && context != nullptr && EVP_PKEY_derive_init(context.get()) == 1 &&
           EVP_PKEY_derive_set_peer(context.get(), peer.get()) == 1 &&
           EVP_PKEY_derive(context.get(), shared.bytes().data(), &size) == 1;
}

Secret<44> envelope_key(const Secret<32>& shared, const PublicKey& ephemeral,
                        const PublicKey& host) {
    std::array<std::uint8_t, 2 * kKeySize> info{};
    std::copy(ephemeral.begin(), ephemeral.end(), info.begin());
    std::copy(host.begin(), host.end(), info.begin() + kKeySize);
    Secret<44> out;
    const auto* salt = reinterpret_cast<const std::uint8_t*>(kSalt.data());
    hkdf_sha256({salt, kSalt.size()}, shared.bytes(), info, out.bytes());
    return out;
}

std::string bound_to(const std::string& policy, std::uint64_t epoch) {
    return policy + " " + std::to_string(epoch);
}

// One AES-256-GCM message under a key that is used once.
Cipher cipher_for(const Secret<44>& key, const std::string& beside, bool is_sealing) {
    Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    int size = 0;
    const auto* more = reinterpret_cast<const std::uint8_t*>(beside.data());
    const auto bytes = key.bytes();
    SLUICE_ASSERT(
        cipher != nullptr &&
        EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes.data(),
                          bytes.data() + kKeySize, is_sealing ? 1 : 0) == 1 &&
        EVP_CipherUpdate(cipher.get(), nullptr, &size, more, static_cast<int>(beside.size())) == 1);
    static_assert(kKeySize + kNonceSize == 44);
    return cipher;
}

}  // namespace

std::optional<PublicKey> parse_public_key(std::string_view text) {
    const auto bytes = base64_decode(text);
    if (!bytes || bytes->size() != kKeySize) { return std::nullopt; }
    PublicKey key{};
    std::copy(bytes->begin(), bytes->end(), key.begin());
    Secret<32> shared;
    if (!agree(HostKey::random().secret(), key, shared)) { return std::nullopt; }
    return key;
}

std::string to_string(const PublicKey& key) { return base64_encode(key); }

HostKey::HostKey(Secret<32> secret) : private_(std::move(secret)), public_(public_of(private_)) {}

HostKey HostKey::random() {
    Secret<32> secret;
    fill_random(secret.bytes());
    return HostKey(std::move(secret));
}

Result<HostKey> HostKey::load(const std::string& state_dir) {
    const std::string path = state_dir + kFileName;
    Result<std::string> text = read_private_file(path, "host key");
    if (!text) { return text.error(); }
    const Wiped wiped(text.value());
    auto bytes = base64_decode(trimmed(text.value()));
    if (!bytes || bytes->size() != kKeySize) {
        return Error{Errc::kInvalid, "host key: " + path + " is not base64 of 32 bytes",
                     "host key"};
    }
    Secret<32> secret;
    std::copy(bytes->begin(), bytes->end(), secret.bytes().begin());
    const Wiped decoded(*bytes);
    return HostKey(std::move(secret));
}

Status HostKey::save(const std::string& state_dir) const {
    std::string text = base64_encode(private_.bytes()) + "\n";
    const Wiped wiped(text);
    return create_private_file(state_dir + kFileName, text);
}

std::string seal(const GroupKey& key, const PublicKey& host, const std::string& policy,
                 std::uint64_t epoch) {
    const HostKey ephemeral = HostKey::random();
    Secret<32> shared;
    SLUICE_ASSERT(agree(ephemeral.secret(), host, shared));  // parse_public_key() has looked.
    const Secret<44> with = envelope_key(shared, ephemeral.public_key(), host);
    const Cipher cipher = cipher_for(with, bound_to(policy, epoch), true);
    const auto plain = key.bytes();
    std::vector<std::uint8_t> out(kEnvelopeSize + plain.size());
    out[0] = kVersion;
    std::copy(ephemeral.public_key().begin(), ephemeral.public_key().end(), out.begin() + 1);
    std::uint8_t* sealed = out.data() + 1 + kKeySize;
    int size = 0, last = 0;
    SLUICE_ASSERT(EVP_CipherUpdate(cipher.get(), sealed, &size, plain.data(),
                                   static_cast<int>(plain.size())) == 1 &&
                  EVP_CipherFinal_ex(cipher.get(), sealed + size, &last) == 1 &&
                  EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize,
                                      sealed + plain.size()) == 1);
    return base64_encode(out);
}

Result<GroupKey> HostKey::open(const std::string& sealed, const std::string& policy,
                               std::uint64_t epoch) const {
    const Error refusal{Errc::kInvalid,
                        "the key of epoch " + std::to_string(epoch) +
                            " does not open: it is damaged, or sealed for another policy or epoch",
                        ""};
    auto in = base64_decode(sealed);
    if (!in || in->size() <= kEnvelopeSize || in->size() > kEnvelopeSize + kKeySize ||
        (*in)[0] != kVersion) {
        return refusal;
    }
    PublicKey ephemeral{};
    std::copy_n(in->begin() + 1, kKeySize, ephemeral.begin());
    Secret<32> shared;
    if (!agree(private_, ephemeral, shared)) { return refusal; }
    const Secret<44> with = envelope_key(shared, ephemeral, public_);
    const Cipher cipher = cipher_for(with, bound_to(policy, epoch), false);
    const std::size_t plain_size = in->size() - kEnvelopeSize;
    std::uint8_t* text = in->data() + 1 + kKeySize;
    Secret<32> plain;
    int size = 0, last = 0;
    const bool is_whole = EVP_CipherUpdate(cipher.get(), plain.bytes().data(), &size, text,
                                           static_cast<int>(plain_size)) == 1 &&
                          EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize,
                                              text + plain_size) == 1 &&
                          EVP_CipherFinal_ex(cipher.get(), plain.bytes().data() + size, &last) == 1;
    if (!is_whole) { return refusal; }
    return GroupKey(plain.bytes().first(plain_size));
}

}  // namespace sluice::keys
