// SPDX-License-Identifier: Apache-2.0
// Remotes: where an OVSDB server listens, as ovsdb-client(1) writes it, and the files of TLS.
// Plain values, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/result.h"

namespace sluice::ovsdb {

enum class Transport : std::uint8_t { kTcp, kSsl, kUnix };

/// "tcp:HOST:PORT", "ssl:HOST:PORT" (IPv6 in brackets) or "unix:PATH".
struct Remote {
    Transport transport = Transport::kTcp;
    std::string host;        ///< Address or name, without brackets.
    std::uint16_t port = 0;  ///< Of tcp and ssl.
    std::string path;        ///< Of unix.

    bool operator==(const Remote&) const = default;
    [[nodiscard]] std::string text() const;
};

/// Comma-separated remotes, 1..kRemoteServerMax. Refused with one sentence that names the item.
[[nodiscard]] Result<std::vector<Remote>> parse_remotes(std::string_view text);

/// PEM files, as ovs-pki makes them. All three, or none if no remote is ssl.
struct TlsFiles {
    std::string private_key;
    std::string certificate;
    std::string ca_certificate;
    /// The name that the server's certificate must have (subjectAltName, else CN); empty: the
    /// remote's host.
    std::string server_name;
};

}  // namespace sluice::ovsdb
