// SPDX-License-Identifier: Apache-2.0
// Script: reads requests, calls the library, writes replies. Exceptions from JSON end in handle().
#include "script.h"

#include <algorithm>
#include <stdexcept>

#include "attack.h"

namespace sluice::frontend {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(const std::string& sentence) { throw std::runtime_error(sentence); }
void require(const Status& status) {
    if (!status) { fail(status.error().message); }
}

[[nodiscard]] std::string id_of(const Json& request) {
    return request.value("id", std::string("0"));
}
[[nodiscard]] Milliseconds timeout_of(const Json& request) {
    return Milliseconds(request.value("timeout_ms", 5000));
}

[[nodiscard]] unsigned nibble(char c) {
    if (c >= '0' && c <= '9') { return static_cast<unsigned>(c - '0'); }
    if (c >= 'a' && c <= 'f') { return static_cast<unsigned>(c - 'a' + 10); }
    if (c >= 'A' && c <= 'F') { return static_cast<unsigned>(c - 'A' + 10); }
    fail(std::string("'") + c + "' is no hex digit");
}

[[nodiscard]] std::vector<std::uint8_t> from_hex(const std::string& text) {
    if (text.size() % 2 != 0) {
        fail("hex of " + std::to_string(text.size()) + " digits: an even number was expected");
    }
    std::vector<std::uint8_t> bytes(text.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(nibble(text[2 * i]) << 4U | nibble(text[2 * i + 1]));
    }
    return bytes;
}

[[nodiscard]] std::string to_hex(const std::vector<std::uint8_t>& bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text.push_back(kDigits[byte >> 4U]);
        text.push_back(kDigits[byte & 15U]);
    }
    return text;
}

[[nodiscard]] std::vector<std::vector<std::uint8_t>> frames_of(const Json& request) {
    std::vector<std::vector<std::uint8_t>> frames;
    for (const auto& hex : request.value("frames", Json::array())) {
        frames.push_back(from_hex(hex.get<std::string>()));
    }
    return frames;
}

[[nodiscard]] NetHeader header_of(const Json& request) {
    NetHeader header;
    header.flags = request.value("flags", header.flags);
    header.gso_type = request.value("gso_type", header.gso_type);
    header.hdr_len = request.value("hdr_len", header.hdr_len);
    header.gso_size = request.value("gso_size", header.gso_size);
    header.csum_start = request.value("csum_start", header.csum_start);
    header.csum_offset = request.value("csum_offset", header.csum_offset);
    header.num_buffers = request.value("num_buffers", header.num_buffers);
    return header;
}

[[nodiscard]] Layout layout_of(const Json& request, const char* key) {
    const auto name = request.value(key, std::string("single"));
    const auto layout = parse_layout(name);
    if (!layout) {
        fail(std::string(key) + " \"" + name +
             "\" is not single, chained, indirect or split_header");
    }
    return *layout;
}

[[nodiscard]] std::uint64_t features_of(const Json& request) {
    if (!request.contains("features")) { return kDefaultFeatures; }
    std::uint64_t features = 0;
    for (const auto& name : request.at("features")) {
        const auto one = feature_bit(name.get<std::string>());
        if (!one) { fail("feature " + name.dump() + " is unknown"); }
        features |= *one;
    }
    return features;
}

[[nodiscard]] Options options_of(const Json& request) {
    Options options;
    const auto mode = request.value("mode", std::string("server"));
    if (mode != "server" && mode != "client") {
        fail("mode \"" + mode + "\" is not server or client");
    }
    options.socket = request.at("socket").get<std::string>();
    options.mode = mode == "server" ? SocketMode::kServer : SocketMode::kClient;
    options.queue_pairs = request.value("queues", options.queue_pairs);
    options.queue_size = request.value("queue_size", options.queue_size);
    options.features = features_of(request);
    options.force_features = request.value("force_features", false);
    options.mtu = request.value("mtu", options.mtu);
    options.rx.buffer_bytes = request.value("rx_buffer_bytes", options.rx.buffer_bytes);
    options.rx.layout = layout_of(request, "rx_layout");
    options.rx.posted_max = request.value("rx_posted", options.rx.posted_max);
    options.region_count = request.value("regions", options.region_count);
    options.flood_bytes = request.value("flood_bytes", options.flood_bytes);
    options.huge_pages = request.value("huge_pages", false) ? HugePages::kRequired : HugePages::kNo;
    return options;
}

