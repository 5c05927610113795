// SPDX-License-Identifier: Apache-2.0
// Attacks by the descriptors of a transmit ring, and by cutting the memory that they name.
#include "attack_scene.h"

namespace sluice::frontend {
namespace {

void chain(AttackScene& s, unsigned count, std::uint64_t address, std::uint32_t length) {
    for (unsigned i = 0; i < count; ++i) {
        const bool last = i + 1 == count;
        s.descriptors[i] = {address, length, last ? std::uint16_t{0} : kDescriptorNext,
                            static_cast<std::uint16_t>(last ? 0 : i + 1)};
    }
}

void with(AttackScene& s, const Descriptor& descriptor) {
    s.descriptors[0] = descriptor;
    s.offer();
}

void with_length(AttackScene& s, std::uint64_t length) {
    s.descriptors[0].length = static_cast<std::uint32_t>(length);
    s.offer();
}

void with_flags(AttackScene& s, std::uint16_t flags, std::uint16_t next = 0) {
    s.descriptors[0].flags = flags;
    s.descriptors[0].next = next;
    s.offer();
}

void loop_over(AttackScene& s, unsigned count, std::uint32_t length) {
    for (unsigned i = 0; i < count; ++i) {
        s.descriptors[i] = {s.tx.buffer(0).guest, length, kDescriptorNext,
                            static_cast<std::uint16_t>((i + 1) % count)};
    }
    s.offer();
}

void cut_then(AttackScene& s, std::size_t region, std::size_t bytes, const Descriptor& descriptor) {
    s.guest.memory().truncate(region, bytes);
    with(s, descriptor);
}

constexpr Attack kAttacks[] = {
    {"address_out_of_range", "A buffer behind all guest memory.",
     [](AttackScene& s) {
         with(s, {kNowhere, s.good().length, 0, 0});
     }},
    {"address_in_gap", "A buffer in the hole between two memory regions.",
     [](AttackScene& s) {
         with(s, {s.guest.memory().end_of(0) + 4096, s.good().length, 0, 0});
     }},
    {"address_wraps", "Address plus length overflows 64 bits.",
     [](AttackScene& s) {
         with(s, {~std::uint64_t{0} - 15, s.good().length, 0, 0});
     }},
    {"address_zero", "A buffer at guest address 0.",
     [](AttackScene& s) {
         with(s, {0, s.good().length, 0, 0});
     }},
    {"address_odd", "A buffer at an odd address.",
     [](AttackScene& s) {
         with(s, {s.good().address + 1, s.good().length, 0, 0});
     }},
    {"crosses_region_end", "A buffer that starts in a region and ends behind it.",
     [](AttackScene& s) {
         with(s, {s.guest.memory().end_of(0) - 20, s.good().length, 0, 0});
     }},
    {"buffer_is_descriptors", "The frame is the descriptor table itself.",
     [](AttackScene& s) {
         const auto offset = reinterpret_cast<const std::uint8_t*>(s.descriptors) - s.buffer();
         with(s, {s.good().address + static_cast<std::uint64_t>(offset), 1024, 0, 0});
     }},
    {"length_zero", "A buffer of no bytes.", [](AttackScene& s) { with_length(s, 0); }},
    {"length_one", "A buffer of one byte.", [](AttackScene& s) { with_length(s, 1); }},
    {"length_huge", "A buffer of 4 GiB - 1.",
     [](AttackScene& s) { with_length(s, ~std::uint32_t{0}); }},
    {"length_sum_wraps", "Two buffers whose lengths together overflow 32 bits.",
     [](AttackScene& s) {
         chain(s, 2, s.good().address, 0x80000020U);
         s.offer();
     }},
    {"short_header", "Five bytes in all, less than a header.",
     [](AttackScene& s) { with_length(s, 5); }},
    {"header_only", "A header and no frame.",
     [](AttackScene& s) { with_length(s, s.header_bytes); }},
    {"tiny_frame", "A frame of 1 to 13 bytes.",
     [](AttackScene& s) { with_length(s, s.header_bytes + 1 + s.random() % 13); }},
    {"oversize_frame", "16 x 64 KiB in one chain.",
     [](AttackScene& s) {
         chain(s, 16, s.good().address, 65536);
         s.offer();
     }},
    {"chain_full_table", "A chain over the whole table, one byte each.",
     [](AttackScene& s) {
         chain(s, s.ring.size(), s.good().address, 1);
         s.offer();
     }},
    {"chain_zero_lengths", "A chain over the whole table of empty buffers.",
     [](AttackScene& s) {
         chain(s, s.ring.size(), s.good().address, 0);
         s.offer();
     }},
    {"chain_loop", "`next` names the descriptor itself.",
     [](AttackScene& s) { with_flags(s, kDescriptorNext); }},
    {"chain_loop_of_two", "Two descriptors that name each other.",
     [](AttackScene& s) { loop_over(s, 2, 64); }},
    {"chain_long_loop", "A cycle over the whole table.",
     [](AttackScene& s) { loop_over(s, s.ring.size(), 64); }},
    {"chain_loop_of_nothing", "A cycle of empty buffers, which never grows too large.",
     [](AttackScene& s) { loop_over(s, 4, 0); }},
    {"chain_mixed_rights", "Readable, writable and readable again in one chain.",
     [](AttackScene& s) {
         chain(s, 3, s.good().address, 64);
         s.descriptors[1].flags |= kDescriptorWrite;
         s.offer();
     }},
    {"next_out_of_range", "`next` behind the table.",
     [](AttackScene& s) {
         with_flags(s, kDescriptorNext, static_cast<std::uint16_t>(s.ring.size() + 7));
     }},
    {"next_largest", "`next` is 65535.",
     [](AttackScene& s) { with_flags(s, kDescriptorNext, 0xffff); }},
    {"flags_all", "Every flag set.", [](AttackScene& s) { with_flags(s, 0xffff); }},
    {"device_writable", "A transmit buffer marked writable.",
     [](AttackScene& s) { with_flags(s, kDescriptorWrite); }},
    {"memory_truncated", "The last region's file is cut to nothing, and a buffer lies there.",
     [](AttackScene& s) {
         const auto target = s.rx.buffer(0).guest;
         cut_then(s, s.guest.memory().region_count() - 1, 0, {target, s.good().length, 0, 0});
     },
     true},
    {"memory_halved", "The last region's file is cut in half, and a buffer crosses the cut.",
     [](AttackScene& s) {
         const std::size_t last = s.guest.memory().region_count() - 1;
         const std::size_t half = s.guest.memory().size_of(last) / 2 / 4096 * 4096;
         const std::uint64_t cut =
             s.guest.memory().end_of(last) - s.guest.memory().size_of(last) + half;
         cut_then(s, last, half, {cut - 30, s.good().length, 0, 0});
     },
     true},
    {"memory_rings_truncated", "The file under the rings themselves is cut to nothing.",
     [](AttackScene& s) { cut_then(s, 0, 0, s.good()); }, true},
};

}  // namespace

std::span<const Attack> descriptor_attacks() { return kAttacks; }

}  // namespace sluice::frontend
