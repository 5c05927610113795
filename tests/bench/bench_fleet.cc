// SPDX-License-Identifier: Apache-2.0
// bench_fleet: what a host pays for the MACs and addresses that a controller tells it.
//     bench_fleet [BINDINGS [ROUNDS]]
// Two hosts in turns, one that was told of 1024 MACs and one of BINDINGS (a million), both of them
// sending to the same 1024: cycles of one lookup of a destination, of a first packet into a tunnel
// (each frame a new flow), and of a packet of a cached flow; and a lookup on a host that was told
// nothing, of a MAC that a frame taught. Then what it costs control: time of the longest slice, of
// all, and memory. Medians; CPU time is not taken out of what other processes do. Single thread.
#include <malloc.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "controller-agent/document_json.h"
#include "datapath/stages.h"
#include "sluice/base/assert.h"
#include "src/sluiced/fleet_bindings.h"
#include "tests/bench/bench_switch.h"
#include "tests/packet/eal.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kTold = 1024;
constexpr std::size_t kBursts = 500;
const IpAddr kRemote = ip("172.16.0.2");

MacAddr far_mac(std::uint32_t number) {
    return {{0x06, 0, static_cast<std::uint8_t>(number >> 24U),
             static_cast<std::uint8_t>(number >> 16U), static_cast<std::uint8_t>(number >> 8U),
             static_cast<std::uint8_t>(number)}};
}

nlohmann::json document() {
    nlohmann::json out = two_vms();
    out["port_groups"][0]["vni"] = 5001;
    out["uplinks"] = json_of(R"([{"name": "up", "device": "net_null0"}])");
    out["vteps"] = json_of(R"([{"name": "tep0", "ip": "172.16.0.1/24", "mac": "02:00:00:00:99:01",
                                "uplink": "up"}])");
    out["switches"][0]["uplinks"] = {"up"};
    out["switches"][0]["remote_vteps"] = {"172.16.0.2"};
    out["switches"][0]["bfd"] = {{"enabled", false}};
    return out;
}

/// Sends what it is told; what is sent to it is gone.
class TellingPort final : public datapath::Port {
public:
    [[nodiscard]] datapath::ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept override {
        const std::size_t count = std::min(frames.size(), waiting_.size());
        if (count == 0 || rte_pktmbuf_alloc_bulk(&bench_pool(), frames.data(),
                                                 static_cast<unsigned>(count)) != 0) {
            return {};
        }
        for (std::size_t i = 0; i < count; ++i) {
            const Bytes& bytes = waiting_[i];
            std::memcpy(rte_pktmbuf_mtod(frames[i], void*), bytes.data(), bytes.size());
            frames[i]->data_len = static_cast<std::uint16_t>(bytes.size());
            frames[i]->pkt_len = frames[i]->data_len;
        }
        waiting_ = waiting_.subspan(count);
        return {static_cast<std::uint16_t>(count), 0};
    }
    [[nodiscard]] std::uint16_t send(std::span<rte_mbuf*> frames) noexcept override {
        sent += frames.size();
        return static_cast<std::uint16_t>(frames.size());
    }
    [[nodiscard]] bool is_up() const noexcept override { return true; }
    void offer(std::span<const Bytes> frames) { waiting_ = frames; }
    std::uint64_t sent = 0;

private:
    std::span<const Bytes> waiting_;
};

struct Control {
    double longest_ms = 0, all_ms = 0, megabytes = 0;
};

class FleetHost {
public:
    explicit FleetHost(std::uint32_t bindings)
        : dataplane_(options()), bindings_(dataplane_, io_.get_executor()) {
        dataplane_.set_online(0, true);
        publish();
        tell(bindings);
    }
    ~FleetHost() { dataplane_.set_online(0, false); }

    /// One of a MAC that a frame taught, on a host without a controller.
    void teach() {
        LearnedValue value;
        value.port = registries_.ports.find("tep0");
        value.remote = 1;
        for (std::uint32_t i = 0; i < kTold; ++i) {
            dataplane_.learned().learn(LearnedKey::mac(domain(), far_mac(i)), value, 0, now_ns_);
        }
    }

    void lookups(std::vector<double>& out) {
        const datapath::WorkerContext& context = dataplane_.worker(0).context();
        FlowKey key;
        key.port = registries_.ports.find("vm1");
        for (std::size_t burst = 0; burst < kBursts; ++burst) {
            const std::uint64_t begin = rte_rdtsc_precise();
            for (std::uint32_t i = 0; i < kBurstMax; ++i) {
                key.destination_mac = far_mac((next_++ * 2654435761U) % kTold);
                checksum_ += datapath::find_destination(context, 0, key).remote;
            }
            note(out, begin);
        }
    }

    /// @param is_first  each frame a new flow; else those of one burst again and again
    void packets(std::vector<double>& out, bool is_first) {
        for (std::size_t burst = 0; burst < kBursts; ++burst) {
            if (is_first || burst == 0) { make_frames(); }
            vm1_->offer(frames_);
            now_ns_ += 1000;
            const std::uint64_t begin = rte_rdtsc_precise();
            dataplane_.poll_once(0, now_ns_);
            note(out, begin);
        }
    }

