// SPDX-License-Identifier: Apache-2.0
// The command line by CLI11: one subcommand a mode.
#include "options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <ostream>
#include <set>
#include <utility>

#include "limits.h"

namespace sluice::load {
namespace {

constexpr const char* kAbout =
    "Loads a vhost-user switch as a pair of guests would, at a few cycles a packet: end a sends "
    "or\n"
    "opens, end b receives or answers. Exit status 0 only for a valid run.\n\n"
    "An END is PATH[,mac=02:00:00:00:00:01][,ip=10.0.0.1]...[,listen]: the vNIC's socket, who the\n"
    "guest says it is (ip: an address, PREFIX/LENGTH or FIRST-LAST, more than once if need be), "
    "and\n"
    "listen if the switch connects to us (Open vSwitch's dpdkvhostuserclient; Sluice's default).\n"
    "via=MAC: its frames go to a router. vxlan=VNI/OWN-VTEP/SWITCH-VTEP/SWITCH-MAC: the socket is "
    "an\n"
    "uplink of the switch (net_vhost0,iface=PATH,client=1), the guest behind a remote VTEP.\n";

constexpr const char* kExamples =
    "\nEXAMPLES\n"
    "  sluice-load flood --a /run/vm1.sock,listen --b /run/vm2.sock,listen --flows 100000 --cpu 0\n"
    "  sluice-load flood --a A --b B --size imix --both --proto tcp --handshake\n"
    "  sluice-load crr --a A,ip=10.0.0.1-10.0.0.64 --b B,ip=10.0.0.200 --parallel 256\n"
    "  sluice-load latency --a A --b B --json\n"
    "  sluice-load tso --a A --b B --bytes 60000 --segment 1448\n"
    "  sluice-load flood --a A --b UPLINK,vxlan=5000/172.16.0.2/172.16.0.1/02:00:00:00:99:01\n"
    "  sluice-load noise --cpus 0,1\n";

/// What CLI11 fills and finish() reads.
struct Words {
    std::string a, b;
    std::vector<std::string> service;
    std::string size = "64";
    std::string proto = "udp";
    std::string checksum = "full";
    std::string port;
    std::string cpus = "0,1";
    bool no_mergeable = false;
    bool no_offloads = false;
};

void add_common(CLI::App& mode, Options& o, Words& w) {
    mode.add_option("--a", w.a, "the end that sends or opens")->required()->type_name("END");
    mode.add_option("--b", w.b, "the end that receives or answers")->required()->type_name("END");
    mode.add_option("--service", w.service,
                    "twice: the legs of a service that passes on what it gets, copied")
        ->expected(1, 2)
        ->type_name("END");
    mode.add_option("--seconds", o.seconds, "how long to measure")
        ->capture_default_str()
        ->check(CLI::Range(0.01, 86400.0));
    mode.add_option("--warmup", o.warmup, "seconds of the same before that, not counted")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 3600.0));
    mode.add_option("--cpu", o.cpu, "core to run on")->check(CLI::Range(0, 1023));
    mode.add_flag("--json", o.json, "one JSON object instead of a table");
    mode.add_option("--start-timeout", o.start_timeout,
                    "seconds until the switch must have taken both vNICs and moved a frame")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 3600.0));
    mode.add_flag("--no-mergeable", w.no_mergeable, "do not negotiate mergeable receive buffers");
    mode.add_flag("--no-offloads", w.no_offloads, "do not negotiate checksum offload and TSO");
    mode.add_option("--queue-size", o.queue_size,
                    "ring entries, a power of two (default 256; crr 1024)")
        ->check(CLI::Range(kQueueSizeMin, kQueueSizeMax));
    mode.add_option("--port", w.port, "destination port, or FIRST-LAST");
}

void add_checksum(CLI::App& mode, Words& w) {
    mode.add_option("--checksum", w.checksum,
                    "full: in the frame; partial: left to the switch; none (UDP): zero")
        ->capture_default_str()
        ->check(CLI::IsMember({"full", "partial", "none"}));
}

void add_flood(CLI::App& app, Options& o, Words& w) {
    CLI::App& mode = *app.add_subcommand("flood", "fixed flows, as fast as the switch takes them");
    add_common(mode, o, w);
    add_checksum(mode, w);
    mode.add_option("--flows", o.flows, "5-tuples, in turn")
        ->capture_default_str()
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{kFlowCountMax}));
    mode.add_option("--size", w.size,
                    "bytes on the wire with FCS, 64..1518, or imix (7:4:1 of 64, 594, 1518)")
        ->capture_default_str();
    mode.add_flag("--both", o.both, "b sends too, the same flows the other way");
    mode.add_option("--proto", w.proto, "udp or tcp")
        ->capture_default_str()
        ->check(CLI::IsMember({"udp", "tcp"}));
    mode.add_flag("--handshake", o.handshake,
                  "open each TCP connection by a three-way handshake first");
    mode.add_option("--pps", o.pps, "pace, 0 = none")->capture_default_str();
    mode.add_flag("--gaps", o.gaps, "report the longest time without a received frame");
}

