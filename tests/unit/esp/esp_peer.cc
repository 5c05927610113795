// SPDX-License-Identifier: Apache-2.0
// EspPeer: see esp_peer.h.
#include "tests/unit/esp/esp_peer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

namespace sluice::test {
namespace {

constexpr std::size_t kEther = 14;

void check(bool good) {
    if (!good) { throw std::runtime_error("the second implementation failed"); }
}

bool is_v6(const Bytes& frame) { return frame.at(12) == 0x86; }

std::size_t header_size(const Bytes& frame) {
    return is_v6(frame) ? 40 : std::size_t{frame.at(kEther) & 0xfU} * 4;
}

void put16(Bytes& out, std::size_t at, std::size_t value) {
    out.at(at) = static_cast<std::uint8_t>(value >> 8U);
    out.at(at + 1) = static_cast<std::uint8_t>(value);
}

template <typename Number>
void add(Bytes& out, Number value) {
    for (unsigned i = sizeof value; i-- > 0;) {
        out.push_back(static_cast<std::uint8_t>(value >> (8U * i)));
    }
}

void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

Bytes part(const Bytes& all, std::size_t begin, std::size_t end) {
    return {all.begin() + static_cast<std::ptrdiff_t>(begin),
            all.begin() + static_cast<std::ptrdiff_t>(end)};
}

// Lengths and checksum (RFC 791 §3.1) of what the frame has become.
void finish_headers(Bytes& frame) {
    if (is_v6(frame)) { return put16(frame, kEther + 4, frame.size() - kEther - 40); }
    put16(frame, kEther + 2, frame.size() - kEther);
    put16(frame, kEther + 10, 0);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < header_size(frame); i += 2) {
        sum += frame[kEther + i] * 256U + frame[kEther + i + 1];
    }
    while (sum > 0xffff) { sum = (sum & 0xffffU) + (sum >> 16U); }
    put16(frame, kEther + 10, ~sum & 0xffffU);
}

struct Gcm {
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    ~Gcm() { EVP_CIPHER_CTX_free(context); }
};

// In place. Sealing: appends the tag. Opening: `tag` is checked.
bool run(const datapath::SaParameters& key, const Bytes& iv, const Bytes& aad, Bytes& data,
         Bytes& tag, bool seals) {
    Gcm gcm;
    Bytes nonce(key.salt.begin(), key.salt.end());
    append(nonce, iv);
    const bool is_256 = key.algorithm == model::KeyAlgorithm::kAes256Gcm;
    check(EVP_CipherInit_ex(gcm.context, is_256 ? EVP_aes_256_gcm() : EVP_aes_128_gcm(), nullptr,
                            key.key.data(), nonce.data(), seals ? 1 : 0) == 1);
    int size = 0;
    check(EVP_CipherUpdate(gcm.context, nullptr, &size, aad.data(), static_cast<int>(aad.size())) ==
          1);
    if (!data.empty()) {
        check(EVP_CipherUpdate(gcm.context, data.data(), &size, data.data(),
                               static_cast<int>(data.size())) == 1);
    }
    if (!seals) {
        check(EVP_CIPHER_CTX_ctrl(gcm.context, EVP_CTRL_GCM_SET_TAG, 16, tag.data()) == 1);
    }
    Bytes rest(16);
    const bool is_good = EVP_CipherFinal_ex(gcm.context, rest.data(), &size) == 1;
    tag.resize(16);
    if (seals) {
        check(EVP_CIPHER_CTX_ctrl(gcm.context, EVP_CTRL_GCM_GET_TAG, 16, tag.data()) == 1);
    }
    return is_good;
}

// RFC 4106 §5; RFC 4543 §3.3, where all is associated data and nothing is encrypted.
bool protect(const datapath::SaParameters& key, std::uint64_t number, const Bytes& iv, Bytes& data,
             Bytes& tag, bool seals) {
    Bytes aad;
    add(aad, key.spi);
    add(aad, number);
    if (key.algorithm != model::KeyAlgorithm::kAes128Gmac) {
        return run(key, iv, aad, data, tag, seals);
    }
    append(aad, iv);
    append(aad, data);
    Bytes nothing;
    return run(key, iv, aad, nothing, tag, seals);
}

// The byte that says what follows `outside` bytes behind the IP header.
std::size_t next_header_at(const Bytes& frame, std::size_t outside) {
    if (!is_v6(frame)) { return kEther + 9; }
    std::size_t at = kEther + 6, header = kEther + 40;
    while (header < kEther + 40 + outside) {
        const bool is_fragment = frame.at(at) == 44;
        at = header;
        header += is_fragment ? 8 : (frame.at(header + 1) + 1U) * 8U;
    }
    return at;
}

}  // namespace

