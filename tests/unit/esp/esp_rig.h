// SPDX-License-Identifier: Apache-2.0
// EspRig: one key, an association that seals and one that opens, and frames in mbufs of a pool of
// the test's own.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <span>
#include <vector>

#include <gtest/gtest.h>
#include "datapath/association.h"
#include "datapath/esp.h"

#include "sluice/base/assert.h"
#include "tests/unit/esp/esp_peer.h"

namespace sluice::test {

class EspRig {
public:
    explicit EspRig(const datapath::SaParameters& parameters)
        : pool(rte_pktmbuf_pool_create("esp_rig", 511, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                       SOCKET_ID_ANY)),
          key(parameters),
          associations(1) {
        SLUICE_ASSERT(pool != nullptr && associations.send_with(0, key).ok());
        listen();
    }
    ~EspRig() { rte_mempool_free(pool); }
    EspRig(const EspRig&) = delete;
    EspRig& operator=(const EspRig&) = delete;

    /// Opens from now on with a window that has seen nothing.
    void listen() {
        associations.stop_receiving(1, key.spi);
        SLUICE_ASSERT(associations.receive_with(1, key).ok());
        associations.reclaim(true);
    }
    [[nodiscard]] datapath::SendingAssociation& sender() const {
        return *const_cast<EspRig*>(this)->associations.state().sender(0, Spi::of(key.spi).policy);
    }
    [[nodiscard]] datapath::ReceivingAssociation& receiver() const {
        return *const_cast<EspRig*>(this)->associations.state().receiving.load()->find(1, key.spi);
    }
    /// In one mbuf, or in segments of `cut` bytes behind the first one's 128.
    [[nodiscard]] rte_mbuf* mbuf_of(const Bytes& frame, std::size_t cut = 0) const;
    /// Its bytes; it is freed.
    [[nodiscard]] Bytes take(rte_mbuf* frame) const;

    [[nodiscard]] Bytes seal(const Bytes& frame, std::size_t cut = 0) const {
        rte_mbuf* one = mbuf_of(frame, cut);
        DropReason reason{};
        datapath::seal(sender(), *pool, {&one, 1}, {&reason, 1});
        SLUICE_ASSERT(reason == DropReason::kNone);
        return take(one);
    }
    /// Empty if it is dropped.
    [[nodiscard]] Bytes open(const Bytes& frame, DropReason& reason, std::size_t cut = 0) const {
        rte_mbuf* one = mbuf_of(frame, cut);
        reason = datapath::open(receiver(), *one, false);
        const Bytes out = take(one);
        return reason == DropReason::kNone ? out : Bytes{};
    }

    rte_mempool* pool;
    datapath::SaParameters key;
    datapath::SecurityAssociations associations;
};

}  // namespace sluice::test
