// SPDX-License-Identifier: Apache-2.0
// Probe: see probe.h. Runs where the worker runs commands: between two polls, when nothing waits
// for output. The worker's figures are put back to what they were, each by one store, so that
// control never sees a count go to zero.
#include "datapath/probe.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr unsigned kFrames = 2;
constexpr MacAddr kSender{{0x02, 0x50, 0x52, 0x4f, 0x42, 0x01}};
constexpr MacAddr kReceiver{{0x02, 0x50, 0x52, 0x4f, 0x42, 0x02}};
constexpr std::uint32_t kFrameSizeMax = 1514;
constexpr std::uint32_t kProbeDomain = UINT32_MAX;  // Registries count up from 1.

// UDP from 192.0.2.1 to 192.0.2.2 (RFC 5737), discard (RFC 863), without a checksum.
constexpr std::array<std::uint8_t, 60> kFrame = {
    0x02, 0x50, 0x52, 0x4f, 0x42, 0x02, 0x02, 0x50, 0x52, 0x4f, 0x42, 0x01, 0x08, 0x00,  // Ethernet
    0x45, 0x00, 0x00, 0x2e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb6, 0xbb,              // IPv4
    0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00, 0x02, 0x02,                                      // from, to
    0x00, 0x09, 0x00, 0x09, 0x00, 0x1a, 0x00, 0x00,                                      // UDP
};

// Takes back what the counter gained.
void put_back(Counter& counter, const Counter& before) noexcept {
    if (counter.get() != before.get()) { counter.add(before.get() - counter.get()); }
}

}  // namespace

const char* to_text(ProbeResult result) noexcept {
    switch (result) {
        case ProbeResult::kNotRun: return "did not run";
        case ProbeResult::kPassed: return "passed";
        case ProbeResult::kNoBuffer: return "found no packet buffer";
        case ProbeResult::kLost: return "was lost";
    }
    return "";
}

/// Where a probe comes out: compares and counts. worker: rw.
class ProbePort final : public Port {
public:
    [[nodiscard]] ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        (void)frames;
        return {};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        for (const rte_mbuf* frame : frames) {
            const bool is_same = frame->nb_segs == 1 && frame->data_len == kFrame.size() &&
                                 std::memcmp(rte_pktmbuf_mtod(frame, const void*), kFrame.data(),
                                             kFrame.size()) == 0;
            if (is_same) { ++arrived; }
        }
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }

    unsigned arrived = 0;
};

