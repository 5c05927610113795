// SPDX-License-Identifier: Apache-2.0
// port export, port import: what the switch knows of a vNIC goes to another host with its VM.
#include <array>
#include <fstream>

#include "cli.h"
#include "commands_migrate.h"
#include "document_file.h"
#include "format.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

Outcome<json> export_port(const Invocation& invocation, const Streams&) {
    json params = invocation.params;
    const std::string path = params.value("write", "");
    params.erase("write");
    auto document = call(invocation.endpoint, "port.export", params.dump());
    if (!document.ok() || path.empty() || path == "-") { return document; }
    std::ofstream file(path, std::ios::trunc);
    file << document.value().dump(1, ' ', false, json::error_handler_t::replace) << '\n';
    file.close();
    if (!file) { return Failure{"io", "port export: cannot write " + path, ""}; }
    const auto rows = [&](const char* key) { return value_at(document.value(), key).size(); };
    return json{{"file", path},
                {"connections", rows("connections")},
                {"bindings", rows("bindings")},
                {"pending", rows("pending")},
                {"macs", rows("macs")},
                {"groups", rows("groups")}};
}

void render_exported(const json& result, const View& view) {
    if (!result.contains("file")) {
        view.out << result.dump(1, ' ', false, json::error_handler_t::replace) << '\n';
        return;
    }
    view.out << as_count(value_at(result, "connections")) << " connections, "
             << as_count(value_at(result, "bindings")) << " bindings in "
             << as_text(value_at(result, "file")) << '\n';
}

Outcome<json> import_port(const Invocation& invocation, const Streams& streams) {
    const std::string path = invocation.params.value("file", "");
    auto text = read_document(path, streams.in);
    if (!text.ok()) { return text.failure(); }
    const std::string name = json(invocation.params.value("port", "")).dump();
    return call(invocation.endpoint, "port.import",
                R"({"port":)" + name + R"(,"document":)" + text.value() + "}");
}

void render_imported(const json& result, const View& view) {
    const auto count = [&](const char* key) {
        return as_count(value_at(result, std::string("connections.") + key));
    };
    view.out << "connections: " << count("opened") << " new, " << count("renewed") << " renewed, "
             << count("ended") << " ended, " << count("refused") << " refused; "
             << as_count(value_at(result, "learned")) << " learned addresses\n";
}

constexpr std::array kMovedFields{
    Field{"PORT", "port", as_text},
    Field{"TO", "to", as_text},
    Field{"AWAITED", "awaited", as_text},
    Field{"QUIET", "quiet_s", as_duration, Align::kRight},
    Field{"FLOWS", "flows", as_count, Align::kRight},
    Field{"PACKETS", "packets", as_count, Align::kRight},
};

void render_moved(const json& result, const View& view) {
    print_rows(result, kMovedFields, view, "no VM is elsewhere");
}

}  // namespace

std::vector<Command> migrate_commands() {
    const Argument port{"PORT", "port", Kind::kText, true, "name of a VM's port", Offer::kPorts};
    Argument write{"--write",
                   "write",
                   Kind::kText,
                   false,
                   "write the document there, - for standard output (the default)",
                   Offer::kFiles};
    write.brief = "-w";
    write.metavar = "FILE";
    const Argument is_final{"--final", "final", Kind::kFlag, false,
                            "the VM has stopped here: send what still comes for it after it"};
    Argument to{"--to", "to", Kind::kText, false,
                "with --final, in a VNI: address of the destination's VTEP"};
    to.metavar = "VTEP-IP";
    const Argument cancel{"--cancel", "cancel", Kind::kFlag, false,
                          "take --final back: the VM goes on here"};
    Command exported{
        "port export",
        "what the switch knows of a vNIC, for the host that its VM moves to",
        {port, write, is_final, to, cancel},
        {"port export vm1 -w vm1.json", "port export vm1 --final --to 172.16.0.2 -w vm1.json",
         "port export vm1 --cancel"},
        render_exported};
    exported.answer = export_port;
    const Argument file{
        "FILE", "file", Kind::kText, true, "the document, - for standard input", Offer::kFiles};
    Command imported{"port import",
                     "take in what another host knew of a vNIC, before and at the switch-over",
                     {port, file},
                     {"port import vm1 vm1.json"},
                     render_imported};
    imported.answer = import_port;
    Command moved{"show moved",
                  "ports whose VM has moved or is awaited, and what still comes for them",
                  {},
                  {"show moved"},
                  render_moved};
    return {std::move(exported), std::move(imported), std::move(moved)};
}

}  // namespace sluice::cli
