// SPDX-License-Identifier: Apache-2.0
// EthdevPort: see ethdev_port.h. A driver frees what it sent, when it likes; the caller of send()
// frees it, too: each buffer gets a second reference for the driver.
#include "datapath/ethdev_port.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace sluice::datapath {
namespace {

void add_reference(rte_mbuf* frame, std::int16_t count) noexcept {
    for (rte_mbuf* part = frame; part != nullptr; part = part->next) {
        rte_mbuf_refcnt_update(part, count);
    }
}

/// Drivers over the kernel's sockets hand over a tag beside the frame. False: no room for it.
bool take_tag(rte_mbuf*& frame) noexcept {
    const bool is_stripped = (frame->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
    if (is_stripped && rte_vlan_insert(&frame) != 0) { return false; }
    frame->ol_flags = 0;
    return true;
}

}  // namespace

ReceiveResult EthdevPort::receive(std::span<rte_mbuf*> frames) noexcept {
    ReceiveResult result;
    const std::uint16_t port_id = port_id_.load(std::memory_order_acquire);
    if (port_id == kNoDevice) { return result; }
    const std::uint16_t got =
        rte_eth_rx_burst(port_id, 0, frames.data(), static_cast<std::uint16_t>(frames.size()));
    for (std::uint16_t i = 0; i < got; ++i) {
        rte_mbuf* frame = frames[i];
        if (take_tag(frame)) {
            frames[result.frame_count++] = frame;
        } else {
            ++result.broken_count;
            rte_pktmbuf_free(frame);
        }
    }
    return result;
}

namespace {

constexpr std::uint32_t kFrameMin = 60;  // Bytes without FCS (IEEE 802.3 §4A.2.3.2.4).

// Some NICs stop a queue that was handed a frame too short to be one; the kernel's sockets don't.
bool pad(rte_mbuf& frame) noexcept {
    if (frame.pkt_len >= kFrameMin) [[likely]] { return true; }
    const auto missing = static_cast<std::uint16_t>(kFrameMin - frame.pkt_len);
    char* room = rte_pktmbuf_append(&frame, missing);
    if (room == nullptr) { return false; }
    std::memset(room, 0, missing);
    return true;
}

}  // namespace

std::uint16_t EthdevPort::send(std::span<rte_mbuf*> frames) noexcept {
    const std::uint16_t port_id = port_id_.load(std::memory_order_acquire);
    if (port_id == kNoDevice) { return 0; }
    std::uint16_t ready = 0;  // Those that the driver can take come first.
    const bool one_buffer = wants_one_buffer_.load(std::memory_order_relaxed);
    const bool wants_padding = wants_padding_.load(std::memory_order_relaxed);
    for (rte_mbuf*& frame : frames) {
        if (one_buffer && frame->nb_segs > 1 && rte_pktmbuf_linearize(frame) != 0) { continue; }
        if (wants_padding && !pad(*frame)) { continue; }
        add_reference(frame, 1);
        std::swap(frames[ready++], frame);
    }
    const std::uint16_t sent =
        ready > 0 ? rte_eth_tx_burst(port_id, 0, frames.data(), ready) : std::uint16_t{0};
    for (std::uint16_t i = sent; i < ready; ++i) { add_reference(frames[i], -1); }
    return sent;
}

}  // namespace sluice::datapath