Bytes frame_of(const PlainPacket& packet) {
    Bytes out = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    if (packet.is_v6) {
        append(out, {0x86, 0xdd, 0x60, 0, 0, 7, 0, 0, packet.protocol, 61});
        append(out, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
        append(out, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
        append(out, packet.extensions);
    } else {
        const auto words = static_cast<std::uint8_t>(5 + packet.options.size() / 4);
        append(out, {8, 0, static_cast<std::uint8_t>(0x40 | words), 0, 0, 0, 0x12, 0x34});
        add(out, packet.fragment);
        append(out, {61, packet.protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
        append(out, packet.options);
    }
    append(out, packet.payload);
    finish_headers(out);
    return out;
}

Bytes payload_of(std::size_t size, std::uint32_t seed) {
    Bytes out(size);
    std::uint32_t state = seed * 2654435761U + 1;
    for (std::uint8_t& byte : out) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<std::uint8_t>(state >> 24U);
    }
    return out;
}

Bytes seal_by_peer(const Bytes& frame, const datapath::SaParameters& key, std::uint64_t number,
                   std::size_t outside) {
    const std::size_t begin = kEther + header_size(frame) + outside;
    const std::size_t next = next_header_at(frame, outside);
    Bytes out = part(frame, 0, begin);
    Bytes data = part(frame, begin, frame.size());
    for (std::uint8_t i = 1; (data.size() + 2) % 4 != 0; ++i) { data.push_back(i); }
    data.push_back(static_cast<std::uint8_t>(data.size() - (frame.size() - begin)));
    data.push_back(frame[next]);
    Bytes iv, tag;
    add(iv, number);
    check(protect(key, number, iv, data, tag, true));
    add(out, key.spi);
    add(out, static_cast<std::uint32_t>(number));
    append(out, iv);
    append(out, data);
    append(out, tag);
    out[next] = 50;
    finish_headers(out);
    return out;
}

std::optional<Bytes> open_by_peer(const Bytes& frame, const datapath::SaParameters& key,
                                  std::uint64_t number, std::size_t outside) {
    const std::size_t begin = kEther + header_size(frame) + outside;
    const std::size_t next = next_header_at(frame, outside);
    if (frame[next] != 50 || frame.size() < begin + 36) { return std::nullopt; }
    const Bytes iv = part(frame, begin + 8, begin + 16);
    Bytes data = part(frame, begin + 16, frame.size() - 16);
    Bytes tag = part(frame, frame.size() - 16, frame.size());
    if (!protect(key, number, iv, data, tag, false)) { return std::nullopt; }
    const std::uint8_t protocol = data.back();
    data.pop_back();
    data.resize(data.size() - 1 - data.back());
    Bytes out = part(frame, 0, begin);
    append(out, data);
    out[next] = protocol;
    finish_headers(out);
    return out;
}

datapath::SaParameters key_of(model::KeyAlgorithm algorithm, std::uint32_t spi) {
    datapath::SaParameters out;
    out.spi = spi;
    out.algorithm = algorithm;
    const Bytes random = payload_of(36, spi);
    std::copy_n(random.begin(), model::key_size(algorithm), out.key.begin());
    std::copy_n(random.begin() + 32, 4, out.salt.begin());
    return out;
}

}  // namespace sluice::test
