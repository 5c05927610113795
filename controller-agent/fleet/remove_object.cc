// SPDX-License-Identifier: Apache-2.0
// Takes out of a view what the daemon refuses, by the name that the refusal has.
#include <algorithm>

#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/network.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

bool erase_at(json& list, std::size_t index) {
    if (!list.is_array() || index >= list.size()) { return false; }
    list.erase(index);
    return true;
}

json* named(json* list, const std::string& name, const char* key = "name") {
    if (list == nullptr || !list->is_array()) { return nullptr; }
    for (json& item : *list) {
        if (text_of(item, key) == name) { return &item; }
    }
    return nullptr;
}

bool erase_named(json* list, const std::string& name, const char* key = "name") {
    json* found = named(list, name, key);
    return found != nullptr && erase_at(*list, static_cast<std::size_t>(found - &list->front()));
}

json* child(json* object, const char* key) {
    if (object == nullptr || !object->is_object() || !object->contains(key)) { return nullptr; }
    return &(*object)[key];
}

/// "ports[3]": by place.
bool remove_place(json* holder, const std::string& word) {
    const std::size_t open = word.find('[');
    if (open == std::string::npos || word.back() != ']') { return false; }
    json* list = child(holder, word.substr(0, open).c_str());
    const std::string digits = word.substr(open + 1, word.size() - open - 2);
    const bool is_number = !digits.empty() && digits.size() < 9 &&
                           digits.find_first_not_of("0123456789") == std::string::npos;
    return list != nullptr && is_number && erase_at(*list, std::stoul(digits));
}

bool remove_binding(json& document, const std::string& name) {
    json* list = child(&document, "bindings");
    if (list == nullptr) { return false; }
    for (std::size_t i = 0; i < list->size(); ++i) {
        if (binding_name((*list)[i]) == name) { return erase_at(*list, i); }
    }
    return false;
}

/// What is below an object: `rest` are the words behind its name.
bool remove_below(json* holder, const std::vector<std::string>& rest) {
    if (rest.size() == 1) { return remove_place(holder, rest[0]); }
    if (rest.size() == 4 && rest[2] == "instance") {  // It goes with its rule.
        return remove_below(holder, {rest[0], rest[1]});
    }
    if (rest.size() != 2) { return false; }
    if (rest[0] == "rule") { return erase_named(child(holder, "rules"), rest[1]); }
    if (rest[0] == "interface") { return erase_named(child(holder, "interfaces"), rest[1]); }
    if (rest[0] == "route") { return erase_named(child(holder, "routes"), rest[1], "prefix"); }
    return false;
}

/// "rule app/web-in", as differences and edits name objects.
bool remove_child(json& document, const Noun& noun, const std::string& name) {
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos) { return false; }
    const Noun& parent = *noun_of(noun.parent);
    json* root = holder_of(parent, document);
    json* holder = named(child(root, std::string(parent.key).c_str()), name.substr(0, slash));
    return erase_named(child(holder, std::string(noun.key).c_str()), name.substr(slash + 1),
                       std::string(noun.name).c_str());
}

bool remove_switch(json& document, const std::string& name) {
    json* list = child(&document, "switches");
    json* found = named(list, name);
    if (found == nullptr) { return false; }
    if (!list_of(*found, "remote_vteps").empty()) {
        found->erase("remote_vteps");
        return true;
    }
    return erase_named(list, name);
}

bool remove_dfw(json& document, const std::vector<std::string>& words) {
    if (words.size() == 1) { return document.erase("dfw") != 0; }
    json* dfw = child(&document, "dfw");
    if (words.size() == 2) { return remove_place(dfw, words[1]); }
    if (words[1] != "section") { return false; }
    json* sections = child(dfw, "sections");
    if (words.size() == 3) { return erase_named(sections, words[2]); }
    return remove_below(named(sections, words[2]), {words.begin() + 3, words.end()});
}

/// "encryption rule e1".
bool remove_encryption(json& document, const std::vector<std::string>& words) {
    json* encryption = child(&document, "encryption");
    if (words.size() == 1) { return document.erase("encryption") != 0; }
    return remove_below(encryption, {words.begin() + 1, words.end()});
}

}  // namespace

bool remove_object(json& document, const std::string& object) {
    const std::vector<std::string> words = words_of(object);
    if (words.empty() || !document.is_object()) { return false; }
    if (words[0] == "dfw") { return remove_dfw(document, words); }
    if (words[0] == "encryption") { return remove_encryption(document, words); }
    if (words.size() == 1) { return remove_place(&document, words[0]) || document.erase(words[0]); }
    if (words[0] == "binding") { return words.size() == 2 && remove_binding(document, words[1]); }
    if (words[0] == "switch") { return words.size() == 2 && remove_switch(document, words[1]); }
    for (const Noun& noun : nouns()) {
        if (noun.kind != words[0]) { continue; }
        if (words.size() == 2 && !noun.parent.empty()) {
            return remove_child(document, noun, words[1]);
        }
        json* root = holder_of(noun, document);
        json* list = child(root, std::string(noun.key).c_str());
        if (words.size() == 2) { return erase_named(list, words[1]); }
        return remove_below(named(list, words[1]), {words.begin() + 2, words.end()});
    }
    return false;
}

}  // namespace sluice::fleet
