// SPDX-License-Identifier: Apache-2.0
// Methods: see methods.h. Parameters are read and checked here; the services know nothing of
// JSON-RPC.
#include "src/sluiced/methods.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "admin/params.h"
#include "src/sluiced/version.h"

namespace sluice::daemon {
namespace {

using admin::Access;
using admin::ParamReader;
using admin::Peer;
using nlohmann::json;

constexpr std::uint64_t kRowsDefault = 100000;
constexpr std::uint64_t kTopDefault = 100;

// "add rule app/web-in"; whatever the peer sent, it can't break out of its line of the log.
std::string edit_subject(const json& params) {
    constexpr std::size_t kLengthMax = 200;
    std::string text;
    for (const char* key : {"op", "kind", "name"}) {
        const auto found = params.find(key);
        if (found == params.end() || !found->is_string()) { continue; }
        text += (text.empty() ? "" : " ") + found->get<std::string>().substr(0, kLengthMax);
    }
    std::replace_if(
        text.begin(), text.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return text;
}

// Where another source says what the configuration is, nobody else does.
void add_changes(admin::AdminServer& server, ConfigService& config) {
    server.add("apply", Access::kChange, [&config](const json& params, const Peer&) -> AnswerLater {
        return config.apply(params, false);
    });
    server.add(
        "edit", Access::kChange,
        [&config](const json& params, const Peer&) -> AnswerLater { return config.edit(params); },
        edit_subject);
    server.add("rollback", Access::kChange,
               [&config](const json&, const Peer&) -> AnswerLater { return config.rollback(); });
}

void refuse_changes(admin::AdminServer& server, const std::string& source) {
    for (const char* method : {"apply", "edit", "rollback"}) {
        server.add(method, Access::kChange, [source](const json&, const Peer&) -> Answer {
            return Error{Errc::kState,
                         "the configuration comes from " + source + "; change it there", "source"};
        });
    }
}

void add_config(admin::AdminServer& server, ConfigService& config, const Source& source) {
    if (source.kind == Source::Kind::kLocal) {
        add_changes(server, config);
    } else {
        refuse_changes(server, source.text);
    }
    server.add("apply.dry_run", Access::kRead,
               [&config](const json& params, const Peer&) -> AnswerLater {
                   return config.apply(params, true);
               });
    server.add("diff", Access::kRead, [&config](const json& params, const Peer&) -> Answer {
        return config.diff(params);
    });
    server.add("export", Access::kRead, [&config](const json&, const Peer&) -> Answer {
        return json(config.export_json());
    });
}

/// A method whose only parameter is an optional port.
template <typename Work>
admin::Handler with_port(Work work) {
    return [work](const json& params, const Peer&) -> AnswerLater {
        ParamReader read(params);
        std::string port = read.text("port");
        if (const Status status = read.finish(); !status) { co_return status.error(); }
        co_return co_await work(std::move(port));
    };
}

void add_show(admin::AdminServer& server, ShowService& show) {
    server.add("show.ports", Access::kRead,
               [&show](const json&, const Peer&) { return show.ports(); });
    server.add("show.macs", Access::kRead,
               [&show](const json&, const Peer&) -> AnswerLater { return show.macs(); });
    server.add("show.multicast", Access::kRead,
               [&show](const json&, const Peer&) -> AnswerLater { return show.multicast(); });
    server.add("show.switches", Access::kRead,
               [&show](const json&, const Peer&) { return show.switches(); });
    server.add("show.groups", Access::kRead,
               [&show](const json&, const Peer&) { return show.groups(); });
    server.add("show.uplinks", Access::kRead,
               [&show](const json&, const Peer&) { return show.uplinks(); });
    server.add("show.vteps", Access::kRead,
               [&show](const json&, const Peer&) -> AnswerLater { return show.vteps(); });
    server.add("show.services", Access::kRead,
               [&show](const json&, const Peer&) { return show.services(); });
    server.add("show.workers", Access::kRead,
               [&show](const json&, const Peer&) { return show.workers(); });
    server.add("show.port", Access::kRead, [&show](const json& params, const Peer&) -> Answer {
        ParamReader read(params);
        const std::string name = read.required_text("name");
        if (const Status status = read.finish(); !status) { return status.error(); }
        return show.port(name);
    });
    server.add("show.chain", Access::kRead,
               [&show](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   std::string port = read.required_text("port");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await show.chain(std::move(port));
               });
    server.add("show.rules", Access::kRead,
               with_port([&show](std::string port) { return show.rules(std::move(port)); }));
    server.add("show.acls", Access::kRead,
               with_port([&show](std::string port) { return show.acls(std::move(port)); }));
    server.add(
        "show.conns", Access::kRead, [&show](const json& params, const Peer&) -> AnswerLater {
            ParamReader read(params);
            ConnsQuestion question;
            question.port = read.text("port");
            question.filter = read.text("filter");
            question.limit = read.count("limit", kRowsDefault);
            question.offset = read.count("offset", 0);
            if (params.contains("cursor")) { question.cursor = read.count("cursor", 0); }
            if (const Status status = read.finish(); !status) { co_return status.error(); }
            if (question.cursor.value_or(0) > kConnectionMax) {
                co_return Error{Errc::kInvalid, "parameter cursor is not one that an answer gave",
                                admin::kParamsObject};
            }
            co_return co_await show.conns(std::move(question));
        });
    server.add("show.bindings", Access::kRead,
               with_port([&show](std::string port) { return show.bindings(std::move(port)); }));
    server.add("show.arps", Access::kRead,
               [&show](const json&, const Peer&) -> AnswerLater { return show.arps(); });
    server.add("show.routes", Access::kRead,
               [&show](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   std::string router = read.text("router");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await show.routes(std::move(router));
               });
    server.add("show.flows", Access::kRead,
               [&show](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   const std::uint64_t top = read.count("top", kTopDefault);
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await show.flows(top);
               });
    server.add("show.drops", Access::kRead,
               [&show](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   std::string port = read.text("port");
                   const bool audit = read.flag("audit");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await show.drops(std::move(port), audit);
               });
}

// Numbers that were left out are -1.
std::int64_t number_of(ParamReader& read, const char* key) {
    constexpr std::uint64_t kNone = UINT32_MAX;
    const std::uint64_t value = read.count(key, kNone);
    return value == kNone ? -1 : static_cast<std::int64_t>(std::min(value, kNone));
}

void add_trace(admin::AdminServer& server, ShowService& show) {
    server.add("trace", Access::kRead, [&show](const json& params, const Peer&) -> AnswerLater {
        ParamReader read(params);
        TraceQuestion question;
        question.port = read.required_text("port");
        question.to_mac = read.text("to_mac");
        question.from_mac = read.text("from_mac");
        question.src = read.text("src");
        question.dst = read.text("dst");
        question.proto = read.text("proto");
        question.flags = read.text("flags");
        question.sport = number_of(read, "sport");
        question.dport = number_of(read, "dport");
        question.vlan = number_of(read, "vlan");
        question.icmp_type = number_of(read, "icmp_type");
        question.icmp_code = number_of(read, "icmp_code");
        question.dscp = number_of(read, "dscp");
        question.from_network = read.flag("from_network");
        if (const Status status = read.finish(); !status) { co_return status.error(); }
        co_return co_await show.trace(std::move(question));
    });
}

void add_trace_tunnelled(admin::AdminServer& server, ShowService& show) {
    server.add("trace.tunnelled", Access::kRead,
               [&show](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   TunnelledFrame frame;
                   frame.vni = static_cast<std::uint32_t>(
                       std::min<std::uint64_t>(read.count("vni", 0), std::uint64_t{kVniMax} + 1U));
                   frame.key_policy = static_cast<std::uint8_t>(
                       std::min<std::uint64_t>(read.count("key_policy", 0), kKeyPolicyMax));
                   frame.source = read.required_text("source");
                   frame.destination = read.text("destination");
                   frame.frame = read.required_text("frame");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await show.trace_tunnelled(std::move(frame));
               });
}

void add_flush(admin::AdminServer& server, ShowService& show) {
    server.add("flush.conns", Access::kChange,
               with_port([&show](std::string port) { return show.flush_conns(std::move(port)); }));
    server.add("flush.flows", Access::kChange,
               [&show](const json&, const Peer&) -> AnswerLater { return show.flush_flows(); });
    server.add("flush.macs", Access::kChange,
               [&show](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   std::string group = read.text("port_group");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await show.flush_macs(std::move(group));
               });
    server.add("flush.bindings", Access::kChange, with_port([&show](std::string port) {
                   return show.flush_bindings(std::move(port));
               }));
}

Answer set_log_level(const json& params) {
    ParamReader read(params);
    const std::string level = read.required_text("level");
    if (const Status status = read.finish(); !status) { return status.error(); }
    const auto parsed = spdlog::level::from_str(level);
    if (parsed == spdlog::level::off && level != "off") {
        return Error{Errc::kInvalid,
                     "log level \"" + level +
                         "\" is not one of trace, debug, info, warn, error, critical, off",
                     "level"};
    }
    spdlog::set_level(parsed);
    return json{{"level", level}};
}

}  // namespace

void add_rule_methods(admin::AdminServer& server, RuleChecks& checks) {
    server.add("rule.check", Access::kRead,
               [&checks](const json& params, const Peer&) -> AnswerLater {
                   ParamReader read(params);
                   std::string name = read.text("name");
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await checks.check(std::move(name));
               });
}

void add_methods(admin::AdminServer& server, ConfigService& config, ShowService& show,
                 const Source& source) {
    add_config(server, config, source);
    add_show(server, show);
    add_trace(server, show);
    add_trace_tunnelled(server, show);
    add_flush(server, show);
    server.add("version", Access::kRead, [](const json&, const Peer&) -> Answer {
        return json{{"version", kVersion}};
    });
    server.add("log-level", Access::kChange,
               [](const json& params, const Peer&) { return set_log_level(params); });
}

}  // namespace sluice::daemon
