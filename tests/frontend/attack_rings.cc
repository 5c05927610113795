// SPDX-License-Identifier: Apache-2.0
// Attacks by the rings' indices and flags, and by the descriptors for kicks and calls.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "attack_scene.h"

namespace sluice::frontend {
namespace {

constexpr std::uint64_t kEventFull = ~std::uint64_t{0} - 1;  // The largest that an eventfd counts.
constexpr Milliseconds kStorm{15};
constexpr Milliseconds kBlocked{40};
constexpr Milliseconds kBlockedMax{2000};  // Where the device gets no core before.

void jump(AttackScene& s, unsigned count) {
    s.ring.put_same(count);
    s.publish();
}

void heads(AttackScene& s, std::uint16_t head) {
    for (unsigned i = 0; i < s.ring.size(); ++i) { s.ring.put(head); }
    s.publish();
}

// Each frame asks for a call.
void ask_for_calls(SplitRing& ring) {
    ring.avail().flags = 0;
    ring.avail().entries[ring.size()] = ring.used_index();
}

void set_call(AttackScene& s, unsigned vring, int fd) {
    const std::uint64_t index = vring;
    s.note(s.guest.request(Request::kSetVringCall, bytes_of(index), std::span(&fd, 1), true));
}

// A call descriptor that is full, on which the device would wait for ever. `later`: made blocking
// again after the device has looked at it, until it cuts the guest off for that.
void blocked_call(AttackScene& s, bool later) {
    const Fd call(::eventfd(0, EFD_CLOEXEC));
    [[maybe_unused]] ssize_t done = ::write(call.get(), &kEventFull, sizeof kEventFull);
    for (const unsigned vring : {0U, 1U}) { set_call(s, vring, call.get()); }
    if (later) { ::fcntl(call.get(), F_SETFL, 0); }
    const std::uint16_t used = s.ring.used_index();
    const Deadline deadline = after(kBlocked);
    const Deadline last = after(kBlockedMax);
    while (s.guest.connected() &&
           (Clock::now() < deadline ||
            ((later || s.ring.used_index() == used) && Clock::now() < last))) {
        ask_for_calls(s.ring);
        ask_for_calls(s.rx.ring());
        if (s.ring.outstanding() < s.ring.size() / 2) { s.offer(); }
        s.guest.wait_disconnected(Milliseconds(1));
    }
    std::uint64_t count = 0;
    ::fcntl(call.get(), F_SETFL, O_NONBLOCK);
    done = ::read(call.get(), &count, sizeof count);  // Frees a device that waits still.
}

void kick_storm(AttackScene& s) {
    const Deadline deadline = after(kStorm);
    while (Clock::now() < deadline) {
        s.ring.force_kick();
        s.rx.ring().force_kick();
    }
    s.offer();
}

void full_kick(AttackScene& s) {
    std::uint64_t count = 0;
    [[maybe_unused]] ssize_t done = ::read(s.ring.kick_fd(), &count, sizeof count);
    done = ::write(s.ring.kick_fd(), &kEventFull, sizeof kEventFull);
    s.offer();
    done = ::read(s.ring.kick_fd(), &count, sizeof count);
}

constexpr Attack kAttacks[] = {
    {"head_out_of_range", "An available entry that names no descriptor.",
     [](AttackScene& s) {
         s.ring.put(static_cast<std::uint16_t>(s.ring.size() + 3));
         s.publish();
     }},
    {"head_largest", "A ring full of head 65535.", [](AttackScene& s) { heads(s, 0xffff); }},
    {"head_repeated", "One head, as often as the ring has entries.",
     [](AttackScene& s) { heads(s, 0); }},
    {"avail_index_one_too_far", "An available index one beyond a full ring.",
     [](AttackScene& s) { jump(s, s.ring.size() + 1); }},
    {"avail_index_jump", "An available index far beyond the ring's size.",
     [](AttackScene& s) { jump(s, s.ring.size() * 2 + 7); }},
    {"avail_index_half_way", "An available index 32 768 ahead.",
     [](AttackScene& s) { jump(s, 0x8000); }},
    {"avail_index_back", "An available index behind the device's position.",
     [](AttackScene& s) { jump(s, 0x10000 - 5); }},
    {"avail_index_one_back", "An available index one behind: 65 535 ahead.",
     [](AttackScene& s) { jump(s, 0xffff); }},
    {"avail_random", "An available ring of random bytes.",
     [](AttackScene& s) {
         s.fill_random(s.ring.avail().entries, 2 * (s.ring.size() + 1));
         jump(s, s.ring.size());
     }},
    {"random_ring", "Descriptors and available ring of random bytes.",
     [](AttackScene& s) {
         s.fill_random(s.descriptors, sizeof(Descriptor) * s.ring.size());
         s.fill_random(s.ring.avail().entries, 2 * s.ring.size());
         jump(s, s.ring.size());
     }},
    {"rings_erased", "Both rings are wiped while they run.",
     [](AttackScene& s) {
         s.ring.clear();
         s.rx.ring().clear();
         s.publish();
     }},
    {"avail_flags_random", "Every bit of the available flags, 200 times.",
     [](AttackScene& s) {
         for (unsigned i = 0; i < 200; ++i) {
             s.ring.avail().flags = static_cast<std::uint16_t>(s.random());
             s.ring.put(0);
             s.publish();
         }
     }},
    {"used_event_lies", "The event index asks for calls at random places.",
     [](AttackScene& s) {
         for (unsigned i = 0; i < 200; ++i) {
             s.ring.avail().entries[s.ring.size()] = static_cast<std::uint16_t>(s.random());
             s.ring.put(0);
             s.publish();
         }
     }},
    {"used_scribbled", "The guest writes over the device's used ring.",
     [](AttackScene& s) {
         s.fill_random(&s.ring.used(), used_ring_bytes(s.ring.size()));
         s.offer();
     }},
    {"used_index_jump", "The guest moves the device's used index on by 999.",
     [](AttackScene& s) {
         s.ring.used().index = static_cast<std::uint16_t>(s.ring.used().index + 999);
         s.rx.ring().used().index = static_cast<std::uint16_t>(s.rx.ring().used().index + 999);
         s.offer();
     }},
    {"used_of_receive_scribbled", "The guest writes over the receive ring's used ring.",
     [](AttackScene& s) {
         s.fill_random(&s.rx.ring().used(), used_ring_bytes(s.rx.ring().size()));
         s.rx.ring().force_kick();
     }},
    {"kick_storm", "15 ms of nothing but kicks.", kick_storm},
    {"kick_full", "A kick descriptor that can count no further.", full_kick},
    {"call_full", "A blocking call descriptor that can count no further.",
     [](AttackScene& s) { blocked_call(s, false); }},
    {"call_full_later", "The same, made blocking after the device has checked it.",
     [](AttackScene& s) { blocked_call(s, true); }},
};

}  // namespace

std::span<const Attack> ring_attacks() { return kAttacks; }

}  // namespace sluice::frontend
