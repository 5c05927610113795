// SPDX-License-Identifier: Apache-2.0
// OpenSSL's answers as sentences.
#include "controller-agent/ovsdb/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <utility>

namespace sluice::ovsdb {

namespace ssl = boost::asio::ssl;

namespace {

Error bad_file(const char* what, const std::string& path, const std::string& why) {
    return Error{Errc::kIo, std::string("TLS: ") + what + " " + path + ": " + why, {}};
}

std::string common_name(X509* certificate) {
    char text[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                              sizeof(text));
    return text;
}

// An address may also stand as a name: that is how ovs-pki writes it.
bool is_of(X509* certificate, const std::string& name) {
    return X509_check_host(certificate, name.data(), name.size(), 0, nullptr) == 1 ||
           X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
}

std::string chain_refusal(int error, X509* certificate, const std::string& ca_file) {
    const std::string of = "the server's certificate (" + common_name(certificate) + ")";
    switch (error) {
        case X509_V_ERR_CERT_HAS_EXPIRED: return of + " has expired";
        case X509_V_ERR_CERT_NOT_YET_VALID: return of + " is not valid yet";
        default:
            return of + " is not of the CA of " + ca_file + ": " +
                   X509_verify_cert_error_string(error);
    }
}

}  // namespace

Result<std::unique_ptr<ssl::context>> make_tls_context(const TlsFiles& files) {
    if (files.private_key.empty() || files.certificate.empty() || files.ca_certificate.empty()) {
        return Error{Errc::kInvalid,
                     "TLS: an ssl: remote needs a private key, a certificate and a CA certificate",
                     {}};
    }
    auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    boost::system::error_code ec;
    context->load_verify_file(files.ca_certificate, ec);
    if (ec) { return bad_file("CA certificate", files.ca_certificate, ec.message()); }
    context->use_certificate_chain_file(files.certificate, ec);
    if (ec) { return bad_file("certificate", files.certificate, ec.message()); }
    context->use_private_key_file(files.private_key, ssl::context::pem, ec);
    if (ec) { return bad_file("private key", files.private_key, ec.message()); }
    if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
        ERR_clear_error();
        return bad_file("private key", files.private_key,
                        "is not the key of certificate " + files.certificate);
    }
    return context;
}

bool check_certificate(bool is_trusted, ssl::verify_context& context, const std::string& name,
                       const std::string& ca_file, std::string& refusal) {
    X509_STORE_CTX* store = context.native_handle();
    X509* certificate = X509_STORE_CTX_get_current_cert(store);
    if (certificate == nullptr) { return false; }
    if (!is_trusted) {
        refusal = chain_refusal(X509_STORE_CTX_get_error(store), certificate, ca_file);
        return false;
    }
    if (X509_STORE_CTX_get_error_depth(store) > 0 || is_of(certificate, name)) { return true; }
    refusal = "the server's certificate is of \"" + common_name(certificate) + "\", not of \"" +
              name + "\"";
    return false;
}

std::string tls_failure(const boost::system::error_code& ec) {
    if (ec.category() != boost::asio::error::get_ssl_category()) { return ec.message(); }
    switch (ERR_GET_REASON(static_cast<unsigned long>(ec.value()))) {
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA: return "the server does not know our certificate's CA";
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return "the server refused the connection: it wants another certificate";
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
            return "the server: our certificate has expired";
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
            return "the server refused our certificate: " + ec.message();
        default: return ec.message();
    }
}

}  // namespace sluice::ovsdb
