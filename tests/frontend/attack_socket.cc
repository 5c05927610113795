// SPDX-License-Identifier: Apache-2.0
// Attacks over the vhost-user socket: wrong values in well-formed messages, then malformed
// messages, then right ones at the wrong time.
#include <algorithm>

#include "attack_scene.h"

namespace sluice::frontend {
namespace {

constexpr unsigned kTransmit = 1;  // vring of pair 0.

void ring_address(AttackScene& s, std::uint64_t VringAddress::*field, std::uint64_t value) {
    VringAddress address = s.ring.addresses(kTransmit);
    address.*field = value;
    s.note(s.guest.request(Request::kSetVringAddr, bytes_of(address)));
}

void ring_state(AttackScene& s, Request request, std::uint32_t index, std::uint32_t value) {
    const VringState state{index, value};
    s.note(s.guest.request(request, bytes_of(state)));
}

void send_table(AttackScene& s, const MemoryTable& table, std::size_t wire_bytes,
                std::span<const int> fds) {
    s.note(s.guest.request(Request::kSetMemTable, bytes_of(table).first(wire_bytes), fds));
}

template <typename Change>
void memory_table(AttackScene& s, Change change) {
    MemoryTable table = s.guest.memory().table();
    const std::size_t wire_bytes = table.wire_bytes();
    const auto fds = s.guest.memory().fds();
    change(table, table.regions[table.region_count - 1]);
    send_table(s, table, wire_bytes, fds);
}

void message(AttackScene& s, MessageHeader header, std::size_t payload_bytes) {
    const std::uint64_t payload[4] = {};
    s.note(s.guest.channel().send(header, std::span(bytes_of(payload)).first(payload_bytes)));
}

MessageHeader header_of(Request request, std::uint32_t payload_bytes) {
    return {static_cast<std::uint32_t>(request), kMessageVersion, payload_bytes};
}

// Anything that is no eventfd, in the place of one.
void ring_fd(AttackScene& s, Request request, int fd) {
    const std::uint64_t index = kTransmit;
    s.note(s.guest.request(request, bytes_of(index), std::span(&fd, 1)));
}

void enable_storm(AttackScene& s) {
    for (unsigned i = 0; i < 50; ++i) {
        ring_state(s, Request::kSetVringEnable, kTransmit, i & 1U);
        s.ring.put(0);
        s.publish();
    }
}

constexpr Attack kAttacks[] = {
    {"ring_address_out_of_range", "Descriptors behind all memory.",
     [](AttackScene& s) { ring_address(s, &VringAddress::descriptors, kNowhere); }},
    {"ring_address_unaligned", "Descriptors at an odd address.",
     [](AttackScene& s) {
         ring_address(s, &VringAddress::descriptors, s.ring.addresses(kTransmit).descriptors + 3);
     }},
    {"ring_used_out_of_range", "A used ring behind all memory.",
     [](AttackScene& s) { ring_address(s, &VringAddress::used, kNowhere); }},
    {"ring_avail_out_of_range", "An available ring behind all memory.",
     [](AttackScene& s) { ring_address(s, &VringAddress::avail, kNowhere); }},
    {"ring_over_itself", "The used ring lies over the descriptors.",
     [](AttackScene& s) {
         ring_address(s, &VringAddress::used, s.ring.addresses(kTransmit).descriptors);
     }},
    {"ring_moved_while_running", "Another ring's addresses, while frames are under way.",
     [](AttackScene& s) {
         s.offer();
         VringAddress other = s.rx.ring().addresses(kTransmit);
         s.note(s.guest.request(Request::kSetVringAddr, bytes_of(other)));
         s.offer();
     }},
    {"ring_log_address", "A log of the used ring, which was not offered.",
     [](AttackScene& s) {
         VringAddress address = s.ring.addresses(kTransmit);
         address.flags = 1;
         address.log = kNowhere;
         s.note(s.guest.request(Request::kSetVringAddr, bytes_of(address)));
     }},
    {"ring_size_zero", "A ring of no entries.",
     [](AttackScene& s) { ring_state(s, Request::kSetVringNum, kTransmit, 0); }},
    {"ring_size_odd", "A ring of 3 entries.",
     [](AttackScene& s) { ring_state(s, Request::kSetVringNum, kTransmit, 3); }},
    {"ring_size_huge", "A ring of 65536 entries.",
     [](AttackScene& s) { ring_state(s, Request::kSetVringNum, kTransmit, 65536); }},
    {"ring_size_while_running", "The ring grows to 32768 entries while it runs.",
     [](AttackScene& s) {
         ring_state(s, Request::kSetVringNum, kTransmit, 32768);
         s.offer();
     }},
    {"ring_base_while_running", "The ring's position changes while it runs.",
     [](AttackScene& s) {
         ring_state(s, Request::kSetVringBase, kTransmit, 0x7777);
         s.offer();
     }},
    {"ring_index_out_of_range", "Position of ring 4096.",
     [](AttackScene& s) { ring_state(s, Request::kSetVringBase, 4096, 0); }},
    {"ring_enable_storm", "A ring is switched off and on 50 times under frames.", enable_storm},
    {"ring_stopped_twice", "The same ring is taken back twice.",
     [](AttackScene& s) {
         ring_state(s, Request::kGetVringBase, kTransmit, 0);
         ring_state(s, Request::kGetVringBase, kTransmit, 0);
         s.offer();
     }},
    {"kick_is_memory", "A memory file as kick descriptor.",
     [](AttackScene& s) { ring_fd(s, Request::kSetVringKick, s.guest.memory().fds().at(0)); }},
    {"call_is_a_socket", "The vhost-user socket itself as call descriptor.",
     [](AttackScene& s) { ring_fd(s, Request::kSetVringCall, s.guest.channel().fd()); }},
    {"features_not_offered", "Every feature bit.",
     [](AttackScene& s) {
         const std::uint64_t all = ~std::uint64_t{0};
         s.note(s.guest.request(Request::kSetFeatures, bytes_of(all)));
     }},
    {"features_while_running", "No features at all, while frames are under way.",
     [](AttackScene& s) {
         const std::uint64_t none = 0;
         s.note(s.guest.request(Request::kSetFeatures, bytes_of(none)));
         s.offer();
     }},
    {"owner_twice", "SET_OWNER again.",
     [](AttackScene& s) { s.note(s.guest.request(Request::kSetOwner, {})); }},
    {"owner_reset", "RESET_OWNER while frames are under way.",
     [](AttackScene& s) {
         s.note(s.guest.request(Request::kResetOwner, {}));
         s.offer();
     }},
    {"mem_table_too_large", "A region that claims more than its file holds.",
     [](AttackScene& s) {
         memory_table(s, [](MemoryTable&, MemoryRegion& last) {
             last.size_bytes += std::uint64_t{1} << 34U;
         });
     }},
    {"mem_table_offset_wraps", "An offset into the file that wraps with the size.",
     [](AttackScene& s) {
         memory_table(s, [](MemoryTable&, MemoryRegion& last) {
             last.mmap_offset = ~std::uint64_t{0} - 4095;
         });
     }},
    {"mem_table_empty_region", "A region of no bytes.",
     [](AttackScene& s) {
         memory_table(s, [](MemoryTable&, MemoryRegion& last) { last.size_bytes = 0; });
     }},
    {"mem_table_overlap", "Two regions at one guest address.",
     [](AttackScene& s) {
         memory_table(s, [](MemoryTable& table, MemoryRegion& last) {
             last.guest_address = table.regions[0].guest_address;
         });
     }},
    {"mem_table_many_regions", "A count of 1000 regions.",
     [](AttackScene& s) {
         memory_table(s, [](MemoryTable& table, MemoryRegion&) { table.region_count = 1000; });
     }},
    {"mem_table_no_fds", "A memory table without descriptors.",
     [](AttackScene& s) {
         const MemoryTable table = s.guest.memory().table();
         send_table(s, table, table.wire_bytes(), {});
     }},
    {"mem_table_while_running", "The same memory table again, while frames are under way.",
     [](AttackScene& s) {
         s.offer();
         memory_table(s, [](MemoryTable&, MemoryRegion&) {});
         s.offer();
     }},
    {"mem_table_moved", "All guest addresses move while frames are under way.",
     [](AttackScene& s) {
         s.offer();
         memory_table(s, [](MemoryTable& table, MemoryRegion&) {
             for (MemoryRegion& region : table.regions) {
                 region.guest_address += std::uint64_t{1} << 40U;
             }
         });
         s.offer();
     }},
    {"message_unknown", "Request 9999.",
     [](AttackScene& s) {
         message(s, {9999, kMessageVersion, 8}, 8);
     }},
    {"message_not_offered", "The dirty log, without having been offered.",
     [](AttackScene& s) {
         message(s, {6, kMessageVersion, 16}, 16);
     }},
    {"message_oversize", "A header that claims 1 GiB.",
     [](AttackScene& s) { message(s, header_of(Request::kSetFeatures, 1U << 30U), 8); }},
    {"message_truncated", "Half a payload, then silence.",
     [](AttackScene& s) { message(s, header_of(Request::kSetFeatures, 8), 3); }},
    {"message_bad_version", "Protocol version 2.",
     [](AttackScene& s) {
         message(s, {static_cast<std::uint32_t>(Request::kSetFeatures), 2, 8}, 8);
     }},
    {"message_is_a_reply", "A reply to a question that nobody asked.",
     [](AttackScene& s) {
         message(s,
                 {static_cast<std::uint32_t>(Request::kGetFeatures),
                  kMessageVersion | kMessageReply, 8},
                 8);
     }},
};

}  // namespace

std::span<const Attack> socket_attacks() { return kAttacks; }

}  // namespace sluice::frontend