[[nodiscard]] Json state_of(const FrontEnd& front_end) {
    return {{"connected", front_end.connected()},
            {"features", feature_names(front_end.features())},
            {"offered", feature_names(front_end.offered_features())},
            {"protocol_features", front_end.protocol_features()}};
}

[[nodiscard]] Json to_json(const RxFrame& frame) {
    const NetHeader& h = frame.header;
    return {{"hex", to_hex(frame.frame)},
            {"buffers", frame.buffer_count},
            {"broken", frame.broken},
            {"header",
             {{"flags", h.flags},
              {"gso_type", h.gso_type},
              {"hdr_len", h.hdr_len},
              {"gso_size", h.gso_size},
              {"csum_start", h.csum_start},
              {"csum_offset", h.csum_offset},
              {"num_buffers", h.num_buffers}}}};
}

[[nodiscard]] Json to_json(const FloodResult& r) {
    Json json = {{"sent", r.sent},
                 {"unsent", r.unsent},
                 {"received", r.received},
                 {"received_bytes", r.received_bytes},
                 {"seconds", r.seconds},
                 {"sent_pps", r.sent_pps},
                 {"received_pps", r.received_pps},
                 {"gap_ms", r.gap_ms},
                 {"stall_ms", r.stall_ms}};
    if (!r.latencies_ns.empty()) {
        json["latencies_ns"] = r.latencies_ns;
        json["discarded"] = r.discarded;
    }
    return json;
}

[[nodiscard]] FloodPort flood_port_of(const Json& request, FrontEnd& front_end) {
    FloodPort port;
    port.front_end = &front_end;
    port.count_max = request.value("count", port.count_max);
    port.pps = request.value("pps", port.pps);
    const NetHeader header = header_of(request);
    const auto flows = request.value("flows", std::size_t{0});
    for (auto& frame : frames_of(request)) {
        FloodFrame one{std::move(frame), header};
        if (flows <= 1) {
            port.frames.push_back(std::move(one));
            continue;
        }
        auto varied = vary_flows(one, flows);
        std::ranges::move(varied, std::back_inserter(port.frames));
    }
    return port;
}

[[nodiscard]] Json results_of(const std::vector<std::string>& ids,
                              const Result<std::vector<FloodResult>>& result) {
    if (!result) { fail(result.error().message); }
    Json results = Json::object();
    for (std::size_t i = 0; i < ids.size(); ++i) { results[ids[i]] = to_json(result.value()[i]); }
    return {{"results", results}};
}

}  // namespace

Script::~Script() {
    for (auto& [id, flood] : floods_) {
        flood->stop = true;
        flood->thread.join();
    }
}

Json Script::handle(const std::string& line) noexcept {
    try {
        Json reply = dispatch(Json::parse(line));
        reply["ok"] = true;
        return reply;
    } catch (const std::exception& problem) { return {{"ok", false}, {"error", problem.what()}}; }
}

FrontEnd& Script::find(const Json& request) {
    const std::string id = id_of(request);
    const auto at = front_ends_.find(id);
    if (at == front_ends_.end()) { fail("front-end \"" + id + "\" is not open"); }
    check_idle(id);
    return *at->second;
}

void Script::check_idle(const std::string& id) const {
    for (const auto& [name, flood] : floods_) {
        if (std::ranges::find(flood->ids, id) != flood->ids.end()) {
            fail("front-end \"" + id + "\" is in the flood of \"" + name + "\"");
        }
    }
    for (const auto& [name, pair] : probes_) {
        if (id == name || id == pair.other) {
            fail("front-end \"" + id + "\" is in the probe of \"" + name + "\"");
        }
    }
}

