// SPDX-License-Identifier: Apache-2.0
// EspRig: see esp_rig.h.
#include "tests/unit/esp/esp_rig.h"

#include <algorithm>
#include <cstring>

namespace sluice::test {

rte_mbuf* EspRig::mbuf_of(const Bytes& frame, std::size_t cut) const {
    rte_mbuf* first = nullptr;
    std::size_t at = 0;
    while (at < frame.size() || first == nullptr) {
        std::size_t size = frame.size() - at;
        if (cut != 0) { size = std::min(size, first == nullptr ? std::size_t{128} : cut); }
        rte_mbuf* segment = rte_pktmbuf_alloc(pool);
        SLUICE_ASSERT(segment != nullptr);
        if (size > 0) {
            char* room = rte_pktmbuf_append(segment, static_cast<std::uint16_t>(size));
            std::memcpy(room, frame.data() + at, size);
        }
        at += size;
        if (first == nullptr) {
            first = segment;
        } else {
            SLUICE_ASSERT(rte_pktmbuf_chain(first, segment) == 0);
        }
    }
    return first;
}

Bytes EspRig::take(rte_mbuf* frame) const {
    Bytes out;
    for (const rte_mbuf* one = frame; one != nullptr; one = one->next) {
        const auto* data = rte_pktmbuf_mtod(one, const std::uint8_t*);
        out.insert(out.end(), data, data + one->data_len);
    }
    EXPECT_EQ(out.size(), frame->pkt_len);
    rte_mbuf_sanity_check(frame, 1);
    rte_pktmbuf_free(frame);
    return out;
}

}  // namespace sluice::test
