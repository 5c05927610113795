// SPDX-License-Identifier: Apache-2.0
// What QEMU has told the library so far, kept small: the last value of each thing, with duplicates
// of the descriptors. Replayed to a new library connection it brings the device back to where it
// was, without QEMU noticing. Owned by one session. The control thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "relay/protocol.h"

namespace sluice::relay {

class Handshake {
public:
    /// Keeps what a checked request sets. Descriptors are duplicated; the message stays whole.
    /// @return false if the process has no descriptor left: the session cannot be replayed and must
    /// end.
    [[nodiscard]] bool record(const Message& message);

    /// Keeps what a reply tells: GET_VRING_BASE's ring position.
    void note_reply(const Message& message);

    /// The messages that rebuild the device, in the order that librte_vhost wants: features, owner,
    /// MTU, memory, dirty log, then each ring. Only the log's is answered. A ring's base is the
    /// last that QEMU set or read; the library itself moves on to the used ring's index when it
    /// maps the ring.
    /// @return nullopt if descriptors could not be duplicated
    [[nodiscard]] std::optional<std::vector<Message>> messages() const;

    /// Memory regions known now.
    [[nodiscard]] std::size_t region_count() const noexcept {
        return memory_ ? memory_->fds.size() : 0;
    }

private:
    struct Ring {
        std::optional<Message> size, base, address, call, error, kick, enable;
        /// Every slot, in the order of replay.
        template <typename Visit>
        bool each(Visit visit) const {
            return visit(size) && visit(base) && visit(address) && visit(call) && visit(error) &&
                   visit(kick) && visit(enable);
        }
    };

    std::optional<Message>* slot_for(const Message& message);

    std::optional<Message> features_, protocol_features_, owner_, mtu_, memory_, log_;
    std::map<std::uint32_t, Ring> rings_;
};

}  // namespace sluice::relay