Json Script::dispatch(const Json& request) {
    const auto op = request.at("op").get<std::string>();
    if (op == "ping") { return Json::object(); }
    if (op == "open") { return open(request); }
    if (op == "close") { return close(request); }
    if (op == "send") { return send(request); }
    if (op == "recv") { return receive(request); }
    if (op == "recv_until") { return receive_until(request); }
    if (op == "flood") { return flood_start(request); }
    if (op == "flood_stop") { return flood_stop(request); }
    if (op == "attack") { return attack_one(request); }
    if (op.starts_with("probe_")) { return probe(request); }
    if (op == "stats") { return stats(request); }
    if (op == "attacks") {
        Json names = Json::array();
        Json sentences = Json::object();
        for (const Attack* attack : all_attacks()) {
            names.push_back(attack->name);
            sentences[std::string(attack->name)] = attack->what;
        }
        return {{"attacks", names}, {"what", sentences}};
    }
    FrontEnd& front_end = find(request);
    if (op == "wait") {
        require(front_end.start(timeout_of(request)));
    } else if (op == "stop") {
        require(front_end.stop());
    } else if (op == "resume") {
        require(front_end.resume(request.value("clear", false)));
    } else if (op == "reset") {
        require(front_end.reset());
    } else if (op == "reconnect") {
        require(front_end.reconnect(timeout_of(request), request.value("clear", true)));
    } else if (op == "log") {
        require(request.value("on", true) ? front_end.start_log() : front_end.stop_log());
    } else if (op == "log_check") {
        const LogCheck check = front_end.check_log();
        return {{"changed", check.changed},
                {"unmarked", check.unmarked},
                {"marked_alike", check.marked_alike}};
    } else if (op == "rarp") {
        require(front_end.send_rarp(request.at("mac").get<std::uint64_t>()));
    } else if (op == "move") {
        require(front_end.move_to(request.at("socket").get<std::string>(), timeout_of(request)));
    } else if (op == "drop") {
        front_end.drop_connection();
    } else if (op == "queues") {
        require(front_end.enable_pairs(request.at("count").get<unsigned>()));
    } else if (op == "wait_disconnected") {
        return {{"disconnected", front_end.wait_disconnected(timeout_of(request))}};
    } else if (op == "hold") {
        const bool on = request.value("on", true);
        for (std::size_t i = 0; i < front_end.pair_count(); ++i) {
            front_end.pair(i).rx.hold_buffers(on);
        }
    } else {
        fail("operation \"" + op + "\" is unknown");
    }
    return state_of(front_end);
}

Json Script::open(const Json& request) {
    const std::string id = id_of(request);
    if (front_ends_.contains(id)) { fail("front-end \"" + id + "\" is open already"); }
    auto front_end = std::make_unique<FrontEnd>(options_of(request));
    require(front_end->open());
    if (request.value("wait", true)) { require(front_end->start(timeout_of(request))); }
    Json reply = state_of(*front_end);
    front_ends_[id] = std::move(front_end);
    return reply;
}

Json Script::close(const Json& request) {
    FrontEnd& front_end = find(request);
    // As a guest that is shut down; "abrupt" as a QEMU that is killed. A device that is gone cannot
    // be asked to stop.
    if (!request.value("abrupt", false) && front_end.connected()) { (void)front_end.stop(); }
    front_ends_.erase(id_of(request));
    return Json::object();
}

Json Script::send(const Json& request) {
    FrontEnd& front_end = find(request);
    const auto queue = request.value("queue", 0U);
    if (queue >= front_end.pair_count()) {
        fail("queue " + std::to_string(queue) + " does not exist");
    }
    const auto frames = frames_of(request);
    std::vector<TxFrame> out;
    for (const auto& frame : frames) {
        out.push_back({frame, header_of(request), layout_of(request, "layout"),
                       request.value("piece_bytes", std::size_t{0})});
    }
    const SendResult result = front_end.send(out, timeout_of(request), queue);
    return {{"submitted", result.submitted}, {"completed", result.completed}};
}

Json Script::receive(const Json& request) {
    FrontEnd& front_end = find(request);
    const auto count = request.value("count", std::size_t{1});
    const Deadline deadline = after(timeout_of(request));
    Json frames = Json::array();
    while (frames.size() < count) {
        const auto frame = front_end.receive(Milliseconds(left_ms(deadline, 3'600'000)));
        if (!frame) { break; }
        frames.push_back(to_json(*frame));
    }
    return {{"frames", frames}};
}

Json Script::receive_until(const Json& request) {
    FrontEnd& front_end = find(request);
    const auto wanted = request.value("match", request.value("hex_contains", std::string()));
    const Deadline deadline = after(timeout_of(request));
    Json others = Json::array();
    for (;;) {
        const auto frame = front_end.receive(Milliseconds(left_ms(deadline, 3'600'000)));
        if (!frame) { return {{"found", false}, {"others", others}}; }
        Json one = to_json(*frame);
        if (one["hex"].get_ref<const std::string&>().find(wanted) != std::string::npos) {
            return {{"found", true}, {"frame", one}, {"others", others}};
        }
        others.push_back(std::move(one));
    }
}

