// SPDX-License-Identifier: Apache-2.0
// UnderlayFrame: see underlay_frame.h.
#include "datapath/underlay_frame.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

constexpr std::size_t kFrameSizeMin = 60;  // Without checksum (IEEE 802.3 §3.2.8).
constexpr std::uint16_t kDontFragment = 0x4000;

std::uint16_t folded(std::uint32_t sum) noexcept {
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(sum + (sum >> 16U));
}

std::uint32_t swapped(std::size_t host) noexcept {
    return __builtin_bswap16(static_cast<std::uint16_t>(host));
}

void store(std::uint8_t* at, std::uint16_t raw) noexcept { std::memcpy(at, &raw, sizeof raw); }

void store_be16(std::uint8_t* at, std::size_t host) noexcept {
    store(at, static_cast<std::uint16_t>(swapped(host)));
}

// Of the checksum field in the transport header.
std::size_t checksum_at(std::uint8_t protocol) noexcept { return protocol == kProtocolUdp ? 6 : 2; }

}  // namespace

UnderlayFrame::UnderlayFrame(const VtepConfig& vtep, const MacAddr& destination,
                             std::uint16_t ethertype) noexcept
    : vtep_(vtep) {
    put(destination.bytes).put(vtep.mac.bytes);
    if (vtep.vlan != 0) { put16(kEtherVlan).put16(vtep.vlan); }
    put16(ethertype);
    l3_ = size_;
}

UnderlayFrame::UnderlayFrame(const VtepConfig& vtep, const UnderlayIp& ip) noexcept
    : UnderlayFrame(vtep, ip.destination_mac, vtep.ip.is_v4() ? kEtherIpv4 : kEtherIpv6) {
    if (vtep.ip.is_v4()) {
        put8(0x45).put8(ip.traffic_class).put16(0).put16(0).put16(kDontFragment);
        put8(ip.hop_limit).put8(ip.protocol).put16(0);
    } else {
        put32(0x60000000U | std::uint32_t{ip.traffic_class} << 20U).put16(0);
        put8(ip.protocol).put8(ip.hop_limit);
    }
    put_ip(vtep.ip).put_ip(ip.destination);
    l4_ = size_;
    protocol_ = ip.protocol;
}

UnderlayFrame& UnderlayFrame::put(std::span<const std::uint8_t> bytes) noexcept {
    SLUICE_ASSERT(size_ + bytes.size() <= kSizeMax);
    std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return *this;
}

UnderlayFrame& UnderlayFrame::put8(std::uint8_t value) noexcept { return put({&value, 1}); }

UnderlayFrame& UnderlayFrame::put16(std::uint16_t value) noexcept {
    return put8(static_cast<std::uint8_t>(value >> 8U)).put8(static_cast<std::uint8_t>(value));
}

UnderlayFrame& UnderlayFrame::put32(std::uint32_t value) noexcept {
    return put16(static_cast<std::uint16_t>(value >> 16U)).put16(static_cast<std::uint16_t>(value));
}

UnderlayFrame& UnderlayFrame::put_ip(const IpAddr& ip) noexcept {
    const std::span<const std::uint8_t> all(ip.bytes);
    return put(ip.is_v4() ? all.subspan(12) : all);
}

void UnderlayFrame::finish_ip() noexcept {
    std::uint8_t* ip = bytes_.data() + l3_;
    std::uint8_t* l4 = bytes_.data() + l4_;
    const std::size_t size = size_ - l4_;
    std::uint32_t pseudo = 0;
    if (vtep_.ip.is_v4()) {
        store_be16(ip + 2, size_ - l3_);
        store(ip + 10, static_cast<std::uint16_t>(~header_sum(ip, kIpv4Size)));
        if (protocol_ != kProtocolIcmp) { pseudo = raw_sum(ip + 12, 8); }
    } else {
        store_be16(ip + 4, size);
        pseudo = raw_sum(ip + 8, 32);
    }
    if (protocol_ == kProtocolUdp) { store_be16(l4 + 4, size); }
    if (protocol_ != kProtocolIcmp) { pseudo += swapped(size) + swapped(protocol_); }
    const std::uint16_t sum = folded(raw_sum(l4, size) + pseudo);
    // 0 would mean that there is none (RFC 768).
    store(l4 + checksum_at(protocol_), static_cast<std::uint16_t>(sum == 0xffffU ? sum : ~sum));
}

bool UnderlayFrame::send(WorkerContext& context) const noexcept {
    context.counters.created.add(1);
    rte_mbuf* frame = rte_pktmbuf_alloc(context.options.pool);
    if (frame == nullptr) {
        count_drop(context, vtep_.uplink, DropReason::kNoBuffer);
        return false;
    }
    frame->port = vtep_.uplink.value;  // Whom a drop is charged to: it entered nowhere.
    frame->hash.rss = 0;
    const std::size_t size = std::max(size_, kFrameSizeMin);
    auto* room = rte_pktmbuf_append(frame, static_cast<std::uint16_t>(size));
    if (room == nullptr) {
        drop(context, frame, DropReason::kNoBuffer);
        return false;
    }
    std::memcpy(room, bytes_.data(), size_);
    std::memset(room + size_, 0, size - size_);
    output(context, frame, vtep_.uplink);
    return true;
}

}  // namespace sluice::datapath