namespace {

PortConfig make_port(unsigned worker, const MacAddr& mac, std::shared_ptr<Port> device) {
    PortConfig port;
    port.name = "probe";
    port.mac = mac;
    port.worker = worker;
    port.frame_size_max = kFrameSizeMax;
    port.vlan.untagged_domain = 0;
    port.chain = std::make_shared<const ChainProgram>();  // No slot has a policy.
    port.device = std::move(device);
    return port;
}

std::unique_ptr<Snapshot> make_snapshot(unsigned worker, PortIndex from, PortIndex to,
                                        const std::shared_ptr<Port>& sink) {
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->ports.resize(std::max(from.value, to.value) + std::size_t{1});
    snapshot->ports[from.value] = make_port(worker, kSender, sink);
    snapshot->ports[to.value] = make_port(worker, kReceiver, sink);
    Domain domain;
    domain.id = domain.tracking = DomainId{kProbeDomain};
    domain.macs = MacTable({{kSender, from, 0}, {kReceiver, to, 0}});
    domain.members = {from, to};
    snapshot->domains.push_back(std::move(domain));
    snapshot->worker_ports.resize(kWorkerMax);
    return snapshot;
}

/// What a worker counts and borrows, while a probe runs over it.
class Aside {
public:
    Aside(WorkerContext& context, PortIndex from, PortIndex to) noexcept
        : context_(context),
          snapshot_(context.snapshot),
          capture_(context.capture.set),
          ports_{from, to} {
        copy(counters_, context.counters);
        for (std::size_t i = 0; i < ports_.size(); ++i) {
            copy(port_counters_[i], context.ports[ports_[i].value]);
        }
        context.capture.set = nullptr;
    }
    ~Aside() {
        put_all_back(context_.counters, counters_);
        for (std::size_t i = 0; i < ports_.size(); ++i) {
            put_all_back(context_.ports[ports_[i].value], port_counters_[i]);
        }
        context_.capture.set = capture_;
        context_.snapshot = snapshot_;
    }
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;

private:
    // Both kinds are counters from end to end.
    template <typename Counters>
    static std::span<Counter> all(Counters& counters) noexcept {
        static_assert(std::is_standard_layout_v<Counters>);
        return {reinterpret_cast<Counter*>(&counters), sizeof(Counters) / sizeof(Counter)};
    }
    template <typename Counters>
    static void copy(Counters& to, Counters& from) noexcept {
        const std::span<Counter> source = all(from);
        const std::span<Counter> target = all(to);
        for (std::size_t i = 0; i < source.size(); ++i) {
            target[i].reset();
            target[i].add(source[i].get());
        }
    }
    template <typename Counters>
    static void put_all_back(Counters& now, Counters& before) noexcept {
        const std::span<Counter> counters = all(now);
        const std::span<Counter> wanted = all(before);
        for (std::size_t i = 0; i < counters.size(); ++i) { put_back(counters[i], wanted[i]); }
    }

    WorkerContext& context_;
    const Snapshot* snapshot_;
    const CaptureSet* capture_;
    std::array<PortIndex, 2> ports_;
    WorkerCounters counters_;
    std::array<PortCounters, 2> port_counters_;
};

}  // namespace

ProbeCommand::ProbeCommand(unsigned worker, PortIndex from, PortIndex to)
    : from_(from),
      to_(to),
      sink_(std::make_shared<ProbePort>()),
      snapshot_(from == kNoPort ? nullptr : make_snapshot(worker, from, to, sink_)) {}

ProbeCommand::~ProbeCommand() = default;

// False: there was no buffer.
bool ProbeCommand::send_one(WorkerContext& context) noexcept {
    rte_mbuf* frame = rte_pktmbuf_alloc(context.options.pool);
    if (frame == nullptr) { return false; }
    std::memcpy(rte_pktmbuf_append(frame, kFrame.size()), kFrame.data(), kFrame.size());
    // Whoever came last may have had his share.
    [[maybe_unused]] const bool may_run = context.share.may_run(from_.value, false);
    process_burst(context, from_, {&frame, 1});
    flush_output(context);
    return true;
}

// The program that the first frame left, if there was room for one.
void ProbeCommand::forget(WorkerContext& context) const noexcept {
    const Packet& packet = context.burst[0];
    const std::uint32_t index = context.flows.find(packet.frame.key, packet.hash);
    if (index != kNoFlow) { context.flows.remove(index); }
    context.flows.end_burst();
}

bool ProbeCommand::step(WorkerContext& context) noexcept {
    if (snapshot_ == nullptr) {
        result = ProbeResult::kPassed;
        return true;
    }
    const std::uint64_t begun = rte_rdtsc();
    const Aside aside(context, from_, to_);
    snapshot_->generation = context.snapshot->generation;  // The stamp stays what it is.
    context.snapshot = snapshot_.get();
    sink_->arrived = 0;
    unsigned sent = 0;
    while (sent < kFrames && send_one(context)) { ++sent; }
    if (sent > 0) { forget(context); }
    result = sent < kFrames              ? ProbeResult::kNoBuffer
             : sink_->arrived == kFrames ? ProbeResult::kPassed
                                         : ProbeResult::kLost;
    cycles = rte_rdtsc() - begun;
    return true;
}

}  // namespace sluice::datapath
