// SPDX-License-Identifier: Apache-2.0
// See edit_words.h.
#include "edit_words.h"

#include <algorithm>
#include <array>

namespace sluice::cli {
namespace {

using nlohmann::json;

Failure usage(const std::string& words, const std::string& why) {
    return {"usage", words + ": " + why, ""};
}

bool takes_list(const std::string& path) {
    constexpr std::array kLists{"ips",          "services",    "source",    "destination",
                                "applied_to",   "members",     "ranges",    "uplinks",
                                "active",       "standby",     "exclude",   "addresses",
                                "remote_vteps", "flood_vteps", "next_hops", "dhcp_relay"};
    const std::string last = path.substr(path.rfind('.') + 1);
    return std::any_of(kLists.begin(), kLists.end(), [&](const char* key) { return last == key; });
}

json split_list(const std::string& text) {
    json list = json::array();
    for (std::size_t from = 0; from <= text.size();) {
        const std::size_t comma = std::min(text.find(',', from), text.size());
        list.push_back(text.substr(from, comma - from));
        from = comma + 1;
    }
    return list;
}

// Lists may be given item by item or with commas, in whatever mix.
json split_items(const json& items) {
    json list = json::array();
    for (const json& item : items) {
        for (json& part : split_list(item)) { list.push_back(std::move(part)); }
    }
    return list;
}

// "app=web" -> patch["tags.app"] = "web".
Outcome<bool> add_tags(const std::string& words, const json& tags, json& patch) {
    for (const json& tag : tags) {
        const auto text = tag.get<std::string>();
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return usage(words, "--tag " + text + " is not KEY=VALUE");
        }
        patch["tags." + text.substr(0, equals)] = text.substr(equals + 1);
    }
    return true;
}

bool has_two_names(const std::string& words) {
    constexpr std::array<const char*, 3> kNouns{"rule", "route ", "interface"};
    return std::any_of(kNouns.begin(), kNouns.end(),
                       [&](const char* noun) { return words.find(noun) != std::string::npos; });
}

// Words before the first KEY=VALUE belong to the name: `rule add app web-in` is app/web-in.
Outcome<bool> add_settings(const std::string& words, const json& settings, std::string& name,
                           json& patch) {
    bool in_name = has_two_names(words);
    for (const json& setting : settings) {
        const auto text = setting.get<std::string>();
        const std::size_t equals = text.find('=');
        in_name = in_name && equals == std::string::npos;
        if (in_name && name.find('/') == std::string::npos) {
            name += "/" + text;
            continue;
        }
        if (equals == std::string::npos || equals == 0) {
            return usage(words, text + " is not KEY=VALUE");
        }
        const std::string path = text.substr(0, equals);
        patch[path] = setting_value(path, text.substr(equals + 1));
    }
    return true;
}

Outcome<json> position(const std::string& words, const json& given) {
    json found;
    int count = 0;
    for (const char* key : {kEditBefore, kEditAfter, kEditFirst, kEditLast}) {
        if (!given.contains(key)) { continue; }
        ++count;
        found = given[key].is_string() ? json{{key + 1, given[key]}} : json(key + 1);
    }
    if (count > 1) {
        return usage(words, "--before, --after, --first and --last exclude each other");
    }
    return found;
}

Outcome<json> patch_of(const std::string& words, const json& given, std::string& name) {
    json patch = json::object();
    for (const auto& [key, value] : given.items()) {
        if (key.rfind(kEditAccessVlan, 0) == 0) {
            patch[key.substr(std::string(kEditAccessVlan).size())] =
                json{{"mode", "access"}, {"id", value}};
        } else if (key.rfind(kEditTrunk, 0) == 0) {
            patch[key.substr(std::string(kEditTrunk).size())] =
                json{{"mode", "trunk"}, {"ranges", split_items(value)}};
        } else if (key.front() != '@') {
            patch[key] = value.is_array() ? split_items(value) : value;
        }
    }
    Outcome<bool> done = add_tags(words, given.value(kEditTags, json::array()), patch);
    if (done.ok()) {
        done = add_settings(words, given.value(kEditSettings, json::array()), name, patch);
    }
    if (!done.ok()) { return done.failure(); }
    return patch;
}

}  // namespace

json setting_value(const std::string& path, const std::string& text) {
    if (text.empty()) { return nullptr; }
    if (path.rfind("tags.", 0) == 0) { return text; }
    json value = json::parse(text, nullptr, false);
    if (!value.is_discarded()) { return value; }
    return takes_list(path) ? split_list(text) : json(text);
}

Outcome<json> edit_params(const std::string& words, const json& given) {
    const std::size_t space = words.rfind(' ');
    std::string kind = words.substr(0, space);
    std::string op = words.substr(space + 1);
    for (std::string* word : {&kind, &op}) {
        std::replace_if(
            word->begin(), word->end(), [](char c) { return c == ' ' || c == '-'; }, '_');
    }
    std::string name = given.value(kEditName, "");
    Outcome<json> patch = patch_of(words, given, name);
    if (!patch.ok()) { return patch.failure(); }
    Outcome<json> place = position(words, given);
    if (!place.ok()) { return place.failure(); }
    json params{{"op", op}, {"kind", kind}};
    if (!name.empty()) { params["name"] = name; }
    if (!patch.value().empty()) { params["patch"] = patch.value(); }
    if (!place.value().is_null()) { params["position"] = place.value(); }
    if (given.contains(kEditMembers)) { params["members"] = split_items(given[kEditMembers]); }
    if (op == "set" && params.size() == (name.empty() ? 2U : 3U)) {
        return usage(words, "nothing to set: expected KEY=VALUE or an option");
    }
    return params;
}

}  // namespace sluice::cli
