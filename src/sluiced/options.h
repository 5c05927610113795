// SPDX-License-Identifier: Apache-2.0
// Options of sluiced, as its command line gives them. Read once, before anything else runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/remote.h"
#include "sluice/base/result.h"

namespace sluice::daemon {

/// Where the configuration comes from.
struct Source {
    enum class Kind : std::uint8_t { kLocal, kOvsdb, kVtep };
    Kind kind = Kind::kLocal;
    std::string text = "local";          ///< As --source gave it.
    std::vector<ovsdb::Remote> remotes;  ///< Of the database; none if local.
    ovsdb::TlsFiles tls;
};

/// Where the metrics are served.
struct MetricsEndpoint {
    std::string address;  ///< IPv4 or IPv6, without brackets.
    std::uint16_t port = 0;
};

struct Options {
    std::string config = "/etc/sluice/host.json";
    std::string socket = "/run/sluice/sluiced.sock";
    std::string state_dir = "/var/lib/sluice";
    std::vector<int> cores;    ///< One worker each, in this order. Never empty after parsing.
    unsigned memory_mb = 256;  ///< Of DPDK: packet buffers and rings.
    bool no_huge = false;
    std::string eal;  ///< More EAL arguments, separated by blanks.
    bool flow_cache = true;
    std::optional<MetricsEndpoint> metrics;
    std::string log_level = "info";
    std::string service_dir = "/usr/lib/sluice/services";  ///< In-process services.
    std::string arena;         ///< Folder of what survives; empty: found, "none": nothing does.
    std::string firewall_log;  ///< Empty: firewall.log in the state folder.
    Source source;
    std::string user;    ///< As whom to run; empty: as whoever starts it, with all his rights.
    std::string helper;  ///< Socket of a helper that somebody else starts; empty: our own.
    std::string allow_uplinks = "auto";  ///< auto, none, af_packet, af_xdp: rights that are kept.
    std::optional<int> takeover_fd;      ///< Started by a running daemon, to go on in its place.
};

/// Parses "1", "2,4-6". Cores are checked against those that this process may use.
[[nodiscard]] Result<std::vector<int>> parse_cores(const std::string& text);

/// Parses "127.0.0.1:9474", "[::1]:9474". Names are not looked up.
[[nodiscard]] Result<MetricsEndpoint> parse_metrics_endpoint(const std::string& text);

/// Parses "local", "ovsdb:REMOTE[,REMOTE]" and "vtep:REMOTE[,REMOTE]". Refused: TLS files that are
/// missing beside a remote "ssl:...", or given by half.
[[nodiscard]] Result<Source> parse_source(const std::string& text, const ovsdb::TlsFiles& tls);

/// Either options, or the exit status of a command line that was answered (--help, --version) or
/// refused.
struct CommandLine {
    Options options;
    std::optional<int> exit_status;
};
[[nodiscard]] CommandLine parse_command_line(int argc, char** argv);

}  // namespace sluice::daemon
