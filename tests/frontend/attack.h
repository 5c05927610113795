// SPDX-License-Identifier: Apache-2.0
// Attacks: what a hostile guest or a broken QEMU can do to a device through shared memory and the
// socket. Each leaves the front-end connected or cut off by the device; FrontEnd::reset or
// reconnect brings it back (after kMemoryTruncated and kMemTable* only close does). The device must
// survive, count, and serve its other ports.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "front_end.h"

namespace sluice::frontend {

enum class Attack : std::uint8_t {
    // Transmit descriptors.
    kAddressOutOfRange,  ///< Address behind all guest memory.
    kAddressWraps,       ///< Address + length overflows 64 bits.
    kCrossesRegionEnd,   ///< Starts inside a region, ends behind it.
    kLengthZero,
    kLengthHuge,     ///< 4 GiB - 1.
    kChainLoop,      ///< `next` names itself.
    kChainLongLoop,  ///< A cycle over the whole table.
    kNextOutOfRange,
    kHeadOutOfRange,      ///< Available entry names no descriptor.
    kIndirectOutOfRange,  ///< Table behind all guest memory.
    kIndirectOddLength,   ///< Table length no multiple of 16.
    kIndirectEmpty,
    kIndirectNested,
    kIndirectLoop,
    kIndirectNextOutOfRange,
    kAvailIndexJump,       ///< Index far beyond the ring size.
    kAvailIndexBack,       ///< Index behind the device's position.
    kShortHeader,          ///< 5 bytes in all.
    kHeaderOnly,           ///< A header and no frame.
    kTinyFrame,            ///< 1..13 bytes of frame.
    kOversizeFrame,        ///< 16 x 64 KiB in one chain.
    kDeviceWritable,       ///< Transmit descriptor marked writable.
    kChecksumBeyondFrame,  ///< csum_start + csum_offset outside the frame.
    kGsoBeyondFrame,       ///< hdr_len beyond the frame.
    kGsoSizeZero,
    kGsoTypeUnknown,
    kRandomHeader,   ///< A valid frame under a header of seeded random bytes.
    kRandomRing,     ///< Descriptors and available ring of seeded random bytes.
    kUsedScribbled,  ///< The guest writes the device's used ring.
    // Receive descriptors; a frame must come for them to bite.
    kReceiveReadOnly,
    kReceiveOutOfRange,
    kReceiveLengthZero,
    kReceiveLoop,
    kReceiveIndexJump,
    // The socket and the memory behind it.
    kMemoryTruncated,  ///< The file of the last region is cut to nothing, then used. Needs two
                       ///< regions.
    kRingAddressOutOfRange,
    kRingAddressUnaligned,
    kRingSizeZero,
    kRingSizeOdd,          ///< 3 entries.
    kRingSizeHuge,         ///< 65536 entries.
    kRingIndexOutOfRange,  ///< SET_VRING_BASE for ring 4096.
    kFeaturesNotOffered,
    kMemTableTooLarge,  ///< Region claims more than its file holds.
    kMemTableNoFds,
    kMemTableManyRegions,  ///< Count of 1000.
    kMemTableOverlap,      ///< Two regions at one guest address.
    kMessageUnknown,       ///< Request 9999.
    kMessageOversize,      ///< Header claims 1 GiB.
    kMessageTruncated,     ///< Half a payload, then silence.
    kMessageBadVersion,
};

[[nodiscard]] std::optional<Attack> parse_attack(std::string_view name);
/// "chain_loop".
[[nodiscard]] std::string_view to_string(Attack attack);
[[nodiscard]] std::vector<Attack> all_attacks();

struct AttackResult {
    unsigned used = 0;      ///< Transmit elements that the device gave back within the wait.
    bool connected = true;  ///< The device still holds the connection.
    bool sent = true;       ///< False: the device had closed the socket before all was sent.
};

/// Does it on queue pair 0 and waits up to `wait` for a reaction. `frame` is the well-formed frame
/// to be misused; `seed` feeds the random ones. The front-end must be running with nothing in
/// flight.
[[nodiscard]] AttackResult attack(FrontEnd& front_end, Attack attack,
                                  std::span<const std::uint8_t> frame, std::uint64_t seed,
                                  Milliseconds wait);

}  // namespace sluice::frontend