    [[nodiscard]] const Control& control() const noexcept { return control_; }
    [[nodiscard]] std::uint64_t sent() const { return up_->sent; }

private:
    static datapath::DataplaneOptions options() {
        datapath::DataplaneOptions out;
        out.pool = &bench_pool();
        out.flow_capacity = 1U << 18U;
        out.connection_capacity = 1U << 18U;
        out.seed = 7;
        return out;
    }
    static void note(std::vector<double>& out, std::uint64_t begin) {
        out.push_back(static_cast<double>(rte_rdtsc_precise() - begin) / kBurstMax);
    }
    [[nodiscard]] DomainId domain() const { return dataplane_.snapshot().domains[0].id; }

    void publish() {
        const auto parsed = agent::parse_document(document().dump());
        if (!parsed.ok()) { assertion_failed(__FILE__, __LINE__, parsed.error().message.c_str()); }
        const auto make = [] { return std::make_shared<TellingPort>(); };
        auto compiled = host::compile(
            parsed.value(), dataplane_.snapshot(), 1, registries_,
            [&](const model::Port& port) -> Result<std::shared_ptr<datapath::Port>> {
                auto device = make();
                if (port.name == "vm1") { vm1_ = device; }
                return std::shared_ptr<datapath::Port>(device);
            },
            [&](const std::string&) { return std::shared_ptr<datapath::Port>(up_ = make()); });
        SLUICE_ASSERT(compiled.ok());
        static_cast<void>(dataplane_.publish(std::move(compiled.value().snapshot)));
        bindings_.on_snapshot();
        dataplane_.poll_once(0, now_ns_);
        datapath::learn_neighbour(dataplane_.worker(0).context(),
                                  dataplane_.snapshot().vteps[0].underlay, kRemote,
                                  mac("02:00:00:00:99:02"), registries_.ports.find("up"));
    }

    void tell(std::uint32_t count) {
        std::vector<fleet::BindingChange> changes;
        for (std::uint32_t i = 0; i < count; ++i) {
            changes.push_back(
                {{"dvs0/vni5001", far_mac(i), {IpAddr::v4(0x0b000000U + i)}, kRemote}, false});
        }
        const auto used = static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd);
        const double given = static_cast<double>(count) *
                             (sizeof(fleet::BindingChange) + 32.0);  // Of what is given up.
        const std::uint64_t begin = rte_rdtsc();
        std::uint64_t slice = begin;
        const auto end_slice = [&] {
            const std::uint64_t now = rte_rdtsc();
            control_.longest_ms = std::max(control_.longest_ms, ms(now - slice));
            slice = now;
        };
        bindings_.change(std::move(changes));
        end_slice();
        while (io_.poll_one() > 0) { end_slice(); }
        control_.all_ms = ms(rte_rdtsc() - begin);
        control_.megabytes =
            (static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd) - used + given) / 1e6;
        SLUICE_ASSERT(dataplane_.fleet().size() == 2 * std::size_t{count});
    }
    static double ms(std::uint64_t cycles) {
        return static_cast<double>(cycles) * 1e3 / static_cast<double>(rte_get_tsc_hz());
    }

    void make_frames() {
        frames_.clear();
        for (std::uint32_t i = 0; i < kBurstMax; ++i, ++made_) {
            const Vnic far{far_mac((made_ * 2654435761U) % kTold), ip("10.0.0.200"), {}};
            frames_.push_back(udp(v4(kVm1, far), static_cast<std::uint16_t>(1024 + made_ % 60000),
                                  static_cast<std::uint16_t>(made_ / 60000)));
        }
    }

    boost::asio::io_context io_;
    datapath::Dataplane dataplane_;
    daemon::FleetBindings bindings_;
    host::Registries registries_;
    std::shared_ptr<TellingPort> vm1_, up_;
    std::vector<Bytes> frames_;
    Control control_;
    std::uint32_t next_ = 0, made_ = 0;
    std::uint64_t now_ns_ = 1'000'000'000;
    std::uint64_t checksum_ = 0;
};

double median(std::vector<double>& cycles) {
    std::sort(cycles.begin(), cycles.end());
    return cycles[cycles.size() / 2];
}

void run(std::uint32_t bindings, int rounds) {
    FleetHost none(0), few(kTold), many(bindings);
    none.teach();
    std::vector<double> taught, lookups[2], first[2], cached[2];
    FleetHost* const hosts[2] = {&few, &many};
    for (int round = 0; round < rounds; ++round) {
        none.lookups(taught);
        for (std::size_t turn = 0; turn < 2; ++turn) {  // Who is first changes.
            const std::size_t i = (static_cast<std::size_t>(round) + turn) % 2;
            hosts[i]->lookups(lookups[i]);
            hosts[i]->packets(first[i], true);
            hosts[i]->packets(cached[i], false);
        }
    }
    SLUICE_ASSERT(few.sent() > 0 && few.sent() == many.sent());
    const auto row = [](const char* what, std::vector<double>(&pair)[2]) {
        const double a = median(pair[0]), b = median(pair[1]);
        std::printf("  %-20s %8.0f %8.0f   %5.2f\n", what, a, b, b / a);
    };
    std::printf("cycles, median: told of %u | of %u | ratio\n", kTold, bindings);
    row("lookup", lookups);
    row("first packet", first);
    row("cached flow", cached);
    std::printf("  lookup of a taught MAC, told of none: %.0f\n", median(taught));
    const Control& control = many.control();
    std::printf("control: %.0f ms in all, longest slice %.1f ms, %.0f MB beside the rows\n",
                control.all_ms, control.longest_ms, control.megabytes);
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
    const sluice::test::Eal eal;
    const int bindings = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
    sluice::test::run(static_cast<std::uint32_t>(std::max(bindings, 1024)),
                      argc > 2 ? std::atoi(argv[2]) : 5);
    return 0;
}
