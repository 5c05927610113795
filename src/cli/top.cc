// SPDX-License-Identifier: Apache-2.0
// `top`: asks for the ports' and workers' figures again and again and shows what changed between
// two answers as rates. Runs until it is interrupted, or for a number of rounds.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <thread>

#include "cli.h"
#include "command.h"
#include "format.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
constexpr Align kRight = Align::kRight;
constexpr std::uint64_t kSecondsDefault = 2;
constexpr std::array<const char*, 4> kSortKeys{"packets", "bytes", "cycles", "drops"};

/// One answer of the daemon.
struct Sample {
    Clock::time_point at;
    std::map<std::string, json> ports;    // By name.
    std::map<std::string, json> workers;  // By number.
};

std::map<std::string, json> by_key(const json& rows, const char* key) {
    std::map<std::string, json> found;
    for (const json& row : rows) { found[as_text(value_at(row, key))] = row; }
    return found;
}

Outcome<Sample> take_sample(Dialogue& daemon) {
    auto ports = daemon.call("show.ports", "{}");
    if (!ports.ok()) { return ports.failure(); }
    auto workers = daemon.call("show.workers", "{}");
    if (!workers.ok()) { return workers.failure(); }
    return Sample{Clock::now(), by_key(ports.value(), "name"), by_key(workers.value(), "worker")};
}

std::uint64_t total_drops(const json& row) {
    std::uint64_t sum = 0;
    for (const json& count : value_at(row, "drops")) { sum += number_of(count); }
    return sum;
}

/// A figure's growth from `before` (null: nothing) to `now`; 0 if it began anew meanwhile.
std::uint64_t growth(const json& now, const json& before, const char* key) {
    const auto a = number_of(value_at(now, key));
    const auto b = number_of(value_at(before, key));
    return a >= b ? a - b : 0;
}

double rounded(double value) { return std::round(value * 10) / 10; }

std::uint64_t per_second(std::uint64_t grown, double seconds) {
    return static_cast<std::uint64_t>(std::llround(static_cast<double>(grown) / seconds));
}

json port_rates(const json& now, const json& before, double seconds, double tsc_hz) {
    const std::uint64_t rx = growth(now, before, "rx_packets");
    const std::uint64_t tx = growth(now, before, "tx_packets");
    const std::uint64_t rx_bytes = growth(now, before, "rx_bytes");
    const std::uint64_t tx_bytes = growth(now, before, "tx_bytes");
    const std::uint64_t cycles = growth(now, before, "cycles");
    const std::uint64_t dropped_now = total_drops(now);
    const std::uint64_t dropped_before = total_drops(before);
    const std::uint64_t drops = dropped_now >= dropped_before ? dropped_now - dropped_before : 0;
    const double share = static_cast<double>(cycles) / (tsc_hz * seconds) * 100;
    return {{"port", value_at(now, "name")},
            {"state", value_at(now, "state")},
            {"worker", value_at(now, "worker")},
            {"packets_s", per_second(rx + tx, seconds)},
            {"rx_packets_s", per_second(rx, seconds)},
            {"tx_packets_s", per_second(tx, seconds)},
            {"bytes_s", per_second(rx_bytes + tx_bytes, seconds)},
            {"rx_bits_s", per_second(rx_bytes * 8, seconds)},
            {"tx_bits_s", per_second(tx_bytes * 8, seconds)},
            {"drops_s", per_second(drops, seconds)},
            {"cycles_s", per_second(cycles, seconds)},
            {"cycles_percent", rounded(share)},
            {"cycles_per_packet", rx == 0 ? 0 : cycles / rx}};
}

json worker_rates(const json& now, const json& before, double seconds) {
    const double hz = std::max(1.0, static_cast<double>(number_of(value_at(now, "tsc_hz"))));
    const std::uint64_t busy = growth(now, before, "busy_cycles");
    const std::uint64_t packets = growth(now, before, "packets");
    return {{"worker", value_at(now, "worker")},
            {"core", value_at(now, "core")},
            {"busy_percent", rounded(static_cast<double>(busy) / (hz * seconds) * 100)},
            {"packets_s", per_second(packets, seconds)},
            {"cycles_per_packet", packets == 0 ? 0 : busy / packets}};
}

const json& row_before(const std::map<std::string, json>& rows, const std::string& key) {
    static const json kNothing = json::object();
    const auto found = rows.find(key);
    return found == rows.end() ? kNothing : found->second;
}

// Sorted by one rate, the busiest first; ports of equal rate by name.
json round_of(const Sample& before, const Sample& now, const std::string& sort) {
    const double seconds =
        std::max(1e-3, std::chrono::duration<double>(now.at - before.at).count());
    json workers = json::array();
    double tsc_hz = 1;
    for (const auto& [number, row] : now.workers) {
        tsc_hz = std::max(tsc_hz, static_cast<double>(number_of(value_at(row, "tsc_hz"))));
        workers.push_back(worker_rates(row, row_before(before.workers, number), seconds));
    }
    std::vector<json> rows;
    for (const auto& [name, row] : now.ports) {
        rows.push_back(port_rates(row, row_before(before.ports, name), seconds, tsc_hz));
    }
    const std::string key = sort + "_s";
    std::stable_sort(rows.begin(), rows.end(), [&](const json& a, const json& b) {
        return number_of(a[key]) > number_of(b[key]);
    });
    return {{"seconds", std::round(seconds * 1000) / 1000}, {"workers", workers}, {"ports", rows}};
}

