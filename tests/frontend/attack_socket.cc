// SPDX-License-Identifier: Apache-2.0
// Hostile vhost-user messages: wrong values in well-formed messages, then malformed messages.
#include "attack_socket.h"

namespace sluice::frontend {
namespace {

constexpr unsigned kTransmit = 1;  // vring of pair 0.

[[nodiscard]] Status ring_address(FrontEnd& guest, std::uint64_t descriptors) {
    VringAddress address = guest.pair(0).tx.ring().addresses(kTransmit);
    address.descriptors = descriptors;
    return guest.request(Request::kSetVringAddr, bytes_of(address));
}

[[nodiscard]] Status ring_size(FrontEnd& guest, std::uint32_t size) {
    const VringState state{kTransmit, size};
    return guest.request(Request::kSetVringNum, bytes_of(state));
}

[[nodiscard]] Status memory_table(FrontEnd& guest, const MemoryTable& table, std::size_t wire_bytes,
                                  bool with_fds) {
    const std::vector<int> fds = with_fds ? guest.memory().fds() : std::vector<int>{};
    return guest.request(Request::kSetMemTable, bytes_of(table).first(wire_bytes), fds);
}

[[nodiscard]] Status break_memory_table(FrontEnd& guest, Attack attack) {
    MemoryTable table = guest.memory().table();
    const std::size_t wire_bytes = table.wire_bytes();
    const std::uint32_t last = table.region_count - 1;
    switch (attack) {
        case Attack::kMemTableTooLarge:
            table.regions[last].size_bytes += std::uint64_t{1} << 34U;
            break;
        case Attack::kMemTableOverlap:
            table.regions[last].guest_address = table.regions[0].guest_address;
            break;
        case Attack::kMemTableManyRegions: table.region_count = 1000; break;
        default: break;
    }
    return memory_table(guest, table, wire_bytes, attack != Attack::kMemTableNoFds);
}

[[nodiscard]] Status break_message(FrontEnd& guest, Attack attack) {
    const std::uint64_t half = 0;
    MessageHeader header{static_cast<std::uint32_t>(Request::kSetFeatures), kMessageVersion,
                         sizeof half};
    if (attack == Attack::kMessageUnknown) { header.request = 9999; }
    if (attack == Attack::kMessageBadVersion) { header.flags = 2; }
    if (attack == Attack::kMessageOversize) { header.payload_bytes = 1U << 30U; }
    const bool cut = attack == Attack::kMessageTruncated;
    return guest.channel().send(header, bytes_of(half).first(cut ? 3 : sizeof half));
}

}  // namespace

Status attack_socket(FrontEnd& guest, Attack attack) {
    switch (attack) {
        case Attack::kRingAddressOutOfRange: return ring_address(guest, std::uint64_t{1} << 46U);
        case Attack::kRingAddressUnaligned:
            return ring_address(guest,
                                guest.pair(0).tx.ring().addresses(kTransmit).descriptors + 3);
        case Attack::kRingSizeZero: return ring_size(guest, 0);
        case Attack::kRingSizeOdd: return ring_size(guest, 3);
        case Attack::kRingSizeHuge: return ring_size(guest, 65536);
        case Attack::kRingIndexOutOfRange: {
            const VringState state{4096, 0};
            return guest.request(Request::kSetVringBase, bytes_of(state));
        }
        case Attack::kFeaturesNotOffered: {
            const std::uint64_t all = ~std::uint64_t{0};
            return guest.request(Request::kSetFeatures, bytes_of(all));
        }
        case Attack::kMemTableTooLarge:
        case Attack::kMemTableNoFds:
        case Attack::kMemTableManyRegions:
        case Attack::kMemTableOverlap: return break_memory_table(guest, attack);
        default: return break_message(guest, attack);
    }
}

}  // namespace sluice::frontend
