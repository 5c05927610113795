// SPDX-License-Identifier: Apache-2.0
// TLS of connections to a server: the context of the three files, and whether a server's
// certificate is good, in sentences. Files are read at each connection: a renewed certificate
// counts from the next on. One thread at a time.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <memory>
#include <string>

#include "controller-agent/ovsdb/remote.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

/// A client's context: TLS 1.2 and up, our certificate and key, one CA. An error names the file.
[[nodiscard]] Result<std::unique_ptr<boost::asio::ssl::context>> make_tls_context(
    const TlsFiles& files);

/// For OpenSSL's verify callback. @param refusal  why not, if the answer is false
/// @param name  what the certificate must be of: a DNS name or an address
[[nodiscard]] bool check_certificate(bool is_trusted, boost::asio::ssl::verify_context& context,
                                     const std::string& name, const std::string& ca_file,
                                     std::string& refusal);

/// What a connection's failure means, if it is the server's word on our certificate; else as is.
[[nodiscard]] std::string tls_failure(const boost::system::error_code& ec);

}  // namespace sluice::ovsdb