std::string bits(const json& value) {
    const auto rate = static_cast<double>(number_of(value));
    constexpr std::array<const char*, 5> kUnits{"b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"};
    std::size_t unit = 0;
    double shown = rate;
    for (; shown >= 1000 && unit + 1 < kUnits.size(); ++unit) { shown /= 1000; }
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", shown, kUnits.at(unit));
    return text;
}
std::string percent(const json& value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f%%", value.is_number() ? value.get<double>() : 0.0);
    return text;
}

constexpr std::array kFields{
    Field{"PORT", "port", as_text},
    Field{"STATE", "state", as_text},
    Field{"RX PACKETS/S", "rx_packets_s", as_count, kRight},
    Field{"TX PACKETS/S", "tx_packets_s", as_count, kRight},
    Field{"RX", "rx_bits_s", bits, kRight},
    Field{"TX", "tx_bits_s", bits, kRight},
    Field{"DROPS/S", "drops_s", as_count, kRight},
    Field{"CYCLES", "cycles_percent", percent, kRight},
    Field{"CYCLES/PACKET", "cycles_per_packet", as_count, kRight},
};

bool is_terminal(const Streams& streams) {
    return streams.out.rdbuf() == std::cout.rdbuf() && ::isatty(STDOUT_FILENO) == 1;
}

std::size_t terminal_rows() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

void print_round(const json& round, const std::string& sort, const Streams& streams) {
    const View view{streams.out, streams.color, "top"};
    json ports = round["ports"];
    const std::size_t all = ports.size();
    if (is_terminal(streams)) {
        streams.out << "\x1b[H\x1b[2J";
        const std::size_t used =
            round["workers"].size() + 4;  // Its lines, titles, what is left out.
        const std::size_t room = std::max<std::size_t>(terminal_rows(), used + 1) - used;
        if (all > room) {
            ports.erase(ports.begin() + static_cast<std::ptrdiff_t>(room), ports.end());
        }
    }
    for (const json& worker : round["workers"]) {
        streams.out << "worker " << as_text(worker["worker"]) << " (core "
                    << as_text(worker["core"]) << "): " << percent(worker["busy_percent"])
                    << " busy, " << as_count(worker["packets_s"]) << " packets/s, "
                    << as_count(worker["cycles_per_packet"]) << " cycles/packet\n";
    }
    streams.out << all << " ports by " << sort << '\n';
    print_rows(ports, kFields, view, "no ports");
    if (ports.size() < all) { streams.out << "... " << all - ports.size() << " more\n"; }
}

Outcome<bool> top(const Invocation& invocation, const Streams& streams) {
    const json& params = invocation.params;
    const std::string sort = params.value("sort", "packets");
    if (std::find(kSortKeys.begin(), kSortKeys.end(), sort) == kSortKeys.end()) {
        return Failure{"usage",
                       "top: --sort " + sort + " is not one of packets, bytes, cycles, drops", ""};
    }
    const std::uint64_t rounds = params.value("rounds", std::uint64_t{0});
    const auto seconds =
        std::clamp<std::uint64_t>(params.value("seconds", kSecondsDefault), 1, 3600);
    Dialogue daemon(invocation.endpoint);
    if (auto opened = daemon.open(); !opened.ok()) { return opened.failure(); }
    auto before = take_sample(daemon);
    if (!before.ok()) { return before.failure(); }
    for (std::uint64_t round = 0; rounds == 0 || round < rounds; ++round) {
        std::this_thread::sleep_for(std::chrono::seconds(seconds));
        auto now = take_sample(daemon);
        if (!now.ok()) { return now.failure(); }
        const json rates = round_of(before.value(), now.value(), sort);
        if (invocation.json) {
            streams.out << rates.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
        } else {
            print_round(rates, sort, streams);
        }
        streams.out.flush();
        if (!streams.out.good()) { break; }
        before = std::move(now);
    }
    return true;
}

}  // namespace

Command top_command() {
    return {"top",
            "ports by packets, bits, drops and cycles a second, again and again",
            {{"--sort", "sort", Kind::kText, false, "packets (default), bytes, cycles or drops",
              Offer::kSortKeys, "", "KEY"},
             {"--rounds", "rounds", Kind::kCount, false, "end after so many; 0 = never (default)",
              Offer::kNothing, "-n"},
             {"--seconds", "seconds", Kind::kCount, false, "from one round to the next (2)",
              Offer::kNothing, "-d"}},
            {"top", "top --sort cycles -d 1", "-o json top -n 1 | jq .ports[0]"},
            nullptr,
            false,
            top};
}

}  // namespace sluice::cli
