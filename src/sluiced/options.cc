// SPDX-License-Identifier: Apache-2.0
// Options: see options.h.
#include "src/sluiced/options.h"

#include <arpa/inet.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "sluice/base/limits.h"
#include "src/sluiced/version.h"

namespace sluice::daemon {
namespace {

cpu_set_t usable_cores() {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus);
    return cpus;
}

std::vector<int> last_core() {
    const cpu_set_t cpus = usable_cores();
    for (int core = CPU_SETSIZE - 1; core >= 0; --core) {
        if (CPU_ISSET(static_cast<std::size_t>(core), &cpus)) { return {core}; }
    }
    return {0};
}

bool read_number(std::string_view& text, int& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || value < 0 || value >= CPU_SETSIZE) { return false; }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

Error core_error(const std::string& text, const std::string& why) {
    return Error{Errc::kInvalid, "--workers " + text + ": " + why, "workers"};
}

// "--eal" takes a value that begins with dashes, which CLI11 would read as another option: joined
// by "=" it does not. In reverse order, as CLI11 wants a vector.
std::vector<std::string> joined_arguments(int argc, char** argv) {
    std::vector<std::string> arguments;
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--eal" && i + 1 < argc) {
            arguments.push_back(std::string("--eal=") + argv[i + 1]);
            ++i;
        } else {
            arguments.emplace_back(argv[i]);
        }
    }
    std::reverse(arguments.begin(), arguments.end());
    return arguments;
}

Status read_source(const std::string& text, const ovsdb::TlsFiles& tls, Options& options) {
    Result<Source> source = parse_source(text, tls);
    if (!source) { return source.error(); }
    options.source = std::move(source).value();
    return Ok{};
}

bool is_address(const std::string& text, bool is_v6) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text.c_str(), address.data()) == 1;
}

Status read_metrics(const std::string& text, Options& options) {
    if (text.empty()) { return Ok{}; }
    Result<MetricsEndpoint> endpoint = parse_metrics_endpoint(text);
    if (!endpoint) { return endpoint.error(); }
    options.metrics = std::move(endpoint).value();
    return Ok{};
}

}  // namespace

Result<MetricsEndpoint> parse_metrics_endpoint(const std::string& text) {
    const Error refusal{
        Errc::kInvalid,
        "--metrics " + text + ": expected ADDR:PORT such as 127.0.0.1:9474 or [::1]:9474",
        "metrics"};
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) { return refusal; }
    std::string address = text.substr(0, colon);
    const bool is_v6 = address.starts_with('[') && address.ends_with(']');
    if (is_v6) { address = address.substr(1, address.size() - 2); }
    const std::string digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    const bool is_port = error == std::errc{} && end == digits.data() + digits.size() && port != 0;
    if (!is_port || !is_address(address, is_v6)) { return refusal; }
    return MetricsEndpoint{std::move(address), port};
}

Result<std::vector<int>> parse_cores(const std::string& text) {
    const cpu_set_t cpus = usable_cores();
    std::vector<int> cores;
    std::string_view rest = text;
    while (true) {
        int first = 0;
        if (!read_number(rest, first)) {
            return core_error(text, "expected a list of cores such as 1 or 2,4-6");
        }
        int last = first;
        if (rest.starts_with('-')) {
            rest.remove_prefix(1);
            if (!read_number(rest, last) || last < first) {
                return core_error(text, "expected a list of cores such as 1 or 2,4-6");
            }
        }
        for (int core = first; core <= last; ++core) {
            if (!CPU_ISSET(static_cast<std::size_t>(core), &cpus)) {
                return core_error(
                    text, "core " + std::to_string(core) + " is not one that this process may use");
            }
            if (std::find(cores.begin(), cores.end(), core) != cores.end()) {
                return core_error(text, "core " + std::to_string(core) + " stands twice");
            }
            cores.push_back(core);
        }
        if (rest.empty()) { break; }
        if (!rest.starts_with(',')) {
            return core_error(text, "expected a list of cores such as 1 or 2,4-6");
        }
        rest.remove_prefix(1);
    }
    if (cores.size() > kWorkerMax) {
        return core_error(text, "at most " + std::to_string(kWorkerMax) + " workers");
    }
    return cores;
}

