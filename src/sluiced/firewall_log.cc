// SPDX-License-Identifier: Apache-2.0
// FirewallLog: see firewall_log.h.
#include "src/sluiced/firewall_log.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "sluice/net/address_text.h"

namespace sluice::daemon {
namespace {

using datapath::FirewallEvent;
using datapath::FirewallEventKind;
using Json = nlohmann::ordered_json;

constexpr auto kPeriod = std::chrono::milliseconds(100);
constexpr std::uint32_t kLinesPerTurn = 256;  // About a millisecond of the control thread.
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

std::uint64_t clock_ns(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * kNsPerSecond +
           static_cast<std::uint64_t>(time.tv_nsec);
}

/// "2026-01-02T03:04:05.678901Z" of a monotonic moment.
std::string time_text(std::uint64_t monotonic_ns) {
    const std::uint64_t now = clock_ns(CLOCK_MONOTONIC);
    const std::uint64_t wall = clock_ns(CLOCK_REALTIME) - (now - std::min(now, monotonic_ns));
    const auto seconds = static_cast<std::time_t>(wall / kNsPerSecond);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[40];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(text + size, sizeof text - size, ".%06uZ",
                  static_cast<unsigned>(wall % kNsPerSecond / 1000U));
    return text;
}

const char* kind_text(FirewallEventKind kind) {
    switch (kind) {
        case FirewallEventKind::kOpen: return "open";
        case FirewallEventKind::kEnd: return "end";
        case FirewallEventKind::kPass: return "pass";
        case FirewallEventKind::kDrop: return "drop";
        case FirewallEventKind::kReject: return "reject";
    }
    return "drop";
}

const char* why_text(ConnectionEnd why) {
    switch (why) {
        case ConnectionEnd::kClosed: return "closed";
        case ConnectionEnd::kReset: return "reset";
        case ConnectionEnd::kTimeout: return "timeout";
        case ConnectionEnd::kPolicy: return "policy";
        case ConnectionEnd::kEvicted: return "evicted";
        case ConnectionEnd::kFlushed: return "flushed";
    }
    return "closed";
}

void add_figures(const FirewallEvent& event, Json& line) {
    line["why"] = why_text(event.why);
    line["packets"] = event.packets;
    line["bytes"] = event.bytes;
    line["duration_ms"] = (event.time_ns - std::min(event.time_ns, event.opened_ns)) / 1'000'000U;
}

std::string protocol_text(std::uint8_t protocol) {
    switch (protocol) {
        case 1: return "icmp";
        case 6: return "tcp";
        case 17: return "udp";
        case 58: return "icmpv6";
        case 132: return "sctp";
        default: return "ip/" + std::to_string(protocol);
    }
}

std::string address_text(const std::uint8_t* wire, IpFamily family) {
    IpAddr ip;
    std::copy_n(wire, ip.bytes.size(), ip.bytes.begin());
    ip.family = family;
    return to_string(ip);
}

/// sport and dport as `show conns` has them; ICMP: identifier and type.
void add_endpoints(const FirewallEvent& event, Json& line) {
    const bool is_icmp = event.protocol == (event.family == IpFamily::kV4 ? 1 : 58);
    line["src"] = address_text(event.source_ip, event.family);
    line["sport"] = is_icmp ? event.destination_port : event.source_port;
    line["dst"] = address_text(event.destination_ip, event.family);
    line["dport"] = is_icmp ? event.source_port >> 8U : event.destination_port;
}

}  // namespace

FirewallLog::FirewallLog(boost::asio::io_context& io, datapath::Dataplane& dataplane,
                         std::string path)
    : dataplane_(dataplane),
      timer_(io),
      file_(std::move(path), kFirewallLogBytesMax),
      seen_lost_(dataplane.worker_count()) {}

FirewallLog::~FirewallLog() { writer_.join(); }

void FirewallLog::set_rules(host::LoggedRules rules) {
    if (!is_needed()) { forget_lost(); }
    previous_ = std::exchange(rules_, std::move(rules));
    if (is_needed() && !is_waiting_) { wait(); }
}

// While no rule logs, ends of connections that former ones had let open fill the rings: nobody
// asked for them.
void FirewallLog::forget_lost() {
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        seen_lost_[w] = dataplane_.worker(w).context().firewall_events.lost();
    }
}

void FirewallLog::wait() {
    is_waiting_ = true;
    timer_.expires_after(kPeriod);
    timer_.async_wait([this](const boost::system::error_code& error) {
        is_waiting_ = false;
        if (error || is_stopped_) { return; }
        const bool is_free = !is_busy_.load(std::memory_order_acquire);
        const bool is_drained = is_free && collect();
        // Without such rules nothing more comes: workers have passed on long ago.
        if (rules_.empty() && is_drained) { previous_.clear(); }
        if (is_needed()) { wait(); }
    });
}

