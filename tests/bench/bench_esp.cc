// SPDX-License-Identifier: Apache-2.0
// Cycles a packet of ESP: the driver alone, a burst or one packet a call, beside sealing and
// opening of whole packets with it, on the same core in the same run. `size` is what lies behind
// the IP header.
//     bin/bench_esp
// prints the table. Sealing writes the headers of each packet anew, opening copies it anew: so does
// "copy", which does nothing else.
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstring>

#include "datapath/association.h"
#include "datapath/esp.h"
#include "datapath/esp_jobs.h"
#include "sluice/base/assert.h"
#include "tests/bench/bench_main.h"
#include "tests/bench/bench_meter.h"
#include "tests/unit/esp/esp_peer.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kHeaders = 34;

/// A burst of packets, clear and sealed, and mbufs for them.
class EspBench {
public:
    explicit EspBench(std::size_t size)
        : pool_(rte_pktmbuf_pool_create("bench_esp", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                        SOCKET_ID_ANY)),
          key_(key_of(model::KeyAlgorithm::kAes128Gcm)) {
        SLUICE_ASSERT(pool_ != nullptr && associations_.send_with(0, key_).ok() &&
                      associations_.receive_with(1, key_).ok());
        SLUICE_ASSERT(rte_pktmbuf_alloc_bulk(pool_, frames_.data(), kBurstMax) == 0);
        clear_ = frame_of({false, 17, {}, {}, 0, payload_of(size)});
        for (std::size_t i = 0; i < kBurstMax; ++i) {
            sealed_[i] = seal_by_peer(clear_, key_, i + 1);
            load(i, clear_, clear_.size());
        }
    }
    ~EspBench() {
        rte_pktmbuf_free_bulk(frames_.data(), kBurstMax);
        rte_mempool_free(pool_);
    }
    EspBench(const EspBench&) = delete;
    EspBench& operator=(const EspBench&) = delete;

    // As it was before it was sealed, as far as sealing changed its shape.
    void reset() {
        for (std::size_t i = 0; i < kBurstMax; ++i) { load(i, clear_, kHeaders); }
    }
    void copy() {
        for (std::size_t i = 0; i < kBurstMax; ++i) { load(i, sealed_[i], sealed_[i].size()); }
    }
    void seal() {
        reset();
        std::array<DropReason, kBurstMax> reasons;
        datapath::seal(sender(), *pool_, frames_, reasons);
        good_ += reasons[kBurstMax - 1] == DropReason::kNone ? kBurstMax : 0U;
    }
    void open() {
        copy();
        datapath::ReceivingAssociation& with = receiver();
        with.window = {};
        for (rte_mbuf* frame : frames_) {
            good_ += datapath::open(with, *frame, false) == DropReason::kNone ? 1U : 0U;
        }
    }
    // The driver's part of seal().
    void raw(std::uint32_t batch) {
        const auto size = static_cast<std::uint32_t>(clear_.size()) - kHeaders;
        for (std::uint32_t i = 0; i < kBurstMax; i += batch) {
            datapath::EspJobs jobs;
            for (std::uint32_t j = i; j < i + batch; ++j) {
                rte_mbuf& frame = *frames_[j];
                frame.data_off = RTE_PKTMBUF_HEADROOM;
                auto* data = rte_pktmbuf_mtod(&frame, std::uint8_t*);
                jobs.add(sender(), frame, {kHeaders, size, data + kHeaders + size}, j);
            }
            jobs.run(sender());
        }
        good_ += kBurstMax;
    }
    [[nodiscard]] std::uint64_t good() const noexcept { return good_; }

private:
    datapath::SendingAssociation& sender() {
        return *associations_.state().sender(0, Spi::of(key_.spi).policy);
    }
    datapath::ReceivingAssociation& receiver() {
        return *associations_.state().receiving.load()->find(1, key_.spi);
    }
    void load(std::size_t index, const Bytes& frame, std::size_t copied) {
        rte_mbuf& mbuf = *frames_[index];
        mbuf.data_off = RTE_PKTMBUF_HEADROOM;
        mbuf.data_len = static_cast<std::uint16_t>(frame.size());
        mbuf.pkt_len = mbuf.data_len;
        std::memcpy(rte_pktmbuf_mtod(&mbuf, std::uint8_t*), frame.data(), copied);
    }

    rte_mempool* pool_;
    datapath::SaParameters key_;
    datapath::SecurityAssociations associations_{1};
    std::array<rte_mbuf*, kBurstMax> frames_{};
    Bytes clear_;
    std::array<Bytes, kBurstMax> sealed_;
    std::uint64_t good_ = 0;
};

enum What : std::int64_t { kRawBurst, kRawOne, kSeal, kCopy, kOpen };

void esp(benchmark::State& state) {
    EspBench& bench = rig_of<EspBench>(static_cast<std::size_t>(state.range(0)));
    const auto what = static_cast<What>(state.range(1));
    const std::uint64_t good = bench.good();
    Meter meter(state);
    for (auto _ : state) {
        switch (what) {
            case kRawBurst: bench.raw(kBurstMax); break;
            case kRawOne: bench.raw(1); break;
            case kSeal: bench.seal(); break;
            case kCopy: bench.copy(); break;
            case kOpen: bench.open(); break;
        }
    }
    const auto count = static_cast<std::uint64_t>(state.iterations()) * kBurstMax;
    meter.stop(count);
    if (what != kCopy && bench.good() - good != count) { state.SkipWithError("not all were good"); }
}
BENCHMARK(esp)
    ->ArgNames({"size", "what(0=driver,1=one by one,2=seal,3=copy,4=open)"})
    ->ArgsProduct({{64, 1400}, {kRawBurst, kRawOne, kSeal, kCopy, kOpen}});

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    return sluice::test::run_benchmarks(
        argc, argv,
        {"--benchmark_repetitions=3", "--benchmark_report_aggregates_only=true",
         "--benchmark_min_time=0.2"},
        [] { sluice::test::kept_rig.reset(); });
}
