// SPDX-License-Identifier: Apache-2.0
// Attacks on a running device: names, then one small function a group. All of them write what a
// careful driver never would and then kick.
#include "attack.h"

#include <array>
#include <cstring>
#include <random>
#include <utility>

#include "attack_socket.h"

namespace sluice::frontend {
namespace {

using Named = std::pair<Attack, std::string_view>;
constexpr std::array kNames{
    Named{Attack::kAddressOutOfRange, "address_out_of_range"},
    Named{Attack::kAddressWraps, "address_wraps"},
    Named{Attack::kCrossesRegionEnd, "crosses_region_end"},
    Named{Attack::kLengthZero, "length_zero"},
    Named{Attack::kLengthHuge, "length_huge"},
    Named{Attack::kChainLoop, "chain_loop"},
    Named{Attack::kChainLongLoop, "chain_long_loop"},
    Named{Attack::kNextOutOfRange, "next_out_of_range"},
    Named{Attack::kHeadOutOfRange, "head_out_of_range"},
    Named{Attack::kIndirectOutOfRange, "indirect_out_of_range"},
    Named{Attack::kIndirectOddLength, "indirect_odd_length"},
    Named{Attack::kIndirectEmpty, "indirect_empty"},
    Named{Attack::kIndirectNested, "indirect_nested"},
    Named{Attack::kIndirectLoop, "indirect_loop"},
    Named{Attack::kIndirectNextOutOfRange, "indirect_next_out_of_range"},
    Named{Attack::kAvailIndexJump, "avail_index_jump"},
    Named{Attack::kAvailIndexBack, "avail_index_back"},
    Named{Attack::kShortHeader, "short_header"},
    Named{Attack::kHeaderOnly, "header_only"},
    Named{Attack::kTinyFrame, "tiny_frame"},
    Named{Attack::kOversizeFrame, "oversize_frame"},
    Named{Attack::kDeviceWritable, "device_writable"},
    Named{Attack::kChecksumBeyondFrame, "checksum_beyond_frame"},
    Named{Attack::kGsoBeyondFrame, "gso_beyond_frame"},
    Named{Attack::kGsoSizeZero, "gso_size_zero"},
    Named{Attack::kGsoTypeUnknown, "gso_type_unknown"},
    Named{Attack::kRandomHeader, "random_header"},
    Named{Attack::kRandomRing, "random_ring"},
    Named{Attack::kUsedScribbled, "used_scribbled"},
    Named{Attack::kReceiveReadOnly, "receive_read_only"},
    Named{Attack::kReceiveOutOfRange, "receive_out_of_range"},
    Named{Attack::kReceiveLengthZero, "receive_length_zero"},
    Named{Attack::kReceiveLoop, "receive_loop"},
    Named{Attack::kReceiveIndexJump, "receive_index_jump"},
    Named{Attack::kMemoryTruncated, "memory_truncated"},
    Named{Attack::kRingAddressOutOfRange, "ring_address_out_of_range"},
    Named{Attack::kRingAddressUnaligned, "ring_address_unaligned"},
    Named{Attack::kRingSizeZero, "ring_size_zero"},
    Named{Attack::kRingSizeOdd, "ring_size_odd"},
    Named{Attack::kRingSizeHuge, "ring_size_huge"},
    Named{Attack::kRingIndexOutOfRange, "ring_index_out_of_range"},
    Named{Attack::kFeaturesNotOffered, "features_not_offered"},
    Named{Attack::kMemTableTooLarge, "mem_table_too_large"},
    Named{Attack::kMemTableNoFds, "mem_table_no_fds"},
    Named{Attack::kMemTableManyRegions, "mem_table_many_regions"},
    Named{Attack::kMemTableOverlap, "mem_table_overlap"},
    Named{Attack::kMessageUnknown, "message_unknown"},
    Named{Attack::kMessageOversize, "message_oversize"},
    Named{Attack::kMessageTruncated, "message_truncated"},
    Named{Attack::kMessageBadVersion, "message_bad_version"},
};

constexpr std::uint64_t kNowhere = std::uint64_t{1} << 46U;

/// Guest memory and rings of pair 0, with a well-formed frame in descriptor 0's buffer.
struct Scene {
    FrontEnd& guest;
    TxQueue& tx;
    SplitRing& ring;
    Descriptor* descriptors;
    std::size_t header_bytes;
    std::uint32_t good_bytes;
    std::mt19937_64 random;

