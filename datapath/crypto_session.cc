// SPDX-License-Identifier: Apache-2.0
// CryptoSession: see crypto_session.h. The virtual device is made with the first session and stays.
// Sessions come from pools of a few, made as they are needed: a host with two keys pays for one.
#include "datapath/crypto_session.h"

#include <rte_bus_vdev.h>
#include <rte_cryptodev.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

constexpr const char* kDevice = "crypto_aesni_gcm0";
constexpr std::uint32_t kPoolSize = 63;

// Of the process; control only.
std::vector<rte_mempool*>& pools() {
    static std::vector<rte_mempool*> all;
    return all;
}

Error failed(const std::string& what) {
    return {Errc::kIo, "encryption: " + what + ": " + rte_strerror(rte_errno), {}};
}

// Its one queue is never set up, but a driver that is asked for a session looks whether it is.
Result<std::uint8_t> make_device() {
    const int made = rte_vdev_init(kDevice, "");
    const int id = made == 0 ? rte_cryptodev_get_dev_id(kDevice) : made;
    rte_cryptodev_config config{};
    config.socket_id = SOCKET_ID_ANY;
    config.nb_queue_pairs = 1;
    const int configured =
        id < 0 ? id : rte_cryptodev_configure(static_cast<std::uint8_t>(id), &config);
    if (configured == 0) { return static_cast<std::uint8_t>(id); }
    rte_errno = -configured;
    return failed(std::string("no crypto device ") + kDevice);
}

Result<std::uint8_t> device() {
    const int id = rte_cryptodev_get_dev_id(kDevice);
    Result<std::uint8_t> found =
        id < 0 ? make_device() : Result<std::uint8_t>(static_cast<std::uint8_t>(id));
    if (!found.ok()) { return found; }
    const std::uint8_t index = found.value();
    rte_cryptodev_info info{};
    rte_cryptodev_info_get(index, &info);
    if ((info.feature_flags & RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO) == 0) {
        return Error{Errc::kUnsupported,
                     std::string("encryption: ") + kDevice + " does not work on the calling thread",
                     {}};
    }
    return index;
}

// A pool with a free session.
Result<rte_mempool*> pool_for(std::uint8_t index) {
    for (rte_mempool* pool : pools()) {
        if (rte_mempool_avail_count(pool) > 0) { return pool; }
    }
    const std::string name = "sluice_keys_" + std::to_string(pools().size());
    const auto size = rte_cryptodev_sym_get_private_session_size(index);
    rte_mempool* pool =
        rte_cryptodev_sym_session_pool_create(name.c_str(), kPoolSize, size, 0, 0, SOCKET_ID_ANY);
    if (pool == nullptr) { return failed("no memory for keys"); }
    pools().push_back(pool);
    return pool;
}

rte_crypto_sym_xform transform_of(model::KeyAlgorithm algorithm, const std::uint8_t* key,
                                  bool seals) {
    rte_crypto_sym_xform out{};
    const auto key_size = static_cast<std::uint16_t>(model::key_size(algorithm));
    if (algorithm == model::KeyAlgorithm::kAes128Gmac) {
        out.type = RTE_CRYPTO_SYM_XFORM_AUTH;
        out.auth.op = seals ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
        out.auth.algo = RTE_CRYPTO_AUTH_AES_GMAC;
        out.auth.key = {key, key_size};
        out.auth.iv = {0, kNonceSize};
        out.auth.digest_length = kTagSizeEsp;
        return out;
    }
    out.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    out.aead.op = seals ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
    out.aead.algo = RTE_CRYPTO_AEAD_AES_GCM;
    out.aead.key = {key, key_size};
    out.aead.iv = {0, kNonceSize};
    out.aead.digest_length = kTagSizeEsp;
    out.aead.aad_length = kEspAadSize;
    return out;
}

}  // namespace

Result<CryptoSession> CryptoSession::make(model::KeyAlgorithm algorithm, const std::uint8_t* key,
                                          bool seals) {
    Result<std::uint8_t> index = device();
    if (!index.ok()) { return index.error(); }
    Result<rte_mempool*> pool = pool_for(index.value());
    if (!pool.ok()) { return pool.error(); }
    rte_crypto_sym_xform transform = transform_of(algorithm, key, seals);
    CryptoSession out;
    out.device_ = index.value();
    out.session_ = rte_cryptodev_sym_session_create(out.device_, &transform, pool.value());
    if (out.session_ == nullptr) { return failed("the crypto device takes no key"); }
    return out;
}

CryptoSession::CryptoSession(CryptoSession&& other) noexcept
    : session_(std::exchange(other.session_, nullptr)), device_(other.device_) {}

CryptoSession& CryptoSession::operator=(CryptoSession&& other) noexcept {
    release();
    session_ = std::exchange(other.session_, nullptr);
    device_ = other.device_;
    return *this;
}

CryptoSession::~CryptoSession() { release(); }

// The driver leaves the expanded key where it was. Only this thread takes from the pool, and the
// pool keeps nothing in what is free.
void CryptoSession::release() noexcept {
    void* session = std::exchange(session_, nullptr);
    if (session == nullptr) { return; }
    const std::size_t size = rte_mempool_from_obj(session)->elt_size;
    SLUICE_ASSERT(rte_cryptodev_sym_session_free(device_, session) == 0);
    explicit_bzero(session, size);
}

void CryptoSession::run(rte_crypto_sym_vec& jobs) const noexcept {
    rte_crypto_sym_ofs whole;
    whole.raw = 0;
    rte_cryptodev_sym_cpu_crypto_process(device_, session_, whole, &jobs);
}

}  // namespace sluice::datapath