CommandLine parse_command_line(int argc, char** argv) {
    CommandLine line;
    Options& options = line.options;
    std::string workers;
    std::string source = "local";
    ovsdb::TlsFiles tls;
    std::string metrics;
    bool no_flow_cache = false;
    CLI::App app{
        "sluiced: host virtual switch for KVM.\n\n"
        "Example: sluiced --socket /run/sluice/sluiced.sock --workers 2,3 --memory 1024"};
    app.set_version_flag("--version", std::string("sluiced ") + kVersion);
    app.add_option("--config", options.config,
                   "what belongs to this host; a missing file counts as empty")
        ->capture_default_str();
    app.add_option("--socket", options.socket, "admin socket")->capture_default_str();
    app.add_option("--state-dir", options.state_dir, "where the applied document is kept")
        ->capture_default_str();
    app.add_option("--source", source,
                   "where the configuration comes from: local, ovsdb:REMOTE[,REMOTE] or "
                   "vtep:REMOTE[,REMOTE]; a remote is tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH")
        ->capture_default_str();
    app.add_option("--private-key", tls.private_key, "PEM file, for remotes with ssl");
    app.add_option("--certificate", tls.certificate, "PEM file, for remotes with ssl");
    app.add_option("--ca-cert", tls.ca_certificate,
                   "PEM file of the authority that signed the servers' certificates");
    app.add_option("--workers", workers,
                   "cores, one worker each: 1 or 2,4-6 (default: the last core)");
    app.add_option("--memory", options.memory_mb, "MB of packet buffers")
        ->capture_default_str()
        ->check(CLI::Range(64, 1048576));
    app.add_flag("--no-huge", options.no_huge, "4 KiB pages even if there are hugepages");
    app.add_option("--eal", options.eal, "further arguments for DPDK's EAL");
    app.add_flag("--no-flow-cache", no_flow_cache,
                 "walk the chain for every packet (for comparison)");
    app.add_option("--metrics", metrics,
                   "ADDR:PORT where Prometheus finds /metrics (default: nowhere)");
    app.add_option("--firewall-log", options.firewall_log,
                   "where rules with \"log\" write (default: firewall.log in the state folder)");
    app.add_option("--arena", options.arena,
                   "folder on tmpfs or hugetlbfs for what survives a crash and a restart; none: "
                   "nothing does (default: arena beside the admin socket if that is on tmpfs, else "
                   "one in /dev/shm)");
    app.add_option("--service-dir", options.service_dir,
                   "where in-process services are (NAME.so, NAME.conf)")
        ->capture_default_str();
    app.add_option("--user", options.user,
                   "as whom to run, with no rights but those for uplinks (default: as who starts "
                   "it)");
    app.add_option("--helper", options.helper,
                   "socket of sluiced-helper, which makes kernel ports (default: a process of its "
                   "own, forked at the start)");
    app.add_option("--allow-uplinks", options.allow_uplinks,
                   "with --user, for which uplinks rights are kept: none, af_packet, af_xdp, or "
                   "auto: those of the stored document")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "none", "af_packet", "af_xdp"}));
    app.add_option("--log-level", options.log_level,
                   "trace, debug, info, warn, error, critical, off")
        ->capture_default_str()
        ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "critical", "off"}));
    app.add_option("--takeover", options.takeover_fd)->group("");  // Not for people.
    try {
        app.parse(joined_arguments(argc, argv));
    } catch (const CLI::ParseError& error) {
        line.exit_status = app.exit(error) == 0 ? 0 : 2;
        return line;
    }
    options.flow_cache = !no_flow_cache;
    Result<std::vector<int>> cores =
        workers.empty() ? Result<std::vector<int>>(last_core()) : parse_cores(workers);
    Status accepted = read_source(source, tls, options);
    if (accepted) { accepted = read_metrics(metrics, options); }
    if (!cores || !accepted) {
        std::fprintf(stderr, "sluiced: %s\n",
                     (!cores ? cores.error() : accepted.error()).message.c_str());
        line.exit_status = 2;
        return line;
    }
    options.cores = std::move(cores).value();
    return line;
}

}  // namespace sluice::daemon