    Scene(FrontEnd& front_end, std::span<const std::uint8_t> frame, std::uint64_t seed)
        : guest(front_end),
          tx(front_end.pair(0).tx),
          ring(tx.ring()),
          descriptors(ring.descriptors()),
          header_bytes(tx.header_bytes()),
          good_bytes(static_cast<std::uint32_t>(header_bytes + frame.size())),
          random(seed) {
        tx.lend();
        std::memset(buffer(), 0, header_bytes);
        std::memcpy(buffer() + header_bytes, frame.data(), std::min(frame.size(), kFrameBytesMax));
        descriptors[0] = good();
    }
    [[nodiscard]] std::uint8_t* buffer() const { return tx.buffer(0).host; }
    [[nodiscard]] Descriptor good() const { return {tx.buffer(0).guest, good_bytes, 0, 0}; }
    [[nodiscard]] Descriptor* table() const {
        return reinterpret_cast<Descriptor*>(tx.table(0).host);
    }
    [[nodiscard]] Descriptor indirect(std::size_t entries) const {
        return {tx.table(0).guest, static_cast<std::uint32_t>(entries * sizeof(Descriptor)),
                kDescriptorIndirect, 0};
    }
    void header(const NetHeader& value) const { std::memcpy(buffer(), &value, header_bytes); }
    void fill_random(void* at, std::size_t bytes) {
        auto* out = static_cast<std::uint8_t*>(at);
        for (std::size_t i = 0; i < bytes; ++i) { out[i] = static_cast<std::uint8_t>(random()); }
    }
};

// Each of these prepares descriptor 0 or its header; false: not one of them.
bool break_descriptor(Scene& s, Attack attack) {
    Descriptor& d = s.descriptors[0];
    const auto size = static_cast<std::uint16_t>(s.ring.size());
    switch (attack) {
        case Attack::kAddressOutOfRange: d.address = kNowhere; return true;
        case Attack::kAddressWraps: d.address = ~std::uint64_t{0} - 15; return true;
        case Attack::kCrossesRegionEnd: d.address = s.guest.memory().end_of(0) - 20; return true;
        case Attack::kLengthZero: d.length = 0; return true;
        case Attack::kLengthHuge: d.length = ~std::uint32_t{0}; return true;
        case Attack::kNextOutOfRange:
            d.flags = kDescriptorNext;
            d.next = static_cast<std::uint16_t>(size + 7);
            return true;
        case Attack::kChainLoop: d.flags = kDescriptorNext; return true;
        case Attack::kChainLongLoop:
            for (unsigned i = 0; i < size; ++i) {
                s.descriptors[i] = {s.tx.buffer(0).guest, 64, kDescriptorNext,
                                    static_cast<std::uint16_t>((i + 1) % size)};
            }
            return true;
        case Attack::kShortHeader: d.length = 5; return true;
        case Attack::kHeaderOnly:
            d.length = static_cast<std::uint32_t>(s.header_bytes);
            return true;
        case Attack::kTinyFrame:
            d.length = static_cast<std::uint32_t>(s.header_bytes + 1 + s.random() % 13);
            return true;
        case Attack::kDeviceWritable: d.flags = kDescriptorWrite; return true;
        case Attack::kOversizeFrame:
            for (std::uint16_t i = 0; i < 16; ++i) {
                const bool last = i == 15;
                s.descriptors[i] = {s.tx.buffer(0).guest, 65536,
                                    last ? std::uint16_t{0} : kDescriptorNext,
                                    static_cast<std::uint16_t>(last ? 0 : i + 1)};
            }
            return true;
        case Attack::kMemoryTruncated: {
            const std::size_t last = s.guest.memory().region_count() - 1;
            s.guest.memory().truncate(last);
            d.address = s.guest.pair(0).rx.buffer(0).guest;
            return true;
        }
        default: return false;
    }
}

bool break_indirect(Scene& s, Attack attack) {
    Descriptor& d = s.descriptors[0];
    s.table()[0] = s.good();
    switch (attack) {
        case Attack::kIndirectOutOfRange:
            d = s.indirect(2);
            d.address = kNowhere;
            return true;
        case Attack::kIndirectOddLength:
            d = s.indirect(1);
            d.length += 5;
            return true;
        case Attack::kIndirectEmpty: d = s.indirect(0); return true;
        case Attack::kIndirectNested:
            d = s.indirect(1);
            s.table()[0] = s.indirect(1);
            return true;
        case Attack::kIndirectLoop:
            d = s.indirect(2);
            s.table()[0].flags = kDescriptorNext;
            s.table()[0].next = 1;
            s.table()[1] = {s.good().address, 64, kDescriptorNext, 0};
            return true;
        case Attack::kIndirectNextOutOfRange:
            d = s.indirect(1);
            s.table()[0].flags = kDescriptorNext;
            s.table()[0].next = 4000;
            return true;
        default: return false;
    }
}

bool break_header(Scene& s, Attack attack) {
    const auto frame_bytes = static_cast<std::uint16_t>(s.good_bytes - s.header_bytes);
    const auto beyond = static_cast<std::uint16_t>(frame_bytes + 100);
    switch (attack) {
        case Attack::kChecksumBeyondFrame:
            s.header({kHeaderNeedsCsum, 0, 0, 0, beyond, 0xfff0, 0});
            return true;
        case Attack::kGsoBeyondFrame:
            s.header({kHeaderNeedsCsum, kGsoTcp4, 0xffff, 100, 34, 16, 0});
            return true;
        case Attack::kGsoSizeZero:
            s.header({kHeaderNeedsCsum, kGsoTcp4, 54, 0, 34, 16, 0});
            return true;
        case Attack::kGsoTypeUnknown:
            s.header({kHeaderNeedsCsum, 0x7d, 54, 100, 34, 16, 0});
            return true;
        case Attack::kRandomHeader: s.fill_random(s.buffer(), s.header_bytes); return true;
        default: return false;
    }
}

bool break_receive(Scene& s, Attack attack) {
    RxQueue& rx = s.guest.pair(0).rx;
    const auto each = [&rx](auto&& change) {
        for (unsigned i = 0; i < rx.ring().size(); ++i) { change(rx.ring().descriptors()[i], i); }
    };
    switch (attack) {
        case Attack::kReceiveReadOnly: each([](Descriptor& d, unsigned) { d.flags = 0; }); break;
        case Attack::kReceiveOutOfRange:
            each([](Descriptor& d, unsigned) { d.address = kNowhere; });
            break;
        case Attack::kReceiveLengthZero: each([](Descriptor& d, unsigned) { d.length = 0; }); break;
        case Attack::kReceiveLoop:
            each([](Descriptor& d, unsigned i) {
                d.length = 1;
                d.flags = kDescriptorWrite | kDescriptorNext;
                d.next = static_cast<std::uint16_t>(i);
            });
            break;
        case Attack::kReceiveIndexJump:
            rx.ring().put_same(20'000);
            rx.publish();
            break;
        default: return false;
    }
    rx.ring().force_kick();
    return true;
}

// The ones that are about the rings themselves. They publish on their own.
bool break_ring(Scene& s, Attack attack) {
    switch (attack) {
        case Attack::kHeadOutOfRange:
            s.ring.put(static_cast<std::uint16_t>(s.ring.size() + 3));
            break;
        case Attack::kAvailIndexJump: s.ring.put_same(s.ring.size() * 2 + 7); break;
        case Attack::kAvailIndexBack: s.ring.put_same(0x10000 - 5); break;
        case Attack::kRandomRing:
            s.fill_random(s.descriptors, sizeof(Descriptor) * s.ring.size());
            s.fill_random(s.ring.avail().entries, 2 * s.ring.size());
            s.ring.put_same(s.ring.size());
            break;
        case Attack::kUsedScribbled:
            s.fill_random(&s.ring.used(), used_ring_bytes(s.ring.size()));
            s.ring.put(0);
            break;
        default: return false;
    }
    s.ring.publish();
    s.ring.force_kick();
    return true;
}

}  // namespace

std::optional<Attack> parse_attack(std::string_view name) {
    for (const auto& [attack, text] : kNames) {
        if (text == name) { return attack; }
    }
    return std::nullopt;
}

std::string_view to_string(Attack attack) {
    return kNames.at(static_cast<std::size_t>(attack)).second;
}

std::vector<Attack> all_attacks() {
    std::vector<Attack> attacks;
    for (const auto& [attack, text] : kNames) { attacks.push_back(attack); }
    return attacks;
}

AttackResult attack(FrontEnd& front_end, Attack attack, std::span<const std::uint8_t> frame,
                    std::uint64_t seed, Milliseconds wait) {
    AttackResult result;
    const std::uint16_t before = front_end.pair(0).tx.ring().used_index();
    if (attack >= Attack::kRingAddressOutOfRange) {
        result.sent = attack_socket(front_end, attack).ok();
    } else {
        Scene scene(front_end, frame, seed);
        if (break_descriptor(scene, attack) || break_indirect(scene, attack) ||
            break_header(scene, attack)) {
            scene.ring.put(0);
            scene.ring.publish();
            scene.ring.force_kick();
        } else if (!break_ring(scene, attack)) {
            break_receive(scene, attack);
        }
    }
    const Deadline deadline = after(wait);
    SplitRing& ring = front_end.pair(0).tx.ring();
    while (Clock::now() < deadline && ring.used_index() == before && front_end.connected()) {
        front_end.wait_disconnected(Milliseconds(1));
    }
    if (ring.outstanding() == 0) {
        front_end.pair(0).tx.give_back();
    }  // All used: a reset is not needed.
    result.used = static_cast<std::uint16_t>(ring.used_index() - before);
    result.connected = front_end.connected();
    return result;
}

}  // namespace sluice::frontend