Json Script::flood_start(const Json& request) {
    auto flood_run = std::make_unique<Background>();
    flood_run->ids.push_back(id_of(request));
    flood_run->ports.push_back(flood_port_of(request, find(request)));
    for (const auto& other : request.value("with", Json::array())) {
        flood_run->ids.push_back(id_of(other));
        flood_run->ports.push_back(flood_port_of(other, find(other)));
        if (other.contains("timed_to")) {
            flood_run->ports.back().timed_to = &find({{"id", other.at("timed_to")}});
            flood_run->ports.back().timed_count = other.value("timed_count", 1U);
        }
    }
    FloodOptions& options = flood_run->options;
    options.seconds = request.value("seconds", options.seconds);
    options.burst = request.value("burst", options.burst);
    options.read_lengths = request.value("read_lengths", false);
    options.measure_gap = request.value("measure_gap", false);
    options.drain = Milliseconds(request.value("drain_ms", 500));
    if (!request.value("background", false)) {
        return results_of(flood_run->ids, flood(flood_run->ports, options, flood_run->stop));
    }
    Background* run = flood_run.get();
    run->thread = std::thread([run] { run->result = flood(run->ports, run->options, run->stop); });
    floods_[id_of(request)] = std::move(flood_run);
    return Json::object();
}

Json Script::flood_stop(const Json& request) {
    const auto at = floods_.find(id_of(request));
    if (at == floods_.end()) { fail("no flood of \"" + id_of(request) + "\" is running"); }
    const auto run = std::move(at->second);
    floods_.erase(at);
    run->stop = !request.value("finish", false);  // "finish": let its seconds or count run out.
    run->thread.join();
    return results_of(run->ids, run->result);
}

Json Script::attack_one(const Json& request) {
    FrontEnd& front_end = find(request);
    const auto name = request.at("name").get<std::string>();
    const Attack* one = find_attack(name);
    if (one == nullptr) { fail("attack \"" + name + "\" is unknown"); }
    auto frame = from_hex(request.value("frame", std::string()));
    if (frame.empty()) { frame.assign(60, 0xff); }
    const Milliseconds wait(request.value("wait_ms", 50));
    const AttackResult result =
        attack(front_end, *one, frame, request.value("seed", std::uint64_t{1}), wait);
    return {{"used", result.used},
            {"connected", result.connected},
            {"sent", result.sent},
            {"destroys_memory", one->destroys_memory}};
}

Json Script::probe(const Json& request) {
    const auto op = request.at("op").get<std::string>();
    const std::string id = id_of(request);
    if (op == "probe_start") {
        const auto other = request.at("other").get<std::string>();
        ProbeOptions options;
        options.there = from_hex(request.at("there").get<std::string>());
        options.back = from_hex(request.at("back").get<std::string>());
        options.schedstat = request.value("schedstat", std::string());
        options.pause = std::chrono::microseconds(request.value("pause_us", 200));
        FrontEnd& one = find(request);
        FrontEnd& two = find({{"id", other}});
        probes_[id] = {other, std::make_unique<Probe>(one, two, std::move(options))};
        return Json::object();
    }
    const auto at = probes_.find(id);
    if (at == probes_.end()) { fail("no probe of \"" + id + "\" is running"); }
    const ProbeResult result = at->second.probe->read();
    if (op == "probe_stop") { probes_.erase(at); }
    return {{"frames", result.frames},
            {"lost", result.lost},
            {"stalled_us", result.stalled_us},
            {"took_us", result.took_us}};
}

Json Script::stats(const Json& request) {
    const FrontEnd& front_end = find(request);
    const FrontEndCounters& c = front_end.counters();
    const RingCounters r = front_end.ring_counters();
    Json reply = state_of(front_end);
    reply.update({{"tx_frames", c.tx_frames},
                  {"tx_bytes", c.tx_bytes},
                  {"rx_frames", c.rx_frames},
                  {"rx_bytes", c.rx_bytes},
                  {"rx_broken", c.rx_broken},
                  {"starts", c.starts},
                  {"kicks", r.kicks},
                  {"kicks_saved", r.kicks_saved},
                  {"calls", r.calls},
                  {"missed_calls", r.missed_calls}});
    return reply;
}

}  // namespace sluice::frontend