void add_crr(CLI::App& app, Options& o, Words& w) {
    CLI::App& mode = *app.add_subcommand(
        "crr", "connections a second: open, request, response, close, each on a fresh 5-tuple");
    add_common(mode, o, w);
    mode.add_option("--parallel", o.parallel, "connections under way at a time")
        ->capture_default_str()
        ->check(CLI::Range(1U, kParallelMax));
}

void add_latency(CLI::App& app, Options& o, Words& w) {
    CLI::App& mode = *app.add_subcommand("latency", "one packet in flight, every one timed");
    add_common(mode, o, w);
    add_checksum(mode, w);
    mode.add_option("--size", w.size, "bytes on the wire with FCS, 64..1518")
        ->capture_default_str();
    mode.add_flag("--round-trip", o.round_trip, "a to b and back instead of one way");
}

void add_tso(CLI::App& app, Options& o, Words& w) {
    CLI::App& mode =
        *app.add_subcommand("tso", "large TCP segments for the switch to carry or cut");
    add_common(mode, o, w);
    mode.add_option("--bytes", o.bytes, "payload of each large segment")
        ->capture_default_str()
        ->check(CLI::Range(1000U, 65000U));
    mode.add_option("--segment", o.segment, "payload of a packet on the wire (gso_size)")
        ->capture_default_str()
        ->check(CLI::Range(64U, 1460U));
    mode.add_option("--flows", o.flows, "TCP connections, in turn (default 1)")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1024}));
}

void add_noise(CLI::App& app, Options& o, Words& w) {
    CLI::App& mode = *app.add_subcommand(
        "noise", "cost of handing a cache line to another core and back, which vhost lives by");
    mode.add_option("--cpus", w.cpus, "the two cores")->capture_default_str();
    mode.add_option("--seconds", o.seconds, "how long to measure (default 0.2)")
        ->check(CLI::Range(0.01, 60.0));
    mode.add_flag("--json", o.json, "one JSON object instead of a table");
}

Error bad(const std::string& option, const std::string& value, const std::string& expected) {
    return Error{Errc::kInvalid, option + " " + value + ": expected " + expected, option};
}

std::optional<unsigned> number(std::string_view text, unsigned least, unsigned most) {
    unsigned value = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, value);
    const bool fine = error == std::errc{} && at == end && value >= least && value <= most;
    return fine ? std::optional(value) : std::nullopt;
}

Status read_size(const std::string& text, Options& o) {
    if (text == "imix" && o.mode == Mode::kFlood) {
        o.size = 0;
        return Ok{};
    }
    const auto size = number(text, kWireBytesMin, kWireBytesMax);
    if (!size) { return bad("--size", text, "64..1518 or, in a flood, imix"); }
    o.size = *size;
    return Ok{};
}

Status read_port(const std::string& text, Options& o) {
    o.port = o.mode == Mode::kCrr || o.mode == Mode::kTso || o.tcp ? 80 : 5000;
    if (text.empty()) { return Ok{}; }
    const auto dash = text.find('-');
    const auto first = number(std::string_view(text).substr(0, dash), 1, 65535);
    const auto last = dash == std::string::npos
                          ? first
                          : number(std::string_view(text).substr(dash + 1), 1, 65535);
    if (!first || !last || *last < *first) { return bad("--port", text, "1..65535 or FIRST-LAST"); }
    o.port = static_cast<std::uint16_t>(*first);
    o.ports = *last - *first + 1;
    return Ok{};
}

Status read_cpus(const std::string& text, Options& o) {
    const auto comma = text.find(',');
    const auto first = number(std::string_view(text).substr(0, comma), 0, 1023);
    const auto second = comma == std::string::npos
                            ? std::nullopt
                            : number(std::string_view(text).substr(comma + 1), 0, 1023);
    if (!first || !second || *first == *second) {
        return bad("--cpus", text, "two different cores, like 0,1");
    }
    o.cpus = {static_cast<int>(*first), static_cast<int>(*second)};
    return Ok{};
}

Status read_ends(const Words& w, Options& o) {
    auto a = parse_spec(w.a, 1);
    if (!a) { return Error{Errc::kInvalid, "--a: " + a.error().message, "--a"}; }
    auto b = parse_spec(w.b, 2);
    if (!b) { return Error{Errc::kInvalid, "--b: " + b.error().message, "--b"}; }
    o.a = std::move(a).value();
    o.b = std::move(b).value();
    for (const std::string& text : w.service) {
        auto leg = parse_spec(text, 3);
        if (!leg) {
            return Error{Errc::kInvalid, "--service: " + leg.error().message, "--service"};
        }
        o.service.push_back(std::move(leg).value());
    }
    if (o.a.path == o.b.path) {
        return Error{Errc::kInvalid, "--a and --b name the same socket " + o.a.path, "--b"};
    }
    std::set<std::string> paths{o.a.path, o.b.path};
    for (const Spec& leg : o.service) { paths.insert(leg.path); }
    if (o.service.size() == 1 || paths.size() != 2 + o.service.size()) {
        return Error{Errc::kInvalid, "--service: a service has two legs, each a socket of its own",
                     "--service"};
    }
    if (o.a.mac == o.b.mac) {
        return Error{Errc::kInvalid, "--a and --b have the same mac " + mac_text(o.a.mac), "--b"};
    }
    return Ok{};
}

