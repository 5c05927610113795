// SPDX-License-Identifier: Apache-2.0
// Finding attacks, running one, and the scene that they share.
#include "attack.h"

#include <algorithm>

#include "attack_scene.h"

namespace sluice::frontend {

AttackScene::AttackScene(FrontEnd& front_end, std::span<const std::uint8_t> good_frame,
                         std::uint64_t seed)
    : guest(front_end),
      tx(front_end.pair(0).tx),
      rx(front_end.pair(0).rx),
      ring(tx.ring()),
      descriptors(ring.descriptors()),
      header_bytes(tx.header_bytes()),
      frame(good_frame.first(std::min(good_frame.size(), kFrameBytesMax))),
      random(seed) {
    tx.lend();
    std::memset(buffer(), 0, header_bytes);
    std::memcpy(buffer() + header_bytes, frame.data(), frame.size());
    descriptors[0] = good();
}

void AttackScene::offer() {
    ring.put(0);
    publish();
}

void AttackScene::publish() {
    ring.publish();
    ring.force_kick();
}

void AttackScene::queue(std::span<const std::uint8_t> bytes, const NetHeader& header) {
    if (queued_ == ring.size()) { return; }
    const auto head = static_cast<std::uint16_t>(queued_++);
    const GuestSpan room = tx.buffer(head);
    const std::size_t size = std::min(bytes.size(), kFrameBytesMax);
    std::memcpy(room.host, &header, header_bytes);
    if (size > 0) { std::memcpy(room.host + header_bytes, bytes.data(), size); }
    descriptors[head] = {room.guest, static_cast<std::uint32_t>(header_bytes + size), 0, 0};
    ring.put(head);
}

std::vector<const Attack*> all_attacks() {
    std::vector<const Attack*> all;
    for (const auto table :
         {descriptor_attacks(), indirect_attacks(), receive_attacks(), header_attacks(),
          ring_attacks(), race_attacks(), frame_attacks(), socket_attacks()}) {
        for (const Attack& one : table) { all.push_back(&one); }
    }
    return all;
}

const Attack* find_attack(std::string_view name) {
    const auto all = all_attacks();
    const auto at = std::ranges::find(all, name, &Attack::name);
    return at == all.end() ? nullptr : *at;
}

AttackResult attack(FrontEnd& front_end, const Attack& attack, std::span<const std::uint8_t> frame,
                    std::uint64_t seed, Milliseconds wait) {
    SplitRing& ring = front_end.pair(0).tx.ring();
    const std::uint16_t before = ring.used_index();
    AttackScene scene(front_end, frame, seed);
    attack.run(scene);
    const Deadline deadline = after(wait);
    while (Clock::now() < deadline && ring.used_index() == before && front_end.connected()) {
        front_end.wait_disconnected(Milliseconds(1));
    }
    if (ring.outstanding() == 0) {
        front_end.pair(0).tx.give_back();
    }  // All used: a reset is not needed.
    return {static_cast<std::uint16_t>(ring.used_index() - before), front_end.connected(),
            scene.sent};
}

}  // namespace sluice::frontend
