// SPDX-License-Identifier: Apache-2.0
// RuleChecks: see rule_checks.h.
#include "src/sluiced/rule_checks.h"

#include <algorithm>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>

#include "controller-agent/on_helper.h"
#include "src/host/rule_check.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using agent::on_helper;
using nlohmann::json;

template <typename T>
bool has_rule(const T& holder, const std::string& rule) {
    return rule.empty() || std::any_of(holder.rules.begin(), holder.rules.end(),
                                       [&](const auto& each) { return each.name == rule; });
}

/// True if the document has the section or ACL, and the rule in it.
bool exists(const model::Document& document, const std::string& section, const std::string& rule) {
    if (section.empty()) { return true; }
    for (const model::Section& each : document.dfw.sections) {
        if (each.name == section) { return has_rule(each, rule); }
    }
    for (const model::Acl& each : document.acls) {
        if ("acl " + each.name == section) { return has_rule(each, rule); }
    }
    return false;
}

std::string time_text(std::int64_t seconds) {
    const auto time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    gmtime_r(&time, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

json row_of(const host::RuleFinding& finding) {
    return {{"section", finding.section},
            {"rule", finding.rule},
            {"finding", host::to_text(finding.fault)},
            {"by", finding.by},
            {"detail", finding.detail}};
}

}  // namespace

asio::awaitable<Result<json>> RuleChecks::check(std::string name) {
    const std::size_t slash = name.find('/');
    host::RuleCheckOptions options;
    options.section = name.substr(0, slash);
    if (slash != std::string::npos) { options.rule = name.substr(slash + 1); }
    const auto document = config_.shared_document();
    if (!exists(*document, options.section, options.rule)) {
        co_return Error{Errc::kNotFound, "rule check: no section or rule " + name, name};
    }
    co_await run_on_workers<datapath::FoldCommand>(dataplane_);  // Hits that flows carry.
    const auto times = config_.rule_times();
    options.never_hit = [this, times](const std::string& section,
                                      const std::string& rule) -> std::optional<std::string> {
        const RuleId id = config_.registries().rules.find({section, rule});
        for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
            const RuleCounters& counters = dataplane_.worker(w).context().rules[rule_slot(id)];
            if (counters.hits.get() != 0 || counters.packets.get() != 0) { return std::nullopt; }
        }
        const auto since = times->find(id);
        if (since == times->end()) { return std::nullopt; }  // It is gone by now.
        return time_text(since->second);
    };
    std::function<json()> work = [document, options = std::move(options)] {
        json rows = json::array();
        for (const auto& finding : host::check_rules(*document, options)) {
            rows.push_back(row_of(finding));
        }
        return rows;
    };
    json rows = co_await on_helper(helper_, std::move(work));
    co_return Result<json>(std::move(rows));
}

}  // namespace sluice::daemon
