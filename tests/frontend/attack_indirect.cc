// SPDX-License-Identifier: Apache-2.0
// Attacks by indirect tables (virtio 1.1 §2.6.5.3).
#include "attack_scene.h"

namespace sluice::frontend {
namespace {

void with(AttackScene& s, const Descriptor& table) {
    s.descriptors[0] = table;
    s.offer();
}

Descriptor at(Descriptor table, std::uint64_t address) {
    table.address = address;
    return table;
}

Descriptor sized(Descriptor table, std::uint32_t bytes) {
    table.length = bytes;
    return table;
}

void fill(AttackScene& s, unsigned entries, std::uint32_t length, std::uint16_t last_flags) {
    for (unsigned i = 0; i < entries; ++i) {
        const bool last = i + 1 == entries;
        s.table()[i] = {s.good().address, length, last ? last_flags : kDescriptorNext,
                        static_cast<std::uint16_t>(last ? 0 : i + 1)};
    }
}

constexpr Attack kAttacks[] = {
    {"indirect_out_of_range", "A table behind all guest memory.",
     [](AttackScene& s) { with(s, at(s.indirect(2), kNowhere)); }},
    {"indirect_in_gap", "A table in the hole between two regions.",
     [](AttackScene& s) { with(s, at(s.indirect(2), s.guest.memory().end_of(0) + 64)); }},
    {"indirect_crosses_region_end", "A table that begins in a region and ends behind it.",
     [](AttackScene& s) { with(s, at(s.indirect(4), s.guest.memory().end_of(0) - 16)); }},
    {"indirect_wraps", "A table whose address plus size overflows.",
     [](AttackScene& s) { with(s, at(s.indirect(4), ~std::uint64_t{0} - 31)); }},
    {"indirect_unaligned", "A table at an odd address.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         with(s, at(s.indirect(2), s.tx.table(0).guest + 3));
     }},
    {"indirect_odd_length", "A table whose size is no multiple of 16.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         with(s, sized(s.indirect(1), 21));
     }},
    {"indirect_empty", "A table of no entries.", [](AttackScene& s) { with(s, s.indirect(0)); }},
    {"indirect_huge", "A table of 4 GiB - 16.",
     [](AttackScene& s) {
         fill(s, kTxTableEntries, 64, kDescriptorNext);
         with(s, sized(s.indirect(1), 0xfffffff0U));
     }},
    {"indirect_nested", "A table whose entry is another table.",
     [](AttackScene& s) {
         s.table()[0] = s.indirect(1);
         with(s, s.indirect(1));
     }},
    {"indirect_nested_late", "A table whose last entry is a table.",
     [](AttackScene& s) {
         fill(s, 4, 64, kDescriptorIndirect);
         with(s, s.indirect(4));
     }},
    {"indirect_loop", "An entry that names the first again.",
     [](AttackScene& s) {
         fill(s, 2, 64, kDescriptorNext);
         with(s, s.indirect(2));
     }},
    {"indirect_loop_of_nothing", "A cycle of empty entries.",
     [](AttackScene& s) {
         fill(s, 8, 0, kDescriptorNext);
         with(s, s.indirect(8));
     }},
    {"indirect_next_out_of_range", "`next` behind the table.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         s.table()[0].flags = kDescriptorNext;
         s.table()[0].next = 4000;
         with(s, s.indirect(1));
     }},
    {"indirect_and_next", "A descriptor that is a table and goes on.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         Descriptor both = s.indirect(1);
         both.flags |= kDescriptorNext;
         both.next = 1;
         s.descriptors[1] = s.good();
         with(s, both);
     }},
    {"indirect_behind_a_chain", "A chain whose second descriptor is a table.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         s.descriptors[1] = s.indirect(1);
         with(s, {s.good().address, 12, kDescriptorNext, 1});
     }},
    {"indirect_writable", "A table marked writable.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         Descriptor table = s.indirect(1);
         table.flags |= kDescriptorWrite;
         with(s, table);
     }},
    {"indirect_full_of_bytes", "64 entries of one byte each.",
     [](AttackScene& s) {
         fill(s, kTxTableEntries, 1, 0);
         with(s, s.indirect(kTxTableEntries));
     }},
    {"indirect_is_the_ring", "The ring's own descriptor table as an indirect one.",
     [](AttackScene& s) {
         const auto offset = reinterpret_cast<const std::uint8_t*>(s.descriptors) - s.buffer();
         with(s, at(s.indirect(16), s.good().address + static_cast<std::uint64_t>(offset)));
     }},
    {"indirect_random", "A table of random bytes.",
     [](AttackScene& s) {
         s.fill_random(s.table(), kTxTableEntries * sizeof(Descriptor));
         with(s, s.indirect(kTxTableEntries));
     }},
    {"indirect_truncated", "A table in memory whose file is cut to nothing.",
     [](AttackScene& s) {
         const std::uint64_t target = s.rx.buffer(0).guest;
         s.guest.memory().truncate(s.guest.memory().region_count() - 1, 0);
         with(s, at(s.indirect(4), target));
     },
     true},
};

}  // namespace

std::span<const Attack> indirect_attacks() { return kAttacks; }

}  // namespace sluice::frontend