const host::RuleName* FirewallLog::name_of(RuleId rule) const {
    for (const host::LoggedRules* rules : {&rules_, &previous_}) {
        if (const auto at = rules->find(rule); at != rules->end()) { return &at->second; }
    }
    return nullptr;
}

bool FirewallLog::may_write() noexcept {
    const std::uint64_t second = clock_ns(CLOCK_MONOTONIC) / kNsPerSecond;
    if (std::exchange(second_, second) != second) { lines_this_second_ = 0; }
    return lines_this_second_ < kFirewallLogLinesPerS;
}

// The end of a connection is one line a rule that logs it, as its beginning was.
void FirewallLog::add_event(const FirewallEvent& event, std::string& text) {
    if (event.kind != FirewallEventKind::kEnd) { return add_line(event, text); }
    if (name_of(event.rule) != nullptr) { add_line(event, text); }
    if (event.responder_rule == event.rule || name_of(event.responder_rule) == nullptr) { return; }
    FirewallEvent other = event;
    other.rule = event.responder_rule;
    other.port = event.destination_vnic;
    other.direction = Direction::kToVm;
    add_line(other, text);
}

void FirewallLog::add_line(const FirewallEvent& event, std::string& text) {
    if (!may_write()) {
        ++left_out_;
        return;
    }
    ++lines_this_second_;
    ++lines_in_text_;
    ++events_in_text_;
    const host::RuleName* name = name_of(event.rule);
    const datapath::PortConfig* port = dataplane_.snapshot().port(event.port);
    Json line;
    line["time"] = time_text(event.time_ns);
    line["event"] = kind_text(event.kind);
    line["section"] = name == nullptr ? "(deleted)" : name->first;
    line["rule"] = name == nullptr ? "(deleted)" : name->second;
    line["port"] = port == nullptr ? "(deleted)" : port->name;
    line["direction"] = event.direction == Direction::kFromVm ? "out" : "in";
    line["proto"] = protocol_text(event.protocol);
    const auto add_vnic = [&](const char* key, PortIndex index) {
        const datapath::PortConfig* vnic = dataplane_.snapshot().port(index);
        if (vnic != nullptr && !vnic->is_uplink) { line[key] = vnic->name; }
    };
    add_vnic("source", event.source_vnic);
    add_vnic("destination", event.destination_vnic);
    add_endpoints(event, line);
    if (event.kind == FirewallEventKind::kEnd) { add_figures(event, line); }
    text += line.dump();
    text += '\n';
}

// Before other lines: what is missing came before them.
void FirewallLog::add_left_out(std::string& text) {
    left_out_ += lost_.exchange(0, std::memory_order_relaxed);
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        const std::uint64_t lost = dataplane_.worker(w).context().firewall_events.lost();
        left_out_ += lost - std::exchange(seen_lost_[w], lost);
    }
    if (left_out_ == 0 || !may_write()) { return; }
    Json line;
    line["time"] = time_text(clock_ns(CLOCK_MONOTONIC));
    line["event"] = "left_out";
    line["count"] = left_out_;
    events_in_text_ += std::exchange(left_out_, 0);
    text += line.dump();
    text += '\n';
}

std::string FirewallLog::take_lines() {
    std::string text;
    lines_in_text_ = 0;
    events_in_text_ = 0;
    add_left_out(text);
    FirewallEvent event;
    for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
        auto& ring = dataplane_.worker(w).context().firewall_events;
        while (lines_in_text_ < kLinesPerTurn && ring.pop(event)) { add_event(event, text); }
    }
    return text;
}

// True if nothing was there.
bool FirewallLog::collect() {
    std::string text = take_lines();
    if (text.empty()) { return left_out_ == 0; }
    write(std::move(text));
    return false;
}

void FirewallLog::write(std::string text) {
    is_busy_.store(true, std::memory_order_relaxed);
    boost::asio::post(writer_, [this, text = std::move(text), count = events_in_text_] {
        const Status written = file_.append(text);
        if (!written) { lost_.fetch_add(count, std::memory_order_relaxed); }
        if (!written && !is_failing_) { spdlog::warn("{}", written.error().message); }
        is_failing_ = !written.ok();
        is_busy_.store(false, std::memory_order_release);
    });
}

void FirewallLog::reopen() {
    boost::asio::post(writer_, [this] { file_.close(); });
}

void FirewallLog::stop() {
    is_stopped_ = true;
    timer_.cancel();
    for (std::string text = take_lines(); !text.empty(); text = take_lines()) {
        write(std::move(text));
    }
    writer_.join();
}

}  // namespace sluice::daemon
