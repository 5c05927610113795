// SPDX-License-Identifier: Apache-2.0
// What makes a model::Document valid beyond the range of each value: names, references, MACs,
// sockets. Every source of the model calls it before the document is diffed. Control thread or a
// helper of it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "sluice/base/result.h"
#include "sluice/model/document.h"

namespace sluice::agent {

/// What the machine is asked while a document is checked.
struct CheckOptions {
    /// True if a vhost-user socket can be created in this folder. Empty: not asked (diff on another
    /// machine).
    std::function<bool(const std::string& folder)> folder_exists;
    /// True if a network namespace of this name exists. Empty: not asked.
    std::function<bool(const std::string& name)> netns_exists;
};

/// True if the folder exists on this machine. For CheckOptions::folder_exists.
[[nodiscard]] bool folder_on_disk(const std::string& folder);

/// True if `name` is a network namespace of this machine (a name below /run/netns). For
/// CheckOptions::netns_exists.
[[nodiscard]] bool netns_on_disk(const std::string& name);

/// 1..kNameLengthMax of [A-Za-z0-9_.-], the first one no '-' or '.'.
[[nodiscard]] bool is_name(std::string_view text);

/// Checks one firewall rule of a document that is valid but for it.
[[nodiscard]] Status check_rule(const model::Document& document, const model::Section& section,
                                const model::Rule& rule);

/// Checks the whole document; the first fault is returned.
[[nodiscard]] Status check_document(const model::Document& document, const CheckOptions& options);

}  // namespace sluice::agent
