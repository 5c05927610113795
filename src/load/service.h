// SPDX-License-Identifier: Apache-2.0
// Service: a pretended service VM with two legs, a bump in the wire: what comes by one leg is
// copied and goes out by the other, heartbeats too. Nothing is lost here: what finds no room in the
// other leg's ring stays in the first one's. The loop's thread.
#pragma once

#include <cstddef>

#include "end.h"

namespace sluice::load {

class Service {
public:
    /// Memory for frames that a leg with such a ring needs.
    [[nodiscard]] static std::size_t frame_bytes(unsigned queue_size) {
        return std::size_t{kRxBufferBytes} * queue_size;
    }
    Service(End& in, End& out) : legs_{&in, &out} {}

    /// Passes on what is there. True if anything moved.
    bool turn();

private:
    static bool carry(End& from, End& to);

    End* legs_[2];
};

}  // namespace sluice::load
