// SPDX-License-Identifier: Apache-2.0
// HKDF by OpenSSL, and what it is given: see derive.h. A library that can't do it is a fault of the
// installation, not of an input: an assertion.
#include "controller-agent/keys/derive.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <memory>
#include <vector>

#include "sluice/base/assert.h"

namespace sluice::keys {
namespace {

constexpr std::string_view kSalt = "sluice esp 1";
constexpr std::size_t kSaltSize = 4;  // RFC 4106 §4.

// OpenSSL's parameters take what they only read by pointers to what may be written.
OSSL_PARAM octets(const char* name, std::span<const std::uint8_t> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()),
                                             bytes.size());
}

void put_big_endian(std::vector<std::uint8_t>& out, std::uint64_t value, unsigned size) {
    for (unsigned i = size; i > 0; --i) {
        out.push_back(static_cast<std::uint8_t>(value >> (8U * (i - 1U))));
    }
}

std::vector<std::uint8_t> info_of(const SenderName& sender) {
    std::vector<std::uint8_t> info;
    put_big_endian(info, sender.policy, 1);
    put_big_endian(info, static_cast<std::uint8_t>(sender.algorithm), 1);
    put_big_endian(info, sender.rotate_s, 4);
    put_big_endian(info, sender.epoch, 8);
    put_big_endian(info, sender.generation, 2);
    put_big_endian(info, sender.worker, 1);
    put_big_endian(info, static_cast<std::uint8_t>(sender.vtep.family), 1);
    const auto& address = sender.vtep.bytes;
    info.insert(info.end(), address.begin() + (sender.vtep.is_v4() ? 12 : 0), address.end());
    return info;
}

}  // namespace

void hkdf_sha256(std::span<const std::uint8_t> salt, std::span<const std::uint8_t> secret,
                 std::span<const std::uint8_t> info, std::span<std::uint8_t> out) {
    const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(
        EVP_KDF_fetch(nullptr, "HKDF", nullptr), EVP_KDF_free);
    SLUICE_ASSERT(kdf != nullptr);
    const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
        EVP_KDF_CTX_new(kdf.get()), EVP_KDF_CTX_free);
    char digest[] = "SHA256";
    std::vector<OSSL_PARAM> params{
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        octets(OSSL_KDF_PARAM_KEY, secret)};
    if (!salt.empty()) { params.push_back(octets(OSSL_KDF_PARAM_SALT, salt)); }
    if (!info.empty()) { params.push_back(octets(OSSL_KDF_PARAM_INFO, info)); }
    params.push_back(OSSL_PARAM_construct_end());
    SLUICE_ASSERT(context != nullptr &&
                  EVP_KDF_derive(context.get(), out.data(), out.size(), params.data()) == 1);
}

Secret<36> sender_key(const GroupKey& group, const SenderName& sender) {
    Secret<36> out;
    const std::vector<std::uint8_t> info = info_of(sender);
    const auto* salt = reinterpret_cast<const std::uint8_t*>(kSalt.data());
    hkdf_sha256({salt, kSalt.size()}, group.bytes(), info,
                out.bytes().first(model::key_size(sender.algorithm) + kSaltSize));
    return out;
}

}  // namespace sluice::keys
