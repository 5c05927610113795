// SPDX-License-Identifier: Apache-2.0
// Attacks by a second thread that changes what the device is reading, while the first goes on
// offering frames. All through atomics: it is the device that must not read twice.
#include <thread>

#include "attack_scene.h"

namespace sluice::frontend {
namespace {

constexpr Milliseconds kRace{15};
constexpr Milliseconds kRaceMax{80};  // Where the device gets no core before.

template <typename T, typename V>
void store(T& at, V value) {
    std::atomic_ref(at).store(static_cast<T>(value), std::memory_order_relaxed);
}

using Random = std::minstd_rand;
using Flip = void (*)(AttackScene&, Random&);

void race(AttackScene& s, Flip flip) {
    std::atomic<bool> stop{false};
    std::thread flipper(
        [&s, &stop, flip, random = Random(static_cast<unsigned>(s.random()))]() mutable {
            while (!stop.load(std::memory_order_relaxed)) { flip(s, random); }
        });
    const std::uint16_t used = s.ring.used_index();
    const Deadline deadline = after(kRace);
    const Deadline last = after(kRaceMax);
    while (Clock::now() < deadline || (s.ring.used_index() == used && Clock::now() < last)) {
        if (s.ring.outstanding() >= s.ring.size() / 2) { continue; }
        s.ring.put(0);
        s.publish();
    }
    stop = true;
    flipper.join();
}

// One of two values, in turns that nobody can foresee.
template <typename T, typename V, typename W>
void either(T& at, Random& random, V one, W other) {
    store(at, (random() & 64U) != 0 ? static_cast<std::uint64_t>(one)
                                    : static_cast<std::uint64_t>(other));
}

void flip_receive(AttackScene& s, Random& random) {
    Descriptor& d = s.rx.ring().descriptors()[random() % s.rx.ring().size()];
    either(d.length, random, 2048, random());
    either(d.address, random, s.rx.buffer(0).guest, kNowhere);
    either(d.flags, random, kDescriptorWrite, random());
    either(d.next, random, 0, random());
}

void flip_all(AttackScene& s, Random& random) {
    Descriptor& d = s.descriptors[0];
    either(d.length, random, s.good().length, random());
    either(d.address, random, s.good().address, random());
    either(d.flags, random, 0, random() & 7U);
    either(d.next, random, 0, random());
    store(s.table()[random() % kTxTableEntries].length, random());
    store(s.buffer()[random() % (s.header_bytes + s.frame.size())], random());
    flip_receive(s, random);
}

constexpr Attack kAttacks[] = {
    {"race_length", "The length changes between a frame's, none and 4 GiB.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) {
             either(t.descriptors[0].length, r, t.good().length, r() & 1U ? 0U : 0xffffffffU);
         });
     }},
    {"race_length_small", "The length changes between a frame's and less than a header.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) {
             either(t.descriptors[0].length, r, t.good().length, r() % 16);
         });
     }},
    {"race_address", "The address changes between a buffer and nowhere.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) {
             either(t.descriptors[0].address, r, t.good().address, kNowhere);
         });
     }},
    {"race_flags", "The flags change: next, writable, indirect.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) { either(t.descriptors[0].flags, r, 0, r() & 7U); });
     }},
    {"race_next", "A chain's `next` changes between its own and anything.",
     [](AttackScene& s) {
         s.descriptors[1] = s.good();
         race(s, [](AttackScene& t, Random& r) {
             store(t.descriptors[0].flags, kDescriptorNext);
             either(t.descriptors[0].next, r, 1, r());
         });
     }},
    {"race_indirect", "The entries of an indirect table change.",
     [](AttackScene& s) {
         for (unsigned i = 0; i < 4; ++i) {
             s.table()[i] = {s.good().address, 64, kDescriptorNext,
                             static_cast<std::uint16_t>(i + 1)};
         }
         s.descriptors[0] = s.indirect(8);
         race(s, [](AttackScene& t, Random& r) {
             Descriptor& d = t.table()[r() % 8];
             either(d.flags, r, kDescriptorNext, r() & 7U);
             either(d.next, r, r() % 8, r());
             either(d.length, r, 64, r());
         });
     }},
    {"race_indirect_length", "The size of an indirect table changes.",
     [](AttackScene& s) {
         s.table()[0] = s.good();
         s.descriptors[0] = s.indirect(1);
         race(s, [](AttackScene& t, Random& r) { either(t.descriptors[0].length, r, 16, r()); });
     }},
    {"race_header", "The virtio-net header changes.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) { store(t.buffer()[r() % t.header_bytes], r()); });
     }},
    {"race_frame", "The frame changes while it is copied.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) {
             store(t.buffer()[t.header_bytes + r() % t.frame.size()], r());
         });
     }},
    {"race_heads", "The available entries change.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) {
             either(t.ring.avail().entries[r() % t.ring.size()], r, 0, r());
         });
     }},
    {"race_avail_index", "The available index changes.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) { store(t.ring.avail().index, r()); });
     }},
    {"race_used_index", "The device's used index changes.",
     [](AttackScene& s) {
         race(s, [](AttackScene& t, Random& r) { store(t.ring.used().index, r()); });
     }},
    {"race_receive", "Lengths, addresses, flags and chains of receive buffers change.",
     [](AttackScene& s) { race(s, flip_receive); }},
    {"race_everything", "All of it at once.", [](AttackScene& s) { race(s, flip_all); }},
};

}  // namespace

std::span<const Attack> race_attacks() { return kAttacks; }

}  // namespace sluice::frontend