Status check_places(const Options& o) {
    if (o.a.tunnel && o.b.tunnel) {
        return Error{Errc::kInvalid, "--a and --b are both behind a tunnel (vxlan=)", "--b"};
    }
    if (!o.service.empty() && (o.mode == Mode::kLatency || o.mode == Mode::kTso)) {
        return Error{Errc::kInvalid, "--service is for flood and crr", "--service"};
    }
    if (!o.a.tunnel && !o.b.tunnel) { return Ok{}; }
    if (o.mode == Mode::kCrr || o.mode == Mode::kLatency || o.both || o.handshake) {
        return Error{Errc::kInvalid, "vxlan= is for flood one way without --handshake, and for tso",
                     "vxlan"};
    }
    if (o.mode == Mode::kTso && o.a.tunnel) {
        return Error{Errc::kInvalid,
                     "--a: vxlan= does not go with tso, the fabric has packets only", "--a"};
    }
    return Ok{};
}

Status check_together(const Options& o) {
    if (o.handshake && !o.tcp) {
        return Error{Errc::kInvalid, "--handshake needs --proto tcp", "--handshake"};
    }
    if (o.checksum == Checksum::kNone && o.tcp) {
        return Error{Errc::kInvalid, "--checksum none: TCP has no packets without one",
                     "--checksum"};
    }
    if (o.checksum == Checksum::kPartial && !o.offloads) {
        return Error{Errc::kInvalid, "--checksum partial does not go with --no-offloads",
                     "--checksum"};
    }
    if (o.mode == Mode::kTso && !o.offloads) {
        return Error{Errc::kInvalid, "tso does not go with --no-offloads", "--no-offloads"};
    }
    if ((o.queue_size & (o.queue_size - 1)) != 0) {
        return bad("--queue-size", std::to_string(o.queue_size), "a power of two");
    }
    if (o.mode == Mode::kCrr && 2 * o.parallel > o.queue_size) {
        return Error{Errc::kInvalid,
                     "--parallel " + std::to_string(o.parallel) + " needs a --queue-size of " +
                         std::to_string(2 * o.parallel) + " or more, it is " +
                         std::to_string(o.queue_size),
                     "--parallel"};
    }
    return check_places(o);
}

Status finish(const Words& w, Options& o) {
    if (o.mode == Mode::kNoise) { return read_cpus(w.cpus, o); }
    o.mergeable = !w.no_mergeable;
    o.offloads = !w.no_offloads;
    o.tcp = w.proto == "tcp" || o.mode == Mode::kCrr || o.mode == Mode::kTso;
    o.checksum = w.checksum == "full"      ? Checksum::kFull
                 : w.checksum == "partial" ? Checksum::kPartial
                                           : Checksum::kNone;
    if (o.queue_size == 0) { o.queue_size = o.mode == Mode::kCrr ? 1024 : 256; }
    for (const Status& status : {read_ends(w, o), read_size(w.size, o), read_port(w.port, o)}) {
        if (!status) { return status; }
    }
    return check_together(o);
}

void read_mode(const CLI::App& app, Options& o) {
    constexpr std::pair<const char*, Mode> kModes[] = {{"flood", Mode::kFlood},
                                                       {"crr", Mode::kCrr},
                                                       {"latency", Mode::kLatency},
                                                       {"tso", Mode::kTso},
                                                       {"noise", Mode::kNoise}};
    for (const auto& [name, mode] : kModes) {
        if (!app.got_subcommand(name)) { continue; }
        o.mode = mode;
        const CLI::App* sub = app.get_subcommand(name);
        if (mode == Mode::kNoise && sub->count("--seconds") == 0) { o.seconds = 0.2; }
        if (mode == Mode::kTso && sub->count("--flows") == 0) { o.flows = 1; }
    }
}

}  // namespace

const char* to_string(Mode mode) {
    switch (mode) {
        case Mode::kFlood: return "flood";
        case Mode::kCrr: return "crr";
        case Mode::kLatency: return "latency";
        case Mode::kTso: return "tso";
        case Mode::kNoise: return "noise";
    }
    return "flood";
}

Parsed parse(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
    Options options;
    Words words;
    CLI::App app(kAbout, "sluice-load");
    app.footer(kExamples);
    app.set_version_flag("--version", "sluice-load " SLUICE_VERSION);
    app.require_subcommand(1);
    add_flood(app, options, words);
    add_crr(app, options, words);
    add_latency(app, options, words);
    add_tso(app, options, words);
    add_noise(app, options, words);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {
        return {std::nullopt, app.exit(success, out, err)};
    } catch (const CLI::ParseError& error) {
        err << "sluice-load: " << error.what() << '\n';
        return {std::nullopt, 2};
    }
    read_mode(app, options);
    if (auto done = finish(words, options); !done) {
        err << "sluice-load: " << done.error().message << '\n';
        return {std::nullopt, 2};
    }
    return {options, 0};
}

}  // namespace sluice::load
