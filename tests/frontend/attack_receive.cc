// SPDX-License-Identifier: Apache-2.0
// Attacks by the receive ring. A frame must come to the guest for most of them to bite.
#include "attack_scene.h"

namespace sluice::frontend {
namespace {

// The ring's own tables, by guest address. Rings lie in region 0, as transmit buffers do.
std::uint64_t guest_address(const AttackScene& s, const void* host) {
    return s.good().address +
           static_cast<std::uint64_t>(static_cast<const std::uint8_t*>(host) - s.buffer());
}

void all_at(AttackScene& s, std::uint64_t address) {
    s.each_receive([address](Descriptor& d, unsigned) { d.address = address; });
}

void all_long(AttackScene& s, std::uint32_t length) {
    s.each_receive([length](Descriptor& d, unsigned) { d.length = length; });
}

void heads(AttackScene& s, std::uint16_t head) {
    SplitRing& ring = s.rx.ring();
    for (unsigned i = 0; i < ring.size(); ++i) { ring.avail().entries[i] = head; }
    ring.force_kick();
}

constexpr Attack kAttacks[] = {
    {"receive_read_only", "Receive buffers marked readable only.",
     [](AttackScene& s) { s.each_receive([](Descriptor& d, unsigned) { d.flags = 0; }); }},
    {"receive_out_of_range", "Receive buffers behind all guest memory.",
     [](AttackScene& s) { all_at(s, kNowhere); }},
    {"receive_in_gap", "Receive buffers in the hole between two regions.",
     [](AttackScene& s) { all_at(s, s.guest.memory().end_of(0) + 64); }},
    {"receive_wraps", "Receive buffers whose address plus length overflows.",
     [](AttackScene& s) { all_at(s, ~std::uint64_t{0} - 100); }},
    {"receive_crosses_region_end", "Receive buffers that begin in a region and end behind it.",
     [](AttackScene& s) { all_at(s, s.guest.memory().end_of(0) - 40); }},
    {"receive_length_zero", "Receive buffers of no bytes.", [](AttackScene& s) { all_long(s, 0); }},
    {"receive_length_one", "Receive buffers of one byte.", [](AttackScene& s) { all_long(s, 1); }},
    {"receive_length_eleven", "Receive buffers one byte shorter than a header.",
     [](AttackScene& s) { all_long(s, 11); }},
    {"receive_length_huge", "Receive buffers of 4 GiB - 1.",
     [](AttackScene& s) { all_long(s, ~std::uint32_t{0}); }},
    {"receive_loop", "Receive descriptors of one byte that name themselves.",
     [](AttackScene& s) {
         s.each_receive([](Descriptor& d, unsigned i) {
             d.length = 1;
             d.flags = kDescriptorWrite | kDescriptorNext;
             d.next = static_cast<std::uint16_t>(i);
         });
     }},
    {"receive_loop_of_nothing", "A cycle of empty receive descriptors.",
     [](AttackScene& s) {
         s.each_receive([&s](Descriptor& d, unsigned i) {
             d.length = 0;
             d.flags = kDescriptorWrite | kDescriptorNext;
             d.next = static_cast<std::uint16_t>((i + 1) % s.rx.ring().size());
         });
     }},
    {"receive_next_out_of_range", "Receive chains that go on behind the table.",
     [](AttackScene& s) {
         s.each_receive([](Descriptor& d, unsigned) {
             d.length = 20;
             d.flags = kDescriptorWrite | kDescriptorNext;
             d.next = 0xfffe;
         });
     }},
    {"receive_one_buffer", "Every receive descriptor names one buffer.",
     [](AttackScene& s) { all_at(s, s.rx.buffer(0).guest); }},
    {"receive_over_descriptors", "The device is to write over the descriptors that it reads.",
     [](AttackScene& s) { all_at(s, guest_address(s, s.rx.ring().descriptors())); }},
    {"receive_over_used", "The device is to write frames over its used ring.",
     [](AttackScene& s) { all_at(s, guest_address(s, &s.rx.ring().used())); }},
    {"receive_over_avail", "The device is to write frames over the available ring.",
     [](AttackScene& s) { all_at(s, guest_address(s, &s.rx.ring().avail())); }},
    {"receive_over_transmit", "The device is to write frames over the transmit ring.",
     [](AttackScene& s) { all_at(s, guest_address(s, s.descriptors)); }},
    {"receive_indirect_nested", "Receive buffers that are tables of tables.",
     [](AttackScene& s) {
         s.table()[0] = s.indirect(1);
         s.each_receive([&s](Descriptor& d, unsigned) { d = s.indirect(1); });
     }},
    {"receive_indirect_loop", "Receive tables that go in a circle.",
     [](AttackScene& s) {
         s.table()[0] = {s.good().address, 1, kDescriptorWrite | kDescriptorNext, 1};
         s.table()[1] = {s.good().address, 1, kDescriptorWrite | kDescriptorNext, 0};
         s.each_receive([&s](Descriptor& d, unsigned) { d = s.indirect(2); });
     }},
    {"receive_indirect_nowhere", "Receive tables behind all memory.",
     [](AttackScene& s) {
         s.each_receive([](Descriptor& d, unsigned) {
             d = {kNowhere, 64, kDescriptorIndirect | kDescriptorWrite, 0};
         });
     }},
    {"receive_head_out_of_range", "Receive heads that name no descriptor.",
     [](AttackScene& s) { heads(s, static_cast<std::uint16_t>(s.rx.ring().size())); }},
    {"receive_head_repeated", "One receive head, made available again and again.",
     [](AttackScene& s) { heads(s, 0); }},
    {"receive_random", "Receive descriptors of random bytes.",
     [](AttackScene& s) {
         s.fill_random(s.rx.ring().descriptors(), sizeof(Descriptor) * s.rx.ring().size());
         s.rx.ring().force_kick();
     }},
    {"receive_index_jump", "The receive ring's available index jumps 20 000 ahead.",
     [](AttackScene& s) {
         s.rx.ring().put_same(20'000);
         s.rx.publish();
         s.rx.ring().force_kick();
     }},
    {"receive_index_back", "The receive ring's available index goes back by 3.",
     [](AttackScene& s) {
         s.rx.ring().put_same(0x10000 - s.rx.ring().size() - 3);
         s.rx.publish();
         s.rx.ring().force_kick();
     }},
    {"receive_truncated", "The file under the receive buffers is cut to nothing.",
     [](AttackScene& s) {
         s.guest.memory().truncate(s.guest.memory().region_count() - 1, 0);
         s.rx.ring().force_kick();
     },
     true},
};

}  // namespace

std::span<const Attack> receive_attacks() { return kAttacks; }

}  // namespace sluice::frontend
