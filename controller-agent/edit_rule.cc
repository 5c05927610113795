// SPDX-License-Identifier: Apache-2.0
// An edit of one firewall rule as an edit of model::Document: the short way for the change that is
// made most often, in documents of any size.
#include <algorithm>

#include "controller-agent/document_reader.h"
#include "controller-agent/edit.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

const json* find_named(const json& list, const std::string& name) {
    const auto found = std::find_if(
        list.begin(), list.end(), [&](const json& item) { return item.value("name", "") == name; });
    return found == list.end() ? nullptr : &*found;
}

/// The rule at that place of the section's JSON, read.
Result<model::Rule> read_rule_at(const json& document, const model::Section& section,
                                 std::size_t index) {
    model::Section alone{section.name, section.stateful, section.tcp_strict, {}};
    const json* found = find_named(document.at("dfw").at("sections"), section.name);
    Fault fault;
    read_rule_of(found->at("rules").at(index), fault, alone);
    if (fault.any()) { return fault.error(); }
    return std::move(alone.rules.front());
}

}  // namespace

std::optional<Result<model::Document>> read_edited_rule(const model::Document& running,
                                                        const json& document, const Edit& edit,
                                                        const EditUndo& made) {
    if (edit.kind != "rule") { return std::nullopt; }
    model::Document next = running;
    auto& sections = next.dfw.sections;
    const auto section = std::find_if(sections.begin(), sections.end(),
                                      [&](const auto& each) { return each.name == edit.parent; });
    if (section == sections.end()) { return std::nullopt; }
    auto& rules = section->rules;
    if (made.insert_at) {
        rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(*made.insert_at));
    }
    if (!made.erase_at) { return next; }
    if (rules.size() >= kRulePerSectionMax) { return std::nullopt; }  // The whole reader says so.
    Result<model::Rule> rule = read_rule_at(document, *section, *made.erase_at);
    if (!rule) { return rule.error(); }
    const auto at = rules.insert(rules.begin() + static_cast<std::ptrdiff_t>(*made.erase_at),
                                 std::move(rule).value());
    if (const Status checked = check_rule(next, *section, *at); !checked) {
        return checked.error();
    }
    return next;
}

}  // namespace sluice::agent
