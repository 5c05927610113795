// SPDX-License-Identifier: Apache-2.0
// Fuzz target of sealed frames: an input is a script of frames that are sealed, changed on the way
// or not, come in any order and several times, and of frames that only look sealed. What was not
// changed opens once, to what it was; nothing else opens; no buffer is lost.
#include <rte_mempool.h>

#include <functional>
#include <random>
#include <string_view>

#include "datapath/association.h"
#include "datapath/esp.h"
#include "sluice/iochain/spi.h"
#include "tests/fuzz/fuzzed.h"
#include "tests/packet/eal.h"

namespace sluice::fuzz {
namespace {

constexpr unsigned kBuffers = 255;
constexpr std::uint16_t kRemote = 1;

/// The key is made of the whole input: the fuzzer sees what a tag is compared with, and would forge
/// one under a key that stays.
datapath::SaParameters parameters(model::KeyAlgorithm algorithm, std::uint64_t seed) {
    datapath::SaParameters out;
    out.spi = Spi{3, 1, 1, 0}.value();
    out.algorithm = algorithm;
    std::mt19937_64 random(seed);
    for (std::uint8_t& byte : out.key) { byte = static_cast<std::uint8_t>(random()); }
    out.salt = {9, 8, 7, 6};
    return out;
}

/// Where ESP starts in the frames that are made here.
std::size_t esp_offset(const Bytes& frame) {
    return 14U + (frame.size() > 12 && frame[12] == 0x86 ? 40U : 20U);
}

/// A host that seals and one that opens.
class Tunnel {
public:
    Tunnel(rte_mempool* pool, const datapath::SaParameters& key)
        : pool_(pool), key_(key), associations_(1) {
        require(associations_.send_with(0, key_).ok(), "the key can be used");
        require(associations_.receive_with(kRemote, key_).ok(), "by both");
    }
    /// Empty: it can't be sealed.
    Bytes seal(const Bytes& clear) {
        rte_mbuf* frame = make(clear);
        datapath::SendingAssociation& with =
            *associations_.state().sender(0, Spi::of(key_.spi).policy);
        DropReason reason = DropReason::kNone;
        datapath::seal(with, *pool_, {&frame, 1}, {&reason, 1});
        Bytes out = take(frame);
        if (reason != DropReason::kNone) { out.clear(); }
        return out;
    }
    /// The association is the one that the frame names (RFC 4301 §4.1): another SPI has no key.
    /// Empty: it was dropped.
    Bytes open(const Bytes& sealed, std::size_t cut) {
        const std::size_t esp = esp_offset(sealed);
        if (sealed.size() < esp + 4) { return {}; }
        datapath::ReceivingAssociation* with = associations_.state().receiving.load()->find(
            kRemote, datapath::load_be32(&sealed[esp]));
        if (with == nullptr) { return {}; }
        rte_mbuf* frame = make(sealed, cut);
        const DropReason reason = datapath::open(*with, *frame, false);
        Bytes out = take(frame);
        if (reason != DropReason::kNone) { out.clear(); }
        return out;
    }

private:
    rte_mbuf* make(const Bytes& bytes, std::size_t cut = SIZE_MAX) {
        const std::size_t first = std::min(cut, bytes.size());
        rte_mbuf* frame = segment(std::span(bytes).first(first));
        if (first < bytes.size()) {
            require(rte_pktmbuf_chain(frame, segment(std::span(bytes).subspan(first))) == 0,
                    "two segments fit");
        }
        return frame;
    }
    rte_mbuf* segment(std::span<const std::uint8_t> bytes) {
        rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
        require(frame != nullptr, "every buffer is back");
        std::copy(bytes.begin(), bytes.end(),
                  rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes.size())));
        return frame;
    }
    Bytes take(rte_mbuf* frame) {
        Bytes out;
        for (const rte_mbuf* one = frame; one != nullptr; one = one->next) {
            const auto* data = rte_pktmbuf_mtod(one, const std::uint8_t*);
            out.insert(out.end(), data, data + one->data_len);
        }
        require(out.size() == frame->pkt_len, "a frame is as long as it says");
        rte_pktmbuf_free(frame);
        require(rte_mempool_avail_count(pool_) == kBuffers, "no buffer is lost");
        return out;
    }

    rte_mempool* pool_;
    datapath::SaParameters key_;
    datapath::SecurityAssociations associations_;
};

struct Sealed {
    Bytes clear, bytes;
    bool is_opened = false;
};

Bytes clear_frame(Input& input) {
    const std::uint8_t what = input.byte();
    const Bytes payload = input.bytes(input.byte());
    const auto protocol = static_cast<std::uint8_t>((what & 2U) != 0 ? 6 : 17);
    return (what & 1U) != 0 ? ipv6(protocol, payload) : ipv4(protocol, payload);
}

/// One that is on its way, as it was or changed at a place.
void deliver(Tunnel& tunnel, Input& input, std::vector<Sealed>& sent) {
    if (sent.empty()) { return; }
    Sealed& one = sent[input.byte() % sent.size()];
    const std::size_t at = input.word();
    const std::uint8_t change = input.byte();
    const std::uint8_t cut = input.byte();
    Bytes bytes = one.bytes;
    if (change != 0) { bytes[at % bytes.size()] ^= change; }
    // Behind the Ethernet and IP headers everything is authenticated.
    const bool is_harmed = change != 0 && at % bytes.size() >= esp_offset(one.clear);
    const Bytes out = tunnel.open(bytes, cut < 128 ? SIZE_MAX : cut);
    if (is_harmed) { require(out.empty(), "what was changed on the way does not open"); }
    if (one.is_opened) { require(out.empty(), "nothing opens twice"); }
    if (change == 0 && !one.is_opened && cut < 128) {
        require(out == one.clear, "what was sealed opens to what it was");
    }
    if (!out.empty()) { one.is_opened = true; }
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice::fuzz;
    static const sluice::test::Eal eal;
    static rte_mempool* const pool = rte_pktmbuf_pool_create(
        "fuzz_esp", kBuffers, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    using sluice::model::KeyAlgorithm;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Input input(data, size);
    const auto algorithm =
        input.byte() % 2U == 0 ? KeyAlgorithm::kAes128Gcm : KeyAlgorithm::kAes128Gmac;
    Tunnel tunnel(pool, parameters(algorithm, std::hash<std::string_view>{}(text)));
    std::vector<Sealed> sent;
    while (!input.is_empty()) {
        const std::uint8_t what = input.byte() % 8U;
        if (what < 3 && sent.size() < 64) {
            Sealed one{clear_frame(input), {}};
            one.bytes = tunnel.seal(one.clear);
            require(!one.bytes.empty(), "a packet can be sealed");
            sent.push_back(std::move(one));
        } else if (what < 7) {
            deliver(tunnel, input, sent);
        } else {  // It only looks as if.
            const bool is_v6 = input.byte() % 2U != 0;
            const Bytes rest = input.bytes(input.byte());
            require(tunnel.open(is_v6 ? ipv6(50, rest) : ipv4(50, rest), SIZE_MAX).empty(),
                    "nobody else's frame opens");
        }
    }
    return 0;
}
