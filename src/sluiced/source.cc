// SPDX-License-Identifier: Apache-2.0
// Sources: what --source and the options of TLS say together (options.h). Read once, before
// anything else runs.
#include <algorithm>

#include "src/sluiced/options.h"

namespace sluice::daemon {
namespace {

constexpr std::string_view kOvsdb = "ovsdb:";
constexpr std::string_view kVtep = "vtep:";

Error refused(const std::string& text, const std::string& why) {
    return Error{Errc::kInvalid, "--source " + text + ": " + why, "source"};
}

Status check_tls(const std::string& text, const Source& source) {
    const ovsdb::TlsFiles& tls = source.tls;
    const bool has_all =
        !tls.private_key.empty() && !tls.certificate.empty() && !tls.ca_certificate.empty();
    const bool has_any =
        !tls.private_key.empty() || !tls.certificate.empty() || !tls.ca_certificate.empty();
    const bool is_needed = std::any_of(
        source.remotes.begin(), source.remotes.end(),
        [](const ovsdb::Remote& each) { return each.transport == ovsdb::Transport::kSsl; });
    if (has_all || (!has_any && !is_needed)) { return Ok{}; }
    return refused(text, std::string(is_needed ? "a remote with ssl needs" : "TLS takes") +
                             " --private-key, --certificate and --ca-cert, all three");
}

}  // namespace

Result<Source> parse_source(const std::string& text, const ovsdb::TlsFiles& tls) {
    Source source;
    source.text = text;
    source.tls = tls;
    if (text == "local") { return source; }
    const bool is_ovsdb = text.starts_with(kOvsdb);
    if (!is_ovsdb && !text.starts_with(kVtep)) {
        return refused(text, "expected local, ovsdb:REMOTE[,REMOTE] or vtep:REMOTE[,REMOTE]");
    }
    source.kind = is_ovsdb ? Source::Kind::kOvsdb : Source::Kind::kVtep;
    const std::string_view rest(text);
    Result<std::vector<ovsdb::Remote>> remotes =
        ovsdb::parse_remotes(rest.substr((is_ovsdb ? kOvsdb : kVtep).size()));
    if (!remotes) { return refused(text, remotes.error().message); }
    source.remotes = std::move(remotes).value();
    if (Status checked = check_tls(text, source); !checked) { return checked.error(); }
    return source;
}

}  // namespace sluice::daemon
