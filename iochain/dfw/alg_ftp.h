// SPDX-License-Identifier: Apache-2.0
// What one line of an FTP control connection announces: RFC 959 (PORT, 227), RFC 2428 (EPRT, 229,
// EPSV ALL). Pure; called by ExpectationTable::read() on workers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sluice/net/address.h"

namespace sluice::iochain {

/// Where the sender of the line will accept the data connection.
struct FtpEndpoint {
    IpAddr address;          ///< Family kNone: the sender's own (229).
    std::uint16_t port = 0;  ///< Host order.
};

/// Reads a line without its end.
/// @param from_client  PORT and EPRT; else 227 and 229, final lines of a reply only
[[nodiscard]] std::optional<FtpEndpoint> ftp_endpoint(std::string_view line,
                                                      bool from_client) noexcept;

/// True for the client's promise to use nothing but EPSV from now on (RFC 2428 §4).
[[nodiscard]] bool is_epsv_all(std::string_view line) noexcept;

}  // namespace sluice::iochain
